"""The policy language: what it can say, and the refusal of what it cannot."""

import re as stdlib_re
from collections.abc import Callable
from functools import cached_property
from typing import Annotated, Any, Literal

import re2
from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, model_validator
from wcmatch import glob

_UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86_400, "w": 604_800}
_DURATION = stdlib_re.compile(r"(\d{1,9})\s*([smhdw]?)", stdlib_re.ASCII)
_GLOB_FLAGS = glob.GLOBSTAR | glob.DOTGLOB | glob.FORCEUNIX

Matcher = Callable[[str], bool]


def parse_duration(value: Any) -> int:
    """Seconds from "90m", "24h", "7d" or a number of seconds; ValueError with one sentence otherwise."""
    if isinstance(value, int) and not isinstance(value, bool) and value >= 0:
        return value
    found = _DURATION.fullmatch(value.strip()) if isinstance(value, str) else None
    if not found:
        raise ValueError(f"{value!r} is no duration; write a number and a unit, such as 30s, 90m, 24h or 7d")
    return int(found[1]) * _UNITS[found[2] or "s"]


def parse_percent(value: Any) -> int:
    """0 to 100 from "50%" or 50; ValueError with one sentence otherwise."""
    digits = value.strip().removesuffix("%") if isinstance(value, str) else value
    try:
        percent = int(digits)
    except (TypeError, ValueError, OverflowError):
        percent = -1
    if isinstance(value, bool | float) or not 0 <= percent <= 100:
        raise ValueError(f"{value!r} is no percentage; write one from 0% to 100%, such as 50%")
    return percent


def compile_pattern(pattern: str) -> Matcher:
    """A matcher for one pattern without its `!`: a glob whose * stops at /, or re:… searched in linear time (RE2).

    ValueError with one sentence when it is no pattern.
    """
    if not pattern:
        raise ValueError("an empty pattern matches nothing; write * for everything")
    if pattern.startswith("re:"):
        try:
            options = re2.Options()
            options.log_errors = False
            expression = re2.compile(pattern[3:], options)
        except re2.error as error:
            reason = error.args[0].decode() if error.args and isinstance(error.args[0], bytes) else str(error)
            raise ValueError(f"{pattern!r} is no regular expression that RE2 understands: {reason}") from error
        return lambda text: expression.search(text) is not None
    matcher = glob.compile(pattern, flags=_GLOB_FLAGS)
    return lambda text: bool(matcher.match(text))


def compile_patterns(patterns: tuple[str, ...]) -> Matcher:
    """Matches what any positive pattern matches (all, if there is none) and no `!` pattern does."""
    positive = [compile_pattern(pattern) for pattern in patterns if not pattern.startswith("!")]
    negative = [compile_pattern(pattern[1:]) for pattern in patterns if pattern.startswith("!")]

    def matches(text: str) -> bool:
        selected = any(match(text) for match in positive) if positive else True
        return selected and not any(match(text) for match in negative)

    return matches


def _as_list(value: Any) -> Any:
    return [value] if isinstance(value, str) else value


def _checked(patterns: tuple[str, ...]) -> tuple[str, ...]:
    compile_patterns(patterns)
    return patterns


Duration = Annotated[int, BeforeValidator(parse_duration)]
Percent = Annotated[int, BeforeValidator(parse_percent)]
Patterns = Annotated[tuple[str, ...], BeforeValidator(_as_list), AfterValidator(_checked)]


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Keep(_Strict):
    """The conditions of which one is enough to keep a tag."""

    last: int = Field(ge=1, strict=True, description="keep the last N pushed digests of a repository")


class Rule(_Strict):
    """One rule: which tags of which repositories it may delete, and what it keeps of them."""

    name: str | None = Field(default=None, min_length=1, max_length=64, description="shown with every verdict")
    repos: Patterns = Field(default=("**",), description="globs (* stops at /), re:…, ! negates")
    tags: Patterns = Field(default=("*",), description="which tags the rule may delete")
    count: Literal["digests", "tags"] = Field(default="digests", description="what keep.last counts")
    keep: Keep | Literal["always", "none"] = Field(description="what stays; `none` deletes all it selects")
    final: bool = Field(default=False, description="later rules skip the tags this one selects")

    @cached_property
    def matches_repository(self) -> Matcher:
        return compile_patterns(self.repos)

    @cached_property
    def selects_tag(self) -> Matcher:
        return compile_patterns(self.tags)


class Policy(_Strict):
    """The whole policy. Durations are in seconds, percentages from 0 to 100."""

    version: Literal[1] = Field(default=1, description="of the language")
    dry_run: bool = Field(default=False, description="decide and record, delete nothing")
    protect: Patterns = Field(default=(), description="tags that are never deleted and take no slot")
    grace: Duration = Field(default=0, description="never delete a younger push")
    hold_over: Percent = Field(default=50, description="a larger share of a repository's tags waits for approval…")
    hold_min: int = Field(default=20, ge=0, description="…when it is more tags than this")
    rules: tuple[Rule, ...] = Field(default=(), description="every rule that selects a tag has a say; one keep wins")

    @model_validator(mode="after")
    def _names_are_unique(self) -> "Policy":
        names = [rule.name for rule in self.rules if rule.name]
        twice = sorted({name for name in names if names.count(name) > 1})
        if twice:
            raise ValueError(f"two rules are called {twice[0]!r}; give each its own name")
        return self

    @cached_property
    def protects(self) -> Matcher:
        return compile_patterns(self.protect) if self.protect else lambda _tag: False

    def rules_for(self, repository: str) -> tuple[tuple[str, Rule], ...]:
        """(name, rule) of each rule that matches the repository, in order; a rule without a name is "#2"."""
        named = ((rule.name or f"#{number}", rule) for number, rule in enumerate(self.rules, 1))
        return tuple((name, rule) for name, rule in named if rule.matches_repository(repository))
