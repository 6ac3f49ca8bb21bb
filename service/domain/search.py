"""The search text for repositories or tags: a part of a name, or a glob for a whole name."""

from service.domain.policy.patterns import LONGEST_PATTERN, Matcher, compile_patterns, expression_of
from service.domain.retention.selector import is_glob


def finding(text: str) -> Matcher:
    """Return a matcher for the names that the text searches for; "" matches all names.

    Raises:
        ValueError: the text is not a valid glob; the message is one sentence.
    """
    if len(text) > LONGEST_PATTERN:
        raise ValueError(f"it is longer than {LONGEST_PATTERN} characters")
    if not is_glob(text):
        return lambda name: text in name
    if text.startswith(("!", "re:")):
        raise ValueError(f"{text!r} is no glob: name what is meant, with * and ? for what may be anything")
    expression_of(text)
    return compile_patterns((text,))
