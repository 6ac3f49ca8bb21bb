"""What somebody types to find repositories or tags: a part of a name, or a glob of a whole one."""

from service.domain.policy.patterns import LONGEST_PATTERN, Matcher, compile_patterns, expression_of
from service.domain.retention.selector import is_glob


def finding(text: str) -> Matcher:
    """Matches the names that are meant; "" means all. Raises ValueError with one sentence for what is no glob."""
    if len(text) > LONGEST_PATTERN:
        raise ValueError(f"it is longer than {LONGEST_PATTERN} characters")
    if not is_glob(text):
        return lambda name: text in name
    if text.startswith(("!", "re:")):
        raise ValueError(f"{text!r} is no glob: name what is meant, with * and ? for what may be anything")
    expression_of(text)
    return compile_patterns((text,))
