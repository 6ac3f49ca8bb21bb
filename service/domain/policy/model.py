"""The policy language: its fields, and the validation of policy files."""

from collections import Counter
from hashlib import sha256
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, WithJsonSchema, model_validator

from service.domain.policy.groups import Grouping, checked_group
from service.domain.policy.pattern_types import Patterns, SomeRepositoryPatterns, SomeTagPatterns, TagPatterns
from service.domain.policy.patterns import LONGEST_PATTERN, compile_patterns, selector_of
from service.domain.policy.units import SPAN_SCHEMA, Percent, Span

MOST_REVISIONS = 100
MOST_RULES = 1000

# The lists of patterns that select every tag.
EVERY_TAG = (("*",), ("**",))
_NOTHING = (None, None, None, None)
# `last`, and the keys of `keep` that depend on one tag alone. Only with these may a plan leave tags aside, or commit
# although pushes overtook it.
_PLAIN = frozenset({"last", "pushed_within", "pulled_within", "mode"})


def _given(value: Any) -> Any:
    # `last:` without a value was meant to be a number. If it counted as unset, the rule would delete the tags that it
    # was meant to keep.
    if value is None:
        raise ValueError("it has no value; give it one or leave it out")
    return value


Count = Annotated[
    Annotated[int, Field(ge=1, strict=True)] | None,
    BeforeValidator(_given),
    WithJsonSchema({"type": "integer", "minimum": 1}),
]
Period = Annotated[Annotated[Span, Field(ge=1)] | None, BeforeValidator(_given), WithJsonSchema(SPAN_SCHEMA)]
Group = Annotated[
    Annotated[str, Field(max_length=LONGEST_PATTERN), AfterValidator(checked_group)] | None,
    BeforeValidator(_given),
    WithJsonSchema({"type": "string", "minLength": 1, "maxLength": LONGEST_PATTERN}),
]


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


def _refuse_no_condition(described: dict[str, Any]) -> None:
    described["anyOf"] = [{"required": [name]} for name in described["properties"] if name != "mode"]


class Keep(_Strict):
    """The conditions that keep a tag: one of them is enough (`mode: any`), or all must hold (`mode: all`)."""

    model_config = ConfigDict(json_schema_extra=_refuse_no_condition)

    last: Count = Field(default=None, description="the first N in the rule's order")
    last_pulled: Count = Field(default=None, description="the N pulled last; a push counts as a pull")
    pushed_within: Period = Field(default=None, description="pushed less than this ago")
    pulled_within: Period = Field(default=None, description="pulled less than this ago; a push counts as a pull")
    revisions: int = Field(
        default=0, ge=0, le=MOST_REVISIONS, strict=True, description="besides, the last K overwritten digests of a tag"
    )
    mode: Literal["any", "all"] = Field(default="any", description="any: one condition is enough; all: each must hold")

    @property
    def limits_tags(self) -> bool:
        """True if a condition decides about tags. With `revisions` alone, every tag is kept."""
        return (self.last, self.last_pulled, self.pushed_within, self.pulled_within) != _NOTHING

    @property
    def longest_s(self) -> int:
        """The longest period of the conditions, in seconds; 0 without a period."""
        return max(self.pushed_within or 0, self.pulled_within or 0)

    @property
    def only_last_compares_tags(self) -> bool:
        """True if no condition but `last` depends on other tags, or on earlier digests of the tag."""
        return not any(getattr(self, name) for name in type(self).model_fields if name not in _PLAIN)


def _no_bare_number(value: Any) -> Any:
    if isinstance(value, int) and not isinstance(value, bool):
        raise ValueError(f"it must name a condition; write {{last: {value}}}")  # noqa: TRY004 -- pydantic's way
    return value


def _is_not_empty(keep: Keep | str) -> Keep | str:
    if isinstance(keep, Keep) and not keep.limits_tags and not keep.revisions:
        raise ValueError("it is empty; write always, none, or a condition such as {last: 10}")
    return keep


class _Taken:
    """A name that an earlier rule has already. Validation refuses it."""

    def __init__(self, name: str) -> None:
        self.name = name


def _not_taken(value: Any) -> Any:
    if isinstance(value, _Taken):
        raise ValueError(f"two rules are called {value.name!r}; give each its own name")  # noqa: TRY004
    return value


def _with_taken_names(rules: Any) -> Any:
    """Mark repeated names of rules, so that they are reported together with all other errors."""
    if not isinstance(rules, list):
        return rules
    names = [rule.get("name") if isinstance(rule, dict) else None for rule in rules]
    before = {f"#{number}" for number, name in enumerate(names, 1) if name is None}
    marked = list(rules)
    for at, name in enumerate(names):
        if isinstance(name, str) and name in before:
            marked[at] = {**rules[at], "name": _Taken(name)}
        elif isinstance(name, str):
            before.add(name)
    return marked


