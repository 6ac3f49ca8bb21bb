"""The patterns of a policy as validated types: each is checked when the policy is read."""

import re
from typing import Annotated, Any

from pydantic import AfterValidator, BeforeValidator, Field, WithJsonSchema

from service.domain.policy.globs import without_classes
from service.domain.policy.patterns import LONGEST_PATTERN, MOST_PATTERNS, PLACEHOLDER, expression_of


def _as_list(value: Any) -> Any:
    return [value] if isinstance(value, str) else value


def _checked(pattern: str) -> str:
    if pattern.removeprefix("!").startswith("re:") and _LOOKAROUND.search(pattern):
        raise ValueError(
            f"{pattern!r} is no regular expression that RE2 understands: RE2 has no lookaheads; "
            "use a second pattern with !"
        )
    expression_of(pattern.removeprefix("!"))
    return pattern


def _can_match_a_tag(pattern: str) -> str:
    """Return the pattern.

    Raises:
        ValueError: a glob has a character that no tag can have (Distribution's reference grammar).
    """
    glob = re.sub(r"(^|/)(\*\*/+)+", r"\1", pattern.removeprefix("!"))
    if not glob.startswith(_LITERALLY) and (stranger := _NOT_IN_TAGS.search(without_classes(glob))):
        raise ValueError(f"{pattern!r} can match no tag: {_instead(stranger[0], 'the tag alone')}")
    return pattern


def _can_match_a_repository(pattern: str) -> str:
    """Return the pattern.

    Raises:
        ValueError: a glob has a character that no repository name can have (Distribution's reference grammar).
    """
    glob = pattern.removeprefix("!")
    if glob.startswith(_LITERALLY) or glob == PLACEHOLDER or glob.startswith(f"{PLACEHOLDER}/"):
        return pattern
    refused = f"{pattern!r} can match no repository"
    if glob.startswith("/") or glob.endswith("/"):
        raise ValueError(f"{refused}: write it without a slash at either end")
    if stranger := _NOT_IN_REPOSITORIES.search(without_classes(glob)):
        raise ValueError(f"{refused}: {_instead(stranger[0], 'it without host, tag and capital letters')}")
    return pattern


def _instead(stranger: str, otherwise: str) -> str:
    if stranger in "{},|":
        return f"{stranger} is no wildcard here; write one pattern each"
    return f"write {otherwise}, without {'spaces' if stranger.isspace() else stranger}"


def _some(patterns: tuple[str, ...]) -> tuple[str, ...]:
    if not patterns:
        raise ValueError("it is empty; leave it out if everything is meant")
    return patterns


# The prefixes of patterns that are not checked: an expression, or a glob that an importer has escaped.
_LITERALLY = ("re:", "\\")
_LOOKAROUND = re.compile(r"\(\?<?[=!]")
_NOT_IN_TAGS = re.compile(r"[^A-Za-z0-9_.*?\[\]!^\\-]")
_NOT_IN_REPOSITORIES = re.compile(r"[^a-z0-9_./*?\[\]!^\\-]")
_ITEM = {"type": "string", "minLength": 1, "maxLength": LONGEST_PATTERN}
_LIST = {"type": "array", "items": _ITEM, "maxItems": MOST_PATTERNS}
_ANY = WithJsonSchema({"anyOf": [_ITEM, _LIST]})
_SOME = WithJsonSchema({"anyOf": [_ITEM, _LIST | {"minItems": 1}]})
_AS_LIST, _MOST = BeforeValidator(_as_list), Field(max_length=MOST_PATTERNS)

Pattern = Annotated[str, Field(max_length=LONGEST_PATTERN), AfterValidator(_checked)]
_TagPattern = Annotated[Pattern, AfterValidator(_can_match_a_tag)]
_RepositoryPattern = Annotated[Pattern, AfterValidator(_can_match_a_repository)]
Patterns = Annotated[tuple[Pattern, ...], _MOST, _AS_LIST, _ANY]
TagPatterns = Annotated[tuple[_TagPattern, ...], _MOST, _AS_LIST, _ANY]
SomeTagPatterns = Annotated[tuple[_TagPattern, ...], _MOST, _AS_LIST, AfterValidator(_some), _SOME]
SomeRepositoryPatterns = Annotated[tuple[_RepositoryPattern, ...], _MOST, _AS_LIST, AfterValidator(_some), _SOME]
