"""Harbor's tag retention policy, as its API returns it.

Every rule retains tags. In each repository that a rule is for, Harbor deletes the tags that no rule retains. An image
is retained with all its tags. https://github.com/goharbor/harbor, src/pkg/retention and src/lib/selector
"""

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import chain
from typing import Annotated, Any, Literal, Self

from pydantic import AfterValidator, Field, model_validator

from service.importers.flags import MOST
from service.importers.parts import MOST_RULES, PolicyEnvelope, PolicyPart, checked
from service.importers.pattern import doublestar, inside, negated
from service.importers.period import DAY_S, bounded
from service.importers.translation import ImportedRule, NotImportable, Translation, imported_rule, keep_of, translation

_PLACE = "a retention policy belongs to one project: run this with --within PROJECT, or name it below."
_IMMUTABLE = "no equivalent: immutable tags of the project; put their names into `protect: […]`."
_UNTAGGED = "differs: Harbor deletes untagged images at its next run, pushprune once they have been untagged for 24h."
_REST = "Harbor deletes all tags that none of its rules retains."
_PULLS = "differs: a push counts as a pull here; for Harbor only a pull does."
_WIDER = "no equivalent: {}; the rule selects more tags here, and keeps {}."
_COUNTS = {"latestPushedK": "last", "latestPulledN": "last_pulled", "latestActiveK": "last_pulled"}
_DAYS = {"nDaysSinceLastPush": "pushed_within", "lastXDays": "pushed_within", "nDaysSinceLastPull": "pulled_within"}
_LIMITS = _COUNTS | _DAYS


class _Selector(PolicyPart):
    model_config = PolicyPart.model_config | {"alias_generator": None}

    kind: str
    decoration: str
    pattern: str = ""
    extras: str | None = None

    @model_validator(mode="after")
    def _with_a_valid_pattern(self) -> Self:
        if self.kind == "doublestar":
            doublestar(self.pattern)
        return self

    @property
    def retains_untagged(self) -> bool:
        """True if the selector selects images without a tag."""
        # By default it does. With `excludes`, the value of `untagged` has the opposite meaning.
        excludes = self.decoration == "excludes"
        try:
            extras = json.loads(self.extras) if self.extras else None
        except (ValueError, RecursionError):
            extras = None
        untagged = extras.get("untagged", False) is True if isinstance(extras, dict) else not excludes
        return untagged != excludes


class _RepositorySelector(_Selector):
    kind: Literal["doublestar"]
    decoration: Literal["repoMatches", "repoExcludes"]


def _of_repositories(scopes: Any) -> Any:
    if scopes and set(scopes) - {"repository"}:
        raise ValueError("only repositories can be selected here; write a policy for each project")
    return scopes


class _HarborRule(PolicyPart):
    model_config = PolicyPart.model_config | {"alias_generator": None}

    id: int | None = None
    priority: int | None = None
    disabled: bool | None = False
    action: Literal["retain"] | None = "retain"
    template: Literal[
        "latestPushedK", "latestPulledN", "latestActiveK", "nDaysSinceLastPush", "lastXDays", "nDaysSinceLastPull",
        "always",
    ]  # fmt: skip
    params: dict[str, Any] | None = None
    tag_selectors: tuple[_Selector, ...] | None = None
    scope_selectors: Annotated[dict[str, tuple[_RepositorySelector, ...]] | None, AfterValidator(_of_repositories)] = (
        None
    )

    @model_validator(mode="after")
    def _with_a_limit(self) -> Self:
        number = (self.params or {}).get(self.template)
        name = f"params.{self.template}"
        if self.template == "always":
            return self
        if isinstance(number, bool) or not isinstance(number, int) or not 0 <= number <= 100 * MOST:
            raise ValueError(f"{name} must be a whole number from 0 up")
        if self.template in _DAYS:
            bounded(number * DAY_S, f"{number} days")
        elif number > MOST:
            raise ValueError(f"{name} must be at most {MOST}")
        return self

    @property
    def keep(self) -> Any:
        if self.template == "always":
            return "always"
        number = (self.params or {})[self.template]
        return keep_of(**{_LIMITS[self.template]: number * DAY_S if self.template in _DAYS else number})


class _Trigger(PolicyEnvelope):
    settings: dict[str, Any] | None = None


