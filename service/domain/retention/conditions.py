"""One rule's opinion of one tag: kept or not, why, and until when that holds by time alone."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple

from service.domain.policy.model import Keep, Rule
from service.domain.policy.units import spell_duration
from service.domain.retention.ranking import Ranking
from service.domain.retention.state import Tag

_ORDER = {
    "pushed": ("the newest {}", "older than the newest {}"),
    "semver": ("the highest {} versions", "below the highest {} versions"),
    "created": ("the {} created last", "created before the last {}"),
    "name": ("the last {} by name", "before the last {} by name"),
}


@dataclass(frozen=True, slots=True)
class Opinion:
    """What one rule says of one tag. until_us: when time alone may turn a keep round; None when it cannot.

    place: the tag's place in the order of `last`, from 1; limit: how many `last` keeps. None where a rule has no
    `last`, or nobody asked for the place.
    """

    rule: str
    keep: bool
    reason: str
    until_us: int | None = None
    place: int | None = None
    limit: int | None = None


@dataclass(frozen=True, slots=True)
class Place:
    """Where a tag stands in a rule: its group, and the rankings that the rule's limits count in."""

    group: str
    order: Ranking | None
    pulls: Ranking | None


class _Holds(NamedTuple):
    """One condition looked at. reason: why it keeps the tag, or why it does not. until_us: as in Opinion."""

    keeps: bool
    reason: str
    until_us: int | None = None


def opinion_of(name: str, rule: Rule, tag: Tag, place: Place, now_us: int) -> Opinion:
    """The opinion of the rule called `name` on a tag that it selects."""
    keep = rule.keep
    if not isinstance(keep, Keep):
        return Opinion(name, keep == "always", f"rule {name} keeps {'all it selects' if keep == 'always' else 'none'}")
    if not keep.limits_tags:
        return Opinion(name, True, f"rule {name} limits only its revisions")
    keeping: list[_Holds] = []
    against: list[_Holds] = []
    for one in _conditions(rule, keep, tag, place, now_us):
        (keeping if one.keeps else against).append(one)
    if keep.mode == "all":
        return _all(name, keeping, against)
    if keeping:
        lasting = next((one for one in keeping if one.until_us is None), None)
        first = lasting or max(keeping, key=lambda one: one.until_us or 0)
        return Opinion(name, True, f"{first.reason} (rule {name})", first.until_us)
    return Opinion(name, False, f"{_joined(against)} (rule {name})")


def _all(name: str, keeping: list[_Holds], against: list[_Holds]) -> Opinion:
    if against:
        return Opinion(name, False, f"{_joined(against)} (rule {name})")
    ends = [one.until_us for one in keeping if one.until_us is not None]
    return Opinion(name, True, f"{_joined(keeping)} (rule {name})", min(ends, default=None))


def _joined(held: list[_Holds]) -> str:
    return " and ".join(one.reason for one in held)


def _conditions(rule: Rule, keep: Keep, tag: Tag, place: Place, now_us: int) -> Iterator[_Holds]:
    in_group = f" in group {' '.join(place.group.split())}" if place.group else ""
    if keep.last is not None and place.order is not None:
        number, (inside, outside) = place.order.place(place.group, tag, keep.last), _ORDER[rule.order]
        said = f"number {number} of {inside}" if number else outside
        yield _Holds(number is not None, said.format(keep.last) + in_group)
    if keep.last_pulled is not None and place.pulls is not None:
        number = place.pulls.place(place.group, tag, keep.last_pulled)
        said = f"number {number} of" if number else "not among"
        yield _Holds(number is not None, f"{said} the {keep.last_pulled} pulled last{in_group}")
    if keep.pushed_within is not None:
        yield _pushed_within(keep.pushed_within, tag, now_us)
    if keep.pulled_within is not None:
        yield _used_within(keep.pulled_within, tag, now_us)


def _pushed_within(period_s: int, tag: Tag, now_us: int) -> _Holds:
    end_us, period = (tag.pushed_us or 0) + period_s * 1_000_000, spell_duration(period_s)
    if now_us >= end_us:
        return _Holds(False, f"not pushed within {period}")
    return _Holds(True, f"pushed within {period}", end_us)


def _used_within(period_s: int, tag: Tag, now_us: int) -> _Holds:
    end_us, period = tag.used_us + period_s * 1_000_000, spell_duration(period_s)
    if now_us >= end_us:
        return _Holds(False, f"not pulled within {period}")
    by_pull = tag.pulled_us is not None and tag.pulled_us == tag.used_us
    said = f"pulled within {period}" if by_pull else f"pushed within {period}, which counts as a pull"
    return _Holds(True, said, end_us)
