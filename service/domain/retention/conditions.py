"""The result of one rule about one tag: keep it or not, why, and until when if only time passes."""

from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum
from typing import NamedTuple

from service.domain.policy.model import Keep, Rule
from service.domain.policy.units import spell_count, spell_duration
from service.domain.retention.ranking import Ranking
from service.domain.retention.state import Tag

_ORDER = {
    "pushed": ("the newest {}", "older than the newest {}"),
    "semver": ("the highest {} versions", "below the highest {} versions"),
    "created": ("the {} created last", "created before the last {}"),
    "name": ("the last {} by name", "before the last {} by name"),
    "pulled": ("the {} pulled last", "not among the {} pulled last"),
}
# The same for a limit of one image.
_FIRST = {
    "pushed": ("the newest", "older than the newest"),
    "semver": ("the highest version", "below the highest version"),
    "created": ("the one created last", "created before the last one"),
    "name": ("the last by name", "before the last by name"),
    "pulled": ("the one pulled last", "not the one pulled last"),
}
_TIED = {
    "pushed": "has the same date as {}",
    "semver": "has the same version and date as {}",
    "created": "was created at the same time as {}",
    "pulled": "was last used at the same time as {}",
}


class UnknownAge(StrEnum):
    """The reason to keep an image that may be older than the images that the rule is meant to keep."""

    TIED = "tied"  # the rule's order cannot distinguish it from the last image that the rule keeps
    UNDATED = "undated"  # its push time and its creation time are unknown


@dataclass(frozen=True, slots=True)
class RuleResult:
    """The result of one rule about one tag.

    Attributes:
        until_us: the time at which a kept tag may be deleted by age alone; None if it cannot.
        place: the place of the tag in the order of `last`, from 1. None without `last`, and if it was not computed.
        limit: the number of images that `last` keeps. None in the same cases.
        unknown_age: set if the tag is kept only because its age is not known.
    """

    rule: str
    keep: bool
    reason: str
    until_us: int | None = None
    place: int | None = None
    limit: int | None = None
    unknown_age: UnknownAge | None = None


@dataclass(frozen=True, slots=True)
class Place:
    """The position of a tag in a rule: its group, and the rankings for `last` and `last_pulled`, if it has them.

    Attributes:
        uncounted: why another tag of the same image is not counted yet; "" if there is none.
    """

    group: str
    order: Ranking | None
    pulls: Ranking | None
    uncounted: str = ""


class _Condition(NamedTuple):
    """The result of one condition, with the reason why it keeps the tag or does not. until_us: as in RuleResult."""

    keeps: bool
    reason: str
    until_us: int | None = None
    unknown_age: UnknownAge | None = None


def result_of(name: str, rule: Rule, tag: Tag, place: Place, now_us: int) -> RuleResult:
    """Return the result of the rule `name` about a tag that it selects."""
    keep = rule.keep
    if not isinstance(keep, Keep):
        return RuleResult(
            name, keep == "always", f"rule {name} keeps {'all it selects' if keep == 'always' else 'none'}"
        )
    if not keep.limits_tags:
        return RuleResult(name, True, f"rule {name} limits only its revisions")
    keeping: list[_Condition] = []
    against: list[_Condition] = []
    for result in _conditions(rule, keep, tag, place, now_us):
        (keeping if result.keeps else against).append(result)
    if keep.mode == "all":
        return _all(name, keeping, against)
    if keeping:
        # Report the condition that keeps the tag longest. A known age comes before an unknown one.
        lasting = [condition for condition in keeping if condition.until_us is None]
        lasting.sort(key=lambda condition: condition.unknown_age is not None)
        first = lasting[0] if lasting else max(keeping, key=lambda condition: condition.until_us or 0)
        return RuleResult(name, True, f"{first.reason} (rule {name})", first.until_us, unknown_age=first.unknown_age)
    return RuleResult(name, False, f"{_joined(against)} (rule {name})")


def _all(name: str, keeping: list[_Condition], against: list[_Condition]) -> RuleResult:
    if against:
        return RuleResult(name, False, f"{_joined(against)} (rule {name})")
    ends = [condition.until_us for condition in keeping if condition.until_us is not None]
    unknown_age = next((condition.unknown_age for condition in keeping if condition.unknown_age), None)
    return RuleResult(name, True, f"{_joined(keeping)} (rule {name})", min(ends, default=None), unknown_age=unknown_age)


def _joined(results: list[_Condition]) -> str:
    return " and ".join(result.reason for result in results)


def _conditions(rule: Rule, keep: Keep, tag: Tag, place: Place, now_us: int) -> Iterator[_Condition]:
    in_group = f" in group {' '.join(place.group.split())}" if place.group else ""
    if keep.last is not None and place.order is not None:
        yield _among(keep.last, place.order, place, tag, _words(rule.order, keep.last, in_group))
    if keep.last_pulled is not None and place.pulls is not None:
        yield _among(keep.last_pulled, place.pulls, place, tag, _words("pulled", keep.last_pulled, in_group))
    if keep.pushed_within is not None:
        yield _pushed_within(keep.pushed_within, tag, now_us)
    if keep.pulled_within is not None:
        yield _used_within(keep.pulled_within, tag, now_us)


def _words(order: str, most: int, in_group: str) -> tuple[str, str, str]:
    """Return a name for the first `most` images, and the reasons for a tag beyond them and for a tie with the last."""
    names = _FIRST if most == 1 else _ORDER
    inside, outside = (words.format(most) + in_group for words in names[order])
    last = inside if most == 1 else f"number {most} of {inside}"
    return inside, outside, _TIED.get(order, "ties with {}").format(last)


def _among(most: int, ranking: Ranking, place: Place, tag: Tag, words: tuple[str, str, str]) -> _Condition:
    """Return the result of the condition that the tag is among the first `most` of its group.

    Args:
        words: see `_words`.
    """
    inside, outside, tied = words
    number = ranking.place(place.group, tag, most)
    if number is None and place.uncounted:
        return _Condition(True, place.uncounted, None, UnknownAge.UNDATED)
    if number is None:
        return _Condition(False, outside)
    if not ranking.takes_slot(tag):
        newer = spell_count(most, "newer image")
        is_known = "is" if most == 1 else "are"
        return _Condition(
            True, f"its age is not known, so it is kept until {newer} {is_known} known", None, UnknownAge.UNDATED
        )
    if number > most:
        return _Condition(True, tied, None, UnknownAge.TIED)
    return _Condition(True, inside if most == 1 else f"number {number} of {inside}")


def _pushed_within(period_s: int, tag: Tag, now_us: int) -> _Condition:
    end_us, period = (tag.pushed_us or 0) + period_s * 1_000_000, spell_duration(period_s)
    if now_us >= end_us:
        return _Condition(False, f"not pushed within {period}")
    return _Condition(True, f"pushed within {period}", end_us)


def _used_within(period_s: int, tag: Tag, now_us: int) -> _Condition:
    end_us, period = tag.used_us + period_s * 1_000_000, spell_duration(period_s)
    if now_us >= end_us:
        return _Condition(False, f"not pulled within {period}")
    by_pull = tag.pulled_us is not None and tag.pulled_us == tag.used_us
    reason = f"pulled within {period}" if by_pull else f"pushed within {period}, which counts as a pull"
    return _Condition(True, reason, end_us)
