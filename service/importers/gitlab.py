"""GitLab's container_expiration_policy: alone, or inside a project as the API returns it."""

import re
from typing import Annotated, Any

from pydantic import Field

from service.documents.reader import Location, shown
from service.importers.flags import MOST
from service.importers.parts import PolicyEnvelope, checked, converted
from service.importers.pattern import negated, searched, whole, within
from service.importers.period import DAY_S, HOUR_S, MONTH_S, YEAR_S, bounded
from service.importers.translation import NotImportable, Translation, imported_rule, keep_of, translation

_KEYS = ("container_expiration_policy", "container_expiration_policy_attributes")
_PERIOD = re.compile(r"(\d{1,6})\s*(h|hour|d|day|w|week|m|mon|month|y|year)s?", re.ASCII)
_UNITS_S = {"h": HOUR_S, "d": DAY_S, "w": 7 * DAY_S, "m": MONTH_S, "y": YEAR_S}
_NOTES = (
    "differs: a tag is kept while another kept tag points at the same image.",
    "no equivalent: protected and immutable tags of the project's settings; put their names into `protect: […]`.",
)
_PLACE = "an expiration policy belongs to one project: run this with --within GROUP/PROJECT, or name it below."


def _age(text: str) -> int:
    match = _PERIOD.fullmatch(text.strip().lower())
    if text and (not match or not int(match[1])):
        raise NotImportable(f"{shown(text)!r} is no age such as 7d, 14d, 30d or 90d")
    return bounded(int(match[1]) * _UNITS_S[match[2][0]], text) if match else 0


# GitLab puts \A and \z around name_regex_keep as it is: in a|b each holds for one side only, which keeps more.
_Whole = Annotated[str, converted(lambda regex: whole(regex) if regex else "")]
_Kept = Annotated[str, converted(lambda regex: searched(f"^{regex}$") if regex else "")]


class _GitLabPolicy(PolicyEnvelope):
    enabled: bool | None = True
    cadence: str | None = None
    keep_n: Annotated[int, Field(ge=0, le=MOST)] | None = None
    older_than: Annotated[int, converted(_age)] | None = None
    name_regex: _Whole | None = None
    name_regex_delete: _Whole | None = None
    name_regex_keep: _Kept | None = None

    model_config = PolicyEnvelope.model_config | {"alias_generator": None}


def read_document(document: Any, place: str | None) -> Translation:
    """Translate the policy into one rule for all images of the project."""
    values, at = _policy(document)
    policy = checked(_GitLabPolicy, values, at)
    if place is None and isinstance(document, dict) and document is not values:
        path = document.get("path_with_namespace")
        place = path.lower() if isinstance(path, str) and path else None
    notes = list(_NOTES)
    if place is None:
        notes.insert(0, _PLACE)
    if policy.cadence:
        notes.append(f"no equivalent: cadence ({policy.cadence}); pushprune acts straight after each push.")
    if policy.enabled is False:
        notes.append("differs: the policy is disabled in GitLab; here `dry_run` has the same effect.")
    # `name_regex` is GitLab's older name of `name_regex_delete`.
    regex = policy.name_regex_delete or policy.name_regex
    if not regex:
        raise NotImportable("name_regex is empty, so that it deletes nothing; write .* for every tag", at)
    rule = imported_rule(
        "expiration policy",
        repos=within(place, itself=True, below=True),
        tags=(regex, *negated((*filter(None, [policy.name_regex_keep]), "latest"))),
        count="tags",
        keep=keep_of(policy.keep_n or 0, pushed_within=policy.older_than or 0),
        notes=("differs: GitLab orders and ages tags by their creation, pushprune by their last push.",),
    )
    return translation("GitLab", [rule], notes, dry_run=policy.enabled is False)


def _policy(values: Any) -> tuple[Any, Location]:
    for key in _KEYS:
        if isinstance(values, dict) and key in values:
            return values[key], (key,)
    known = set(_GitLabPolicy.model_fields)
    if isinstance(values, dict) and not known.intersection(values):
        raise NotImportable(f"there is no {_KEYS[0]} in it, nor any key of one ({', '.join(sorted(known))})")
    return values, ()