class _HarborPolicy(PolicyEnvelope):
    algorithm: Literal["or"] = "or"
    rules: tuple[_HarborRule, ...] = Field(max_length=MOST_RULES)
    trigger: _Trigger | None = None


@dataclass(frozen=True)
class _Tags:
    """The tags that a rule selects. wider: the part of the selection that could not be translated, or ""."""

    patterns: tuple[str, ...]
    wider: str


def read_document(document: Any, place: str | None) -> Translation:
    """Translate each enabled rule, and add rules that delete all tags that no rule retains."""
    policy = checked(_HarborPolicy, document)
    notes = [_PLACE] if place is None else []
    enabled = [rule for rule in policy.rules if not rule.disabled]
    notes += [f"rule {number} is disabled there and left out." for number, rule in enumerate(policy.rules, 1)
              if rule.disabled]  # fmt: skip
    rules = [_rule(rule, place) for rule in enabled]
    untagged_stay = any(selector.retains_untagged for rule in enabled for selector in rule.tag_selectors or ())
    rules += _rest(rules, untagged_stay)
    schedule = (policy.trigger.settings or {}).get("cron") if policy.trigger else None
    if schedule:
        notes.append(f"no equivalent: the schedule ({schedule}); pushprune acts straight after each push.")
    return translation("Harbor", rules, [*notes, _IMMUTABLE])


def _rule(rule: _HarborRule, place: str | None) -> ImportedRule:
    tags = _tags(rule.tag_selectors or ())
    keep = rule.keep
    notes = [_PULLS] if rule.template == "latestPulledN" else []
    if tags.wider:
        # Among more tags, the newest N need not be those that Harbor counted.
        keep = "always" if rule.template in _COUNTS else keep
        notes.append(_WIDER.format(tags.wider, "all of them" if keep == "always" else "more"))
    name = " ".join((rule.template, *(tags.patterns or ("**",))))
    return imported_rule(name, repos=_repositories(rule, place), tags=tags.patterns, keep=keep, notes=notes)


def _tags(selectors: Sequence[_Selector]) -> _Tags:
    # A list of patterns here selects a tag that any positive pattern and no `!` pattern matches. So exclusions combine
    # as in Harbor, but only one selector may match.
    usable = [selector for selector in selectors
              if selector.kind == "doublestar" and selector.decoration in ("matches", "excludes")]  # fmt: skip
    wider = "".join(f"selecting tags by {selector.kind} ({selector.decoration} {selector.pattern})"
                    for selector in [other for other in selectors if other not in usable][-1:])  # fmt: skip
    matching, excluded = _patterns(usable, "matches")
    if len(matching) > 1:
        wider = "tags that must match several patterns at once"
    return _Tags((*chain.from_iterable(matching), *excluded), wider)


def _repositories(rule: _HarborRule, place: str | None) -> tuple[str, ...]:
    matching, excluded = _patterns((rule.scope_selectors or {}).get("repository", ()), "repoMatches")
    if len(matching) > 1:
        raise NotImportable("repositories that must match several patterns at once; write one pattern for them")
    return inside(place, (*(matching[0] if matching else ("**",)), *excluded))


def _patterns(selectors: Sequence[_Selector], matches: str) -> tuple[list[tuple[str, ...]], tuple[str, ...]]:
    """Return the patterns of each selector that must match, and the negated patterns of the other selectors."""
    globs = [(selector.decoration == matches, doublestar(selector.pattern)) for selector in selectors]
    excluded = chain.from_iterable(patterns for is_matching, patterns in globs if not is_matching)
    return [patterns for is_matching, patterns in globs if is_matching], negated(excluded)


def _rest(rules: Sequence[ImportedRule], untagged_stay: bool) -> Iterator[ImportedRule]:
    """Yield a rule for every tag for each set of repositories that has no such rule yet."""
    scopes = dict.fromkeys(tuple(rule.keys.get("repos", ())) for rule in rules)
    for repos in scopes:
        of_scope = [rule for rule in rules if tuple(rule.keys.get("repos", ())) == repos]
        if untagged_stay and any(rule.selects_every_tag for rule in of_scope):
            continue
        untagged = None if untagged_stay else DAY_S
        notes = (_REST,) if untagged_stay else (_REST, _UNTAGGED)
        yield imported_rule("the rest", repos=repos, keep="none", untagged=untagged, notes=notes)
