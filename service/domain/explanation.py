"""Why a tag stays or goes: what every rule says, what else holds its digest, and when it could go."""

from collections.abc import Iterator
from dataclasses import dataclass

from service.domain.opinion import Opinion
from service.domain.plan import Verdict
from service.domain.policy import Keep, Policy
from service.domain.state import State, Tag
from service.domain.weighing import Weighing

_EACH = 100


@dataclass(frozen=True, slots=True)
class Explanation:
    """One tag explained. opinions: what each rule that selects it says. shares: the other tags of its digest.

    index: the digest of an index that lists it, or None. could_go_us: the earliest moment at which it could go if
    nothing more is pushed or pulled: now for one that goes, None when time alone will not do it.
    """

    verdict: Verdict
    opinions: tuple[Opinion, ...]
    shares: tuple[Verdict, ...]
    index: str | None
    could_go_us: int | None


def explain(state: State, policy: Policy, now_us: int, names: tuple[str, ...] | None = None) -> tuple[Explanation, ...]:
    """Explains these tags (all when not given), the newest push first; names that are no live tags are left out."""
    weighing = Weighing(state, policy, now_us)
    wanted = None if names is None else frozenset(names)
    tags = [tag for tag in weighing.newest_first if wanted is None or tag.name in wanted]
    return tuple(_explained(weighing, tag) for tag in tags)


def _explained(weighing: Weighing, tag: Tag) -> Explanation:
    return Explanation(
        verdict=weighing.verdict(tag),
        opinions=tuple(weighing.opinions(tag)),
        shares=tuple(weighing.verdict(other) for other in weighing.holders[tag.digest] if other.name != tag.name),
        index=weighing.parents.get(tag.digest),
        could_go_us=_could_go_us(weighing, tag),
    )


def _could_go_us(weighing: Weighing, tag: Tag) -> int | None:
    if not weighing.verdict(tag).kept:
        return weighing.now_us
    moments = sorted({moment for moment in _moments(weighing, tag) if moment > weighing.now_us})
    if len(moments) <= _EACH:
        return next((moment for moment in moments if not weighing.at(moment).verdict(tag).kept), None)
    return _first_by_halves(weighing, tag, moments)


def _first_by_halves(weighing: Weighing, tag: Tag, moments: list[int]) -> int | None:
    """What could go once may go ever after, except where a final rule takes up what grows old: then later is said."""
    if weighing.at(moments[-1]).verdict(tag).kept:
        return None
    low, high = 0, len(moments) - 1
    while low < high:
        middle = (low + high) // 2
        if weighing.at(moments[middle]).verdict(tag).kept:
            low = middle + 1
        else:
            high = middle
    return moments[low]


def _moments(weighing: Weighing, tag: Tag) -> Iterator[int]:
    """Every moment at which time alone may change the verdict on a tag, on those of its digest, or displace it."""
    for holder in weighing.holders[tag.digest]:
        if holder.pushed_us is None:
            continue
        yield holder.pushed_us + weighing.policy.grace * 1_000_000
        for _, rule in weighing.selections.naming(holder.name):
            yield holder.pushed_us + rule.older_than * 1_000_000
            if isinstance(rule.keep, Keep):
                yield holder.pushed_us + (rule.keep.pushed_within or 0) * 1_000_000
                yield holder.used_us + (rule.keep.pulled_within or 0) * 1_000_000
    yield weighing.state.leased.get(tag.digest, 0)
    yield from weighing.selections.pending_us()
