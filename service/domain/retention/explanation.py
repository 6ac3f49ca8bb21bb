"""Why a tag stays or goes: what every rule says, what else holds its digest, and when it could go."""

import sys
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from heapq import merge
from itertools import islice, pairwise

from service.domain.policy.model import Keep, Policy
from service.domain.retention.conditions import Opinion
from service.domain.retention.evaluation import Weighing
from service.domain.retention.plan import Verdict
from service.domain.retention.state import State, Tag

# How much is looked at for one tag, so that nobody waits for the answer.
_MOST_TURNS = 20
_FEWEST_LOOKS, _MOST_LOOKS = 3, 200
_MOST_COUNTED = 50_000
_POLICY = "a changed policy"


@dataclass(frozen=True, slots=True)
class Explanation:
    """One tag explained. opinions: what each rule that selects it says. shares: the other tags of its digest.

    index: the digest of an index that lists it, or None. could_go_us: the earliest moment at which it could go if
    nothing more is pushed or pulled: now for one that goes, None when time alone will not do it; only_after: then what
    has to happen first, "" otherwise. needs_approval: its deletion will wait for an approval: it was there before
    pushprune, or before the policy was changed. held: why the plan that would delete it waits for approval; None when
    none does.
    """

    verdict: Verdict
    opinions: tuple[Opinion, ...]
    shares: tuple[Verdict, ...]
    index: str | None
    could_go_us: int | None
    only_after: str = ""
    needs_approval: bool = False
    held: str | None = None


def explain(state: State, policy: Policy, now_us: int, names: tuple[str, ...] | None = None) -> tuple[Explanation, ...]:
    """Explains these tags (all when not given), the newest push first; names that are no live tags are left out."""
    weighing = Weighing(state, policy, now_us)
    wanted = None if names is None else frozenset(names)
    tags = [tag for tag in weighing.newest_first if wanted is None or tag.name in wanted]
    return tuple(_explained(weighing, tag) for tag in tags)


def with_hold(explained: Iterable[Explanation], digests: Iterable[str], reason: str) -> tuple[Explanation, ...]:
    """The same where a plan waits, for this reason, that would delete these digests."""
    waiting = frozenset(digests)
    return tuple(
        replace(one, held=reason) if one.verdict.tag.digest in waiting and not one.verdict.kept else one
        for one in explained
    )


def _explained(weighing: Weighing, tag: Tag) -> Explanation:
    could_go_us = _could_go_us(weighing, tag)
    return Explanation(
        verdict=weighing.verdict(tag),
        opinions=tuple(_opinions(weighing, tag)),
        shares=tuple(weighing.verdict(other) for other in weighing.holders[tag.digest] if other.name != tag.name),
        index=weighing.parents.get(tag.digest),
        could_go_us=could_go_us,
        only_after=_only_after(weighing, tag) if could_go_us is None else "",
        needs_approval=weighing.needs_approval(tag),
    )


def _only_after(weighing: Weighing, tag: Tag) -> str:
    """Return what has to happen before the tag can be deleted, as time alone does not do it."""
    if weighing.policy.protects(tag.name):
        return _POLICY
    if weighing.bound_verdict(tag):
        return "the deletion of the image or index that it belongs to"
    rules = [weighing.selections.rules[number][1] for number, _ in weighing.selections.selecting(tag)]
    rules = rules or [rule for _, rule in weighing.selections.naming(tag.name) if tag.pushed_us is None]
    limits = [rule.keep for rule in rules if isinstance(rule.keep, Keep)]
    by_place = any(keep.last is not None or keep.last_pulled is not None for keep in limits)
    return f"newer pushes or {_POLICY}" if by_place else _POLICY


def _deciding(weighing: Weighing, tag: Tag) -> tuple[Tag, ...]:
    """The tags because of which this one may stay: itself, and with `shared: keep` what else holds its digest."""
    if weighing.policy.shared != "keep":
        return (tag,)
    return tuple(holder for _, holder in weighing.holding(tag.digest) if holder)


