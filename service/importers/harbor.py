"""Harbor's tag retention policy, as its API returns it.

Every rule retains tags. In each repository that a rule is for, Harbor deletes the tags that no rule retains. An image
is retained with all its tags. https://github.com/goharbor/harbor, src/pkg/retention and src/lib/selector
"""

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from pydantic import Field

from service.documents.reader import Location, shown
from service.importers.flags import MOST
from service.importers.parts import MOST_RULES, Envelope, Part, checked
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


class _Selector(Part):
    model_config = Part.model_config | {"alias_generator": None}

    kind: str
    decoration: str
    pattern: str = ""
    extras: str | None = None

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


class _Rule(Part):
    model_config = Part.model_config | {"alias_generator": None}

    id: int | None = None
    priority: int | None = None
    disabled: bool | None = False
    action: str | None = "retain"
    template: str
    params: dict[str, Any] | None = None
    tag_selectors: tuple[_Selector, ...] | None = None
    scope_selectors: dict[str, tuple[_Selector, ...]] | None = None


class _Trigger(Envelope):
    settings: dict[str, Any] | None = None


class _Policy(Envelope):
    algorithm: str = "or"
    rules: tuple[_Rule, ...] = Field(max_length=MOST_RULES)
    trigger: _Trigger | None = None


@dataclass(frozen=True)
class _Tags:
    """The tags that a rule selects. wider: the part of the selection that could not be translated, or ""."""

    patterns: tuple[str, ...]
    wider: str


def read_document(document: Any, place: str | None) -> Translation:
    """Translate each enabled rule, and add rules that delete all tags that no rule retains."""
    policy = checked(_Policy, document)
    if policy.algorithm != "or":
        raise NotImportable("must be or; Harbor has no other", ("algorithm",))
    notes = [_PLACE] if place is None else []
    enabled = [(rule, ("rules", number)) for number, rule in enumerate(policy.rules) if not rule.disabled]
    notes += [f"rule {number} is disabled there and left out." for number, rule in enumerate(policy.rules, 1)
              if rule.disabled]  # fmt: skip
    rules = [_rule(rule, place, at) for rule, at in enabled]
    untagged_stay = any(selector.retains_untagged for rule, _ in enabled for selector in rule.tag_selectors or ())
    rules += _rest(rules, untagged_stay)
    schedule = (policy.trigger.settings or {}).get("cron") if policy.trigger else None
    if schedule:
        notes.append(f"no equivalent: the schedule ({schedule}); pushprune acts straight after each push.")
    return translation("Harbor", rules, [*notes, _IMMUTABLE])


def _rule(rule: _Rule, place: str | None, at: Location) -> ImportedRule:
    if rule.action not in (None, "retain"):
        raise NotImportable("must be retain; no other kind of rule deletes tags", (*at, "action"))
    tags = _tags(rule.tag_selectors or (), (*at, "tag_selectors"))
    keep = _keep(rule, at)
    notes = [_PULLS] if rule.template == "latestPulledN" else []
    if tags.wider:
        # Among more tags, the newest N need not be those that Harbor counted.
        keep = "always" if rule.template in _COUNTS else keep
        notes.append(_WIDER.format(tags.wider, "all of them" if keep == "always" else "more"))
    name = " ".join(f"{word}" for word in (rule.template, *(tags.patterns or ("**",))))
    return imported_rule(name, repos=_repositories(rule, place, at), tags=tags.patterns, keep=keep, notes=notes)


def _keep(rule: _Rule, at: Location) -> Any:
    template = rule.template
    if template == "always":
        return "always"
    limit = _COUNTS.get(template) or _DAYS.get(template)
    if limit is None:
        known = ", ".join((*_COUNTS, *_DAYS, "always"))
        raise NotImportable(f"{shown(template)!r} is no template; known: {known}", (*at, "template"))
    number = (rule.params or {}).get(template)
    location = (*at, "params", template)
    if isinstance(number, bool) or not isinstance(number, int) or not 0 <= number <= 100 * MOST:
        raise NotImportable("must be a whole number from 0 up", location)
    if template in _DAYS:
        number = bounded(number * DAY_S, f"{number} days", location)
    elif number > MOST:
        raise NotImportable(f"must be at most {MOST}", location)
    return {
        "last": keep_of(number),
        "last_pulled": keep_of(last_pulled=number),
        "pushed_within": keep_of(pushed_within=number),
        "pulled_within": keep_of(pulled_within=number),
    }[limit]


def _tags(selectors: Sequence[_Selector], at: Location) -> _Tags:
    """Return the tags that all selectors select."""
    # A list of patterns here selects a tag that any positive pattern and no `!` pattern matches. So exclusions combine
    # as in Harbor, but only one selector may match.
    matching: list[tuple[str, ...]] = []
    excluded: list[tuple[str, ...]] = []
    wider = ""
    for number, selector in enumerate(selectors):
        if selector.kind != "doublestar" or selector.decoration not in ("matches", "excludes"):
            wider = f"selecting tags by {selector.kind} ({selector.decoration} {selector.pattern})"
            continue
        patterns = doublestar(selector.pattern, (*at, number, "pattern"))
        (excluded if selector.decoration == "excludes" else matching).append(patterns)
    if len(matching) > 1:
        wider = "tags that must match several patterns at once"
    positive = [pattern for patterns in matching for pattern in patterns]
    negative = [pattern for patterns in excluded for pattern in patterns]
    return _Tags((*positive, *negated(negative)), wider)


def _repositories(rule: _Rule, place: str | None, at: Location) -> tuple[str, ...]:
    scopes = rule.scope_selectors or {}
    if set(scopes) - {"repository"}:
        raise NotImportable("only repositories can be selected here; write a policy for each project",
                            (*at, "scope_selectors"))  # fmt: skip
    matching: list[tuple[str, ...]] = []
    excluded: list[str] = []
    for number, selector in enumerate(scopes.get("repository", ())):
        location = (*at, "scope_selectors", "repository", number)
        if selector.kind != "doublestar" or selector.decoration not in ("repoMatches", "repoExcludes"):
            raise NotImportable("must be doublestar with repoMatches or repoExcludes", location)
        patterns = doublestar(selector.pattern, (*location, "pattern"))
        if selector.decoration == "repoMatches":
            matching.append(patterns)
        else:
            excluded += patterns
    if len(matching) > 1:
        raise NotImportable("repositories that must match several patterns at once; write one pattern for them", at)
    return inside(place, (*(matching[0] if matching else ("**",)), *negated(excluded)))


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
