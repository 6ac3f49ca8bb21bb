"""Quay's auto-prune policies: one policy as the API returns it, a list of policies, or {"policies": […]}."""

from collections.abc import Sequence
from typing import Annotated, Any, Literal

from pydantic import AliasChoices, Field, ValidationInfo, field_validator

from service.importers.flags import MOST, number_of
from service.importers.parts import MOST_RULES, PolicyEnvelope, PolicyPart, checked, converted, listed
from service.importers.pattern import negated, searched, within
from service.importers.period import parse_period
from service.importers.translation import ImportedRule, Translation, imported_rule, keep_of, translation

_PLACE = "an auto-prune policy belongs to an organization or repository: run this with --within NAME, or name it below."


class _QuayPolicy(PolicyPart):
    uuid: str | None = None
    method: Literal["number_of_tags", "creation_date"]
    value: int | str
    tag_pattern: Annotated[str, converted(lambda regex: searched(regex) if regex else "")] | None = Field(
        default=None, validation_alias=AliasChoices("tagPattern", "tag_pattern")
    )
    tag_pattern_matches: bool | None = Field(
        default=True, validation_alias=AliasChoices("tagPatternMatches", "tag_pattern_matches")
    )

    @field_validator("value")
    @classmethod
    def _number_or_seconds(cls, value: int | str, info: ValidationInfo) -> int:
        if info.data.get("method") == "number_of_tags":
            number = number_of(str(value))
            if not number:
                raise ValueError(f"must be a number of tags from 1 to {MOST}")
            return number
        period_s = parse_period(str(value), units="s m h d w")
        if not period_s:
            raise ValueError("must be more than 0; otherwise every tag would be deleted")
        return period_s

    @property
    def tags(self) -> tuple[str, ...]:
        if not self.tag_pattern:
            return ()
        return negated([self.tag_pattern]) if self.tag_pattern_matches is False else (self.tag_pattern,)


class _Policies(PolicyEnvelope):
    policies: tuple[_QuayPolicy, ...] = Field(max_length=MOST_RULES)


def read_document(document: Any, place: str | None) -> Translation:
    """Translate the policies. Policies that select the same tags become one rule."""
    # In Quay, a tag is deleted as soon as one policy deletes it. So the conditions of these policies must all hold.
    chosen: dict[tuple[str, ...], list[_QuayPolicy]] = {}
    for policy in _policies(document):
        chosen.setdefault(policy.tags, []).append(policy)
    repos = within(place, itself=bool(place and "/" in place), below=not (place and "/" in place))
    rules = [_rule(number, repos, tags, same) for number, (tags, same) in enumerate(chosen.items(), 1)]
    notes = ["differs: a tag is kept while another kept tag points at the same image."]
    if len(rules) > 1:
        notes.append(
            "differs: Quay deletes a tag if any policy deletes it; here a tag is kept if any of them keeps it."
        )
    return translation("Quay", rules, [*([_PLACE] if place is None else []), *notes])


def _policies(document: Any) -> Sequence[_QuayPolicy]:
    if isinstance(document, list):
        return [checked(_QuayPolicy, value, (number,)) for number, value in enumerate(listed(document))]
    if isinstance(document, dict) and "policies" in document:
        return checked(_Policies, document).policies
    return [checked(_QuayPolicy, document)]


def _rule(number: int, repos: Sequence[str], tags: Sequence[str], same: Sequence[_QuayPolicy]) -> ImportedRule:
    counts = [int(policy.value) for policy in same if policy.method == "number_of_tags"]
    periods_s = [int(policy.value) for policy in same if policy.method == "creation_date"]
    keep = keep_of(min(counts, default=0), pushed_within=min(periods_s, default=0), needs_all=True)
    return imported_rule(f"auto-prune {number}", repos=repos, tags=tags, count="tags", keep=keep)