def _opinions(weighing: Weighing, tag: Tag) -> Iterator[Opinion]:
    """The opinions with the tag's place under `last`, also beyond its limit; a plan does not need to know that.

    Where many rules would have many tags counted for it, only the first of them do.
    """
    counted = 0
    for opinion, (number, group) in zip(weighing.opinions(tag), weighing.selections.selecting(tag), strict=False):
        _, rule = weighing.selections.rules[number]
        limit = rule.keep.last if isinstance(rule.keep, Keep) else None
        if limit is None:
            yield opinion
        else:
            ranking = weighing.selections.ranking(number, rule.order)
            place = ranking.place(group, tag, sys.maxsize if counted < _MOST_COUNTED else limit)
            counted += ranking.counted
            yield replace(opinion, place=place, limit=limit)


def _could_go_us(weighing: Weighing, tag: Tag) -> int | None:
    if weighing.own_verdict(tag).kept and weighing.awaits_date(tag):
        # Then its creation date is read, and the rules decide: it may be deleted at once.
        return max(weighing.now_us, weighing.state.told_us)
    if weighing.selections.ages:
        return _first_by_age(weighing, tag)
    verdict, moment = weighing.verdict(tag), weighing.now_us
    while verdict.kept:
        if verdict.until_us is None:
            return None
        moment = verdict.until_us
        verdict = weighing.at(moment).verdict(tag)
    return moment


def _first_by_age(weighing: Weighing, tag: Tag) -> int | None:
    """Where rules take up what grows old: between two turns what could go once may go ever after, so halves find it."""

    def goes(moment: int) -> bool:
        return not weighing.at(moment).verdict(tag).kept

    if goes(weighing.now_us):
        return weighing.now_us
    starts = sorted({weighing.now_us, *(moment for moment in _turns(weighing, tag) if moment > weighing.now_us)})
    looks = _looks(weighing)
    for start, end in pairwise((*starts[:looks], _end_us(weighing, tag))):
        if goes(end - 1):
            likely = weighing.at(start).verdict(tag).until_us
            if likely is not None and start <= likely < end and goes(likely) and not goes(likely - 1):
                return likely
            return _halved(start, end - 1, goes, looks)
    return None


def _halved(low: int, high: int, goes: Callable[[int], bool], looks: int) -> int:
    """The first moment from low to high at which it goes, as it does at high; a later one after so many looks."""
    for _ in range(looks):
        if low >= high:
            break
        middle = (low + high) // 2
        low, high = (low, middle) if goes(middle) else (middle + 1, high)
    return high


def _looks(weighing: Weighing) -> int:
    """At how many moments to look: fewer, the more rules there are to ask and tags to count for each of them."""
    tags, counted = len(weighing.state.tags), 1
    for _, rule in weighing.selections.rules:
        if isinstance(rule.keep, Keep):
            most = tags if rule.group else max(rule.keep.last or 1, rule.keep.last_pulled or 1)
            counted += min(most, tags)
    return max(_FEWEST_LOOKS, min(_MOST_LOOKS, _MOST_COUNTED * 100 // counted))


def _turns(weighing: Weighing, tag: Tag) -> Iterator[int]:
    """The moments at which a tag that could go may become one that stays.

    A rule takes up a tag that decides; or a final rule takes others away, whose places become free. Of the latter
    only the first so many of all rules together are looked at, since each has the tags ranked anew; beyond them a later
    moment may be said than the first, never an earlier one.
    """
    for holder in _deciding(weighing, tag):
        for _, rule in weighing.selections.naming(holder.name):
            yield (holder.pushed_us or 0) + rule.older_than * 1_000_000
    finals = (number for number, (_, rule) in enumerate(weighing.selections.rules) if rule.final)
    yield from islice(merge(*(weighing.selections.dues_us(number) for number in finals)), _MOST_TURNS)


def _end_us(weighing: Weighing, tag: Tag) -> int:
    """A moment after which time changes nothing."""
    times_us = [weighing.now_us, weighing.newest_first[0].pushed_us or 0]
    for holder in _deciding(weighing, tag):
        times_us += [holder.used_us, weighing.leased_us(holder.digest)]
    periods_s = [weighing.policy.grace]
    for _, rule in weighing.selections.rules:
        keep = rule.keep if isinstance(rule.keep, Keep) else Keep()
        periods_s += [rule.older_than, keep.pushed_within or 0, keep.pulled_within or 0]
    return max(times_us) + max(periods_s) * 1_000_000 + 2
