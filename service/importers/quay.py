"""Quay's auto-prune policies: one policy as the API returns it, a list of policies, or {"policies": […]}."""

from collections.abc import Iterator, Sequence
from typing import Any

from pydantic import AliasChoices, Field

from service.documents.reader import Location
from service.importers.flags import MOST, number_of
from service.importers.parts import MOST_RULES, Envelope, Part, checked, listed
from service.importers.pattern import negated, searched, within
from service.importers.period import parse_period
from service.importers.translation import ImportedRule, NotImportable, Translation, imported_rule, keep_of, translation

_PLACE = "an auto-prune policy belongs to an organization or repository: run this with --within NAME, or name it below."
_METHODS = ("number_of_tags", "creation_date")


class _Policy(Part):
    uuid: str | None = None
    method: str
    value: int | str
    tag_pattern: str | None = Field(default=None, validation_alias=AliasChoices("tagPattern", "tag_pattern"))
    tag_pattern_matches: bool | None = Field(
        default=True, validation_alias=AliasChoices("tagPatternMatches", "tag_pattern_matches")
    )


class _Policies(Envelope):
    policies: tuple[_Policy, ...] = Field(max_length=MOST_RULES)


def read_document(document: Any, place: str | None) -> Translation:
    """Translate the policies. Policies that select the same tags become one rule."""
    # In Quay, a tag is deleted as soon as one policy deletes it. So the conditions of these policies must all hold.
    placed = tuple(_placed(document))
    chosen: dict[tuple[str, ...], list[tuple[_Policy, Location]]] = {}
    for policy, at in placed:
        chosen.setdefault(_tags(policy, at), []).append((policy, at))
    repos = within(place, itself=bool(place and "/" in place), below=not (place and "/" in place))
    rules = [_rule(number, repos, tags, same) for number, (tags, same) in enumerate(chosen.items(), 1)]
    notes = ["differs: a tag is kept while another kept tag points at the same image."]
    if len(rules) > 1:
        notes.append(
            "differs: Quay deletes a tag if any policy deletes it; here a tag is kept if any of them keeps it."
        )
    return translation("Quay", rules, [*([_PLACE] if place is None else []), *notes])


def _placed(document: Any) -> Iterator[tuple[_Policy, Location]]:
    if isinstance(document, list):
        yield from ((checked(_Policy, value, (at,)), (at,)) for at, value in enumerate(listed(document)))
    elif isinstance(document, dict) and "policies" in document:
        policies = checked(_Policies, document).policies
        yield from ((policy, ("policies", at)) for at, policy in enumerate(policies))
    else:
        yield checked(_Policy, document), ()


def _tags(policy: _Policy, at: Location) -> tuple[str, ...]:
    if not policy.tag_pattern:
        return ()
    pattern = searched(policy.tag_pattern, (*at, "tagPattern"))
    return negated([pattern]) if policy.tag_pattern_matches is False else (pattern,)


def _rule(
    number: int, repos: Sequence[str], tags: Sequence[str], same: Sequence[tuple[_Policy, Location]]
) -> ImportedRule:
    counts, periods = [], []
    for policy, at in same:
        if policy.method not in _METHODS:
            raise NotImportable(f"must be {' or '.join(_METHODS)}", (*at, "method"))
        if policy.method == "number_of_tags":
            counts.append(_count(policy.value, (*at, "value")))
        else:
            periods.append(_period(policy.value, (*at, "value")))
    keep = keep_of(min(counts, default=0), pushed_within=min(periods, default=0), needs_all=True)
    return imported_rule(f"auto-prune {number}", repos=repos, tags=tags, count="tags", keep=keep)


def _count(value: int | str, at: Location) -> int:
    number = number_of(str(value))
    if not number:
        raise NotImportable(f"must be a number of tags from 1 to {MOST}", at)
    return number


def _period(value: int | str, at: Location) -> int:
    period_s = parse_period(str(value), at, units="s m h d w")
    if not period_s:
        raise NotImportable("must be more than 0; otherwise every tag would be deleted", at)
    return period_s
