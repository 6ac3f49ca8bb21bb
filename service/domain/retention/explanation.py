"""The explanation of a verdict: the opinion of every rule, the other tags of the digest, and the earliest deletion."""

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

# Limits of the work for one tag, so that the answer comes at once.
_MOST_TURNS = 20
_FEWEST_LOOKS, _MOST_LOOKS = 3, 200
_MOST_COUNTED = 50_000
_POLICY = "a changed policy"


@dataclass(frozen=True, slots=True)
class Explanation:
    """The explanation of one tag.

    Attributes:
        opinions: the opinion of each rule that selects the tag.
        shares: the verdicts on the other tags of its digest.
        index: the digest of an index that lists it, or None.
        could_go_us: the earliest time (µs) at which the tag could be deleted if nothing more is pushed or pulled: now
            for a tag to delete, None if it does not expire by age.
        only_after: what must happen before the tag can be deleted, if could_go_us is None; "" otherwise.
        needs_approval: True if its deletion will wait for an approval, because the tag existed before pushprune or
            before the policy was changed.
        held: why the plan that would delete it waits for approval; None if there is no such plan.
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
    """Explain the tags of these names, the newest push first. None means all tags; unknown names are left out."""
    weighing = Weighing(state, policy, now_us)
    wanted = None if names is None else frozenset(names)
    tags = [tag for tag in weighing.newest_first if wanted is None or tag.name in wanted]
    return tuple(_explained(weighing, tag) for tag in tags)


def with_hold(explained: Iterable[Explanation], digests: Iterable[str], reason: str) -> tuple[Explanation, ...]:
    """Return the explanations with `held` set for the tags to delete of these digests.

    Args:
        digests: the digests of a plan that waits for approval.
        reason: why that plan waits.
    """
    waiting = frozenset(digests)
    return tuple(
        replace(tag, held=reason) if tag.verdict.tag.digest in waiting and not tag.verdict.kept else tag
        for tag in explained
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
    """Return what must happen before a tag that does not expire by age can be deleted."""
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
    """Return the tags that can keep this tag: itself, and with `shared: keep` all tags that keep its digest."""
    if weighing.policy.shared != "keep":
        return (tag,)
    return tuple(holder for _, holder in weighing.holding(tag.digest) if holder)


def _opinions(weighing: Weighing, tag: Tag) -> Iterator[Opinion]:
    """Yield the opinions with the tag's place in the order of `last`, even if it is beyond the limit.

    A plan does not need such a place. If many rules would have to count many tags, only the first rules do so.
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
        # At that time its creation date is read, and the rules decide: the tag may be deleted at once.
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
    """Return the first time at which the tag can be deleted, if a rule has `older_than`; None if there is none."""

    def goes(moment: int) -> bool:
        return not weighing.at(moment).verdict(tag).kept

    # Between two turns, a tag that can be deleted once can be deleted until the next turn. So a binary search works.
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
    """Return the first moment from low to high at which `goes` is true, as it is at high.

    The result may be a later moment if `looks` steps are not enough.
    """
    for _ in range(looks):
        if low >= high:
            break
        middle = (low + high) // 2
        low, high = (low, middle) if goes(middle) else (middle + 1, high)
    return high


def _looks(weighing: Weighing) -> int:
    """Return how many moments to evaluate: fewer, the more rules there are and the more tags each rule counts."""
    tags, counted = len(weighing.state.tags), 1
    for _, rule in weighing.selections.rules:
        if isinstance(rule.keep, Keep):
            most = tags if rule.group else max(rule.keep.last or 1, rule.keep.last_pulled or 1)
            counted += min(most, tags)
    return max(_FEWEST_LOOKS, min(_MOST_LOOKS, _MOST_COUNTED * 100 // counted))


def _turns(weighing: Weighing, tag: Tag) -> Iterator[int]:
    """Yield the moments at which a tag that could be deleted may become one that is kept.

    At such a moment a tag becomes old enough for a rule that may keep it, or a final rule hides other tags from a rule,
    whose places become free.
    """
    for holder in _deciding(weighing, tag):
        for _, rule in weighing.selections.naming(holder.name):
            yield (holder.pushed_us or 0) + rule.older_than * 1_000_000
    # Each moment of a final rule costs a new ranking of the tags, so only the first moments are evaluated. Beyond them
    # the reported time may be later than the first possible one, but never earlier.
    finals = (number for number, (_, rule) in enumerate(weighing.selections.rules) if rule.final)
    yield from islice(merge(*(weighing.selections.dues_us(number) for number in finals)), _MOST_TURNS)


def _end_us(weighing: Weighing, tag: Tag) -> int:
    """Return a moment after which time changes no verdict."""
    times_us = [weighing.now_us, weighing.newest_first[0].pushed_us or 0]
    for holder in _deciding(weighing, tag):
        times_us += [holder.used_us, weighing.leased_us(holder.digest)]
    periods_s = [weighing.policy.grace]
    for _, rule in weighing.selections.rules:
        keep = rule.keep if isinstance(rule.keep, Keep) else Keep()
        periods_s += [rule.older_than, keep.pushed_within or 0, keep.pulled_within or 0]
    return max(times_us) + max(periods_s) * 1_000_000 + 2