class Rule(_Strict):
    """One rule: the tags it may delete, and the conditions that keep some of them."""

    name: Annotated[str | None, Field(min_length=1, max_length=64), BeforeValidator(_not_taken)] = Field(
        default=None, description="shown with every verdict"
    )
    repos: SomeRepositoryPatterns = Field(default=("**",), description="globs (* stops at /), re:…, ! negates")
    tags: SomeTagPatterns = Field(default=EVERY_TAG[0], description="which tags the rule may delete")
    older_than: Span = Field(default=0, description="only tags whose push is at least this long ago")
    group: Group = Field(default=None, description="regex: limits count per capture; the rest is not selected")
    order: Literal["pushed", "semver", "created", "name"] = Field(default="pushed", description="what `last` counts by")
    count: Literal["digests", "tags"] = Field(default="digests", description="what the limits count")
    keep: Annotated[
        Keep | Literal["always", "none"], BeforeValidator(_no_bare_number), AfterValidator(_is_not_empty)
    ] = Field(description="the tags to keep; `none` deletes all selected tags")
    untagged: Span | Literal["keep"] | None = Field(
        default=None, description="delete manifests that have been without a tag this long; or keep them"
    )
    referrers: Literal["follow", "keep"] = Field(
        default="follow", description="follow: delete signatures and the like after their image; keep: keep them"
    )
    final: bool = Field(default=False, description="later rules skip the tags this one selects")

    @property
    def grouping(self) -> Grouping:
        """The function that assigns a tag to its group."""
        return Grouping(self.group)

    @property
    def concerns_every_tag(self) -> bool:
        """True if the rule selects every tag. Only such a rule decides about manifests that never had a tag."""
        return self.tags in EVERY_TAG and self.group is None


class Policy(_Strict):
    """The whole policy: the protected tags, the limits of deletions, and the rules."""

    version: Literal[1] = Field(default=1, description="of the language")
    dry_run: bool = Field(default=False, description="decide and record, delete nothing")
    protect: TagPatterns = Field(default=(), description="tags that are never deleted and that `last` does not count")
    grace: Span = Field(default=0, description="never delete a younger push")
    hold_over: Percent = Field(default=50, description="a larger share of a repository's tags waits for approval…")
    hold_min: int = Field(default=20, ge=0, description="…when it is more tags than this")
    first_plan: Literal["hold", "apply"] = Field(
        default="hold", description="hold: the first clean-up of a repository that was there before waits for approval"
    )
    shared: Literal["untag", "keep"] = Field(
        default="untag",
        description="if another tag keeps the image of a tag to delete. untag: delete the tag alone; keep: keep it",
    )
    ignore_pulls: Patterns = Field(default=(), description="user agents or actors whose pulls do not count as use")
    rules: Annotated[tuple[Rule, ...], BeforeValidator(_with_taken_names)] = Field(
        default=(), max_length=MOST_RULES, description="every rule that selects a tag decides; one keep is enough"
    )

    @model_validator(mode="after")
    def _names_are_unique(self) -> "Policy":
        called = Counter(self.names)
        if called and max(called.values()) > 1:
            raise ValueError(f"two rules are called {max(called, key=called.__getitem__)!r}; give each its own name")
        return self

    def fingerprint(self) -> str:
        """Return a short hash of the policy. Policies of equal content have the same fingerprint."""
        return sha256(self.model_dump_json().encode()).hexdigest()[:12]

    def protects(self, tag: str) -> bool:
        """True if the tag is never deleted and takes no slot of a rule."""
        return bool(self.protect) and compile_patterns(self.protect)(tag)

    def ignores_pull(self, useragent: str, actor: str) -> bool:
        """True if a pull by this client or user does not count as use."""
        if not self.ignore_pulls:
            return False
        ignored = compile_patterns(self.ignore_pulls, crossing=True)
        return ignored(useragent) or (actor != "" and ignored(actor))

    def rules_for(self, repository: str) -> tuple[tuple[str, Rule], ...]:
        """Return (name, rule) of each rule that matches the repository, in order. See `names` for rules without one."""
        numbers = selector_of(tuple(rule.repos for rule in self.rules)).select(repository)
        named = enumerate(zip(self.names, self.rules, strict=True))
        return tuple(pair for at, pair in named if at in numbers)

    @property
    def names(self) -> tuple[str, ...]:
        """The name of each rule, in order: "#2" for a second rule without a name."""
        return tuple(rule.name or f"#{number}" for number, rule in enumerate(self.rules, 1))


def schema() -> dict[str, Any]:
    """Return the JSON Schema of a policy file, for editors."""
    described = untitled(Policy.model_json_schema())
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **described, "title": "pushprune policy"}


def untitled(described: Any) -> Any:
    """Remove the titles that pydantic makes of the names, because they only repeat the names."""
    if isinstance(described, list):
        return [untitled(item) for item in described]
    if not isinstance(described, dict):
        return described
    return {key: untitled(of) for key, of in described.items() if key != "title" or not isinstance(of, str)}
