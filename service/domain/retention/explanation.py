"""The explanation of a verdict: the result of every rule, the other tags of the digest, and the earliest deletion."""

import sys
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from heapq import merge
from itertools import islice, pairwise

from service.domain.policy.model import Keep
from service.domain.retention.conditions import RuleResult
from service.domain.retention.evaluation import Evaluation
from service.domain.retention.leases import leased_us
from service.domain.retention.plan import Verdict
from service.domain.retention.revisions import ONE_PUSH_US
from service.domain.retention.state import Tag

# Limits of the work for one tag, so that the answer comes at once.
_MOST_TURNING_POINTS = 20
_FEWEST_MOMENTS, _MOST_MOMENTS = 3, 200
_MOST_COUNTED = 50_000
_POLICY = "a changed policy"


@dataclass(frozen=True, slots=True)
class Explanation:
    """The explanation of one tag.

    Attributes:
        rule_results: the result of each rule that selects the tag.
        shares: the verdicts on the other tags of its digest.
        index: the digest of an index that lists it, or None.
        earliest_deletion_us: the earliest time (µs) at which the tag could be deleted if nothing more is pushed or
            pulled: now for a tag to delete, None if it does not expire by age.
        only_after: what must happen before the tag can be deleted, if earliest_deletion_us is None; "" otherwise.
        needs_approval: True if its deletion will wait for an approval, because the tag existed before pushprune or
            before the policy was changed.
        held: why the plan that would delete it waits for approval; None if there is no such plan.
    """

    verdict: Verdict
    rule_results: tuple[RuleResult, ...]
    shares: tuple[Verdict, ...]
    index: str | None
    earliest_deletion_us: int | None
    only_after: str = ""
    needs_approval: bool = False
    held: str | None = None


def explanations(evaluation: Evaluation, names: tuple[str, ...] | None = None) -> tuple[Explanation, ...]:
    """Explain the tags of these names, the newest push first. None means all tags; unknown names are left out."""
    wanted = None if names is None else frozenset(names)
    tags = [tag for tag in evaluation.newest_first if wanted is None or tag.name in wanted]
    return tuple(_explained(evaluation, tag) for tag in tags)


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


def _explained(evaluation: Evaluation, tag: Tag) -> Explanation:
    earliest_deletion_us = _earliest_deletion_us(evaluation, tag)
    return Explanation(
        verdict=evaluation.verdict(tag),
        rule_results=tuple(_rule_results(evaluation, tag)),
        shares=tuple(evaluation.verdict(other) for other in evaluation.holders[tag.digest] if other.name != tag.name),
        index=evaluation.fixed.parents.get(tag.digest),
        earliest_deletion_us=earliest_deletion_us,
        only_after=_only_after(evaluation, tag) if earliest_deletion_us is None else "",
        needs_approval=evaluation.needs_approval(tag),
    )


def _only_after(evaluation: Evaluation, tag: Tag) -> str:
    """Return what must happen before a tag that does not expire by age can be deleted."""
    if evaluation.policy.protects(tag.name):
        return _POLICY
    if evaluation.fixed.bound(tag):
        return "the deletion of the image or index that it belongs to"
    rules = [evaluation.selections.rules[number][1] for number, _ in evaluation.selections.selecting(tag)]
    rules = rules or [rule for _, rule in evaluation.selections.naming(tag.name) if tag.pushed_us is None]
    limits = [rule.keep for rule in rules if isinstance(rule.keep, Keep)]
    by_place = any(keep.last is not None or keep.last_pulled is not None for keep in limits)
    return f"newer pushes or {_POLICY}" if by_place else _POLICY


def _deciding(evaluation: Evaluation, tag: Tag) -> tuple[Tag, ...]:
    """Return the tags that can keep this tag: itself, and with `shared: keep` all tags that keep its digest."""
    if evaluation.policy.shared != "keep":
        return (tag,)
    return tuple(holder for _, holder in evaluation.holding(tag.digest) if holder)


def _rule_results(evaluation: Evaluation, tag: Tag) -> Iterator[RuleResult]:
    """Yield the results with the tag's place in the order of `last`, even if it is beyond the limit.

    A plan does not need such a place. If many rules would have to count many tags, only the first rules do so.
    """
    counted = 0
    for result, (number, group) in zip(
        evaluation.rule_results(tag), evaluation.selections.selecting(tag), strict=False
    ):
        _, rule = evaluation.selections.rules[number]
        limit = rule.keep.last if isinstance(rule.keep, Keep) else None
        if limit is None:
            yield result
        else:
            ranking = evaluation.selections.ranking(number, rule.order)
            place = ranking.place(group, tag, sys.maxsize if counted < _MOST_COUNTED else limit)
            counted += ranking.counted
            yield replace(result, place=place, limit=limit)


def _earliest_deletion_us(evaluation: Evaluation, tag: Tag) -> int | None:
    if evaluation.own_verdict(tag).kept and evaluation.awaits_date(tag):
        # At that time its creation date is read, and the rules decide: the tag may be deleted at once.
        return max(evaluation.now_us, evaluation.state.reports_until_us)
    if evaluation.selections.ages:
        return _first_by_age(evaluation, tag)
    verdict, moment = evaluation.verdict(tag), evaluation.now_us
    while verdict.kept:
        if verdict.until_us is None:
            return None
        moment = verdict.until_us
        verdict = evaluation.at(moment).verdict(tag)
    return moment


def _first_by_age(evaluation: Evaluation, tag: Tag) -> int | None:
    """Return the first time at which the tag can be deleted, if a rule has `older_than`; None if there is none."""

    def is_deleted(moment: int) -> bool:
        return not evaluation.at(moment).verdict(tag).kept

    # Once a tag can be deleted, that remains so until the next turning point. So a binary search works.
    if is_deleted(evaluation.now_us):
        return evaluation.now_us
    starts = sorted(
        {evaluation.now_us, *(moment for moment in _turning_points(evaluation, tag) if moment > evaluation.now_us)}
    )
    tries = _most_moments(evaluation)
    for start, end in pairwise((*starts[:tries], _end_us(evaluation, tag))):
        if is_deleted(end - 1):
            likely = evaluation.at(start).verdict(tag).until_us
            if likely is not None and start <= likely < end and is_deleted(likely) and not is_deleted(likely - 1):
                return likely
            return _first_moment(start, end - 1, is_deleted, tries)
    return None


def _first_moment(low: int, high: int, is_deleted: Callable[[int], bool], tries: int) -> int:
    """Return the first moment from low to high at which `is_deleted` is true, as it is at high.

    The result may be a later moment if so many tries are not enough.
    """
    for _ in range(tries):
        if low >= high:
            break
        middle = (low + high) // 2
        low, high = (low, middle) if is_deleted(middle) else (middle + 1, high)
    return high


def _most_moments(evaluation: Evaluation) -> int:
    """Return how many moments to evaluate: fewer, the more rules there are and the more tags each rule counts."""
    tags, counted = len(evaluation.state.tags), 1
    for _, rule in evaluation.selections.rules:
        if isinstance(rule.keep, Keep):
            most = tags if rule.group else max(rule.keep.last or 1, rule.keep.last_pulled or 1)
            counted += min(most, tags)
    return max(_FEWEST_MOMENTS, min(_MOST_MOMENTS, _MOST_COUNTED * 100 // counted))


def _turning_points(evaluation: Evaluation, tag: Tag) -> Iterator[int]:
    """Yield the moments at which a tag that could be deleted may become one that is kept.

    At such a moment a tag becomes old enough for a rule that may keep it, or a final rule hides other tags from a rule,
    whose places become free.
    """
    for holder in _deciding(evaluation, tag):
        for _, rule in evaluation.selections.naming(holder.name):
            yield (holder.pushed_us or 0) + rule.older_than * 1_000_000
    # Each moment of a final rule costs a new ranking of the tags, so only the first moments are evaluated. Beyond them
    # the reported time may be later than the first possible one, but never earlier.
    finals = (number for number, (_, rule) in enumerate(evaluation.selections.rules) if rule.final)
    yield from islice(merge(*(evaluation.selections.dues_us(number) for number in finals)), _MOST_TURNING_POINTS)


def _end_us(evaluation: Evaluation, tag: Tag) -> int:
    """Return a moment after which time changes no verdict."""
    times_us = [evaluation.now_us, evaluation.newest_first[0].pushed_us or 0]
    for holder in _deciding(evaluation, tag):
        times_us += [holder.used_us, leased_us(evaluation.state, holder.digest)]
    periods_s = [evaluation.policy.grace, ONE_PUSH_US // 1_000_000]
    for _, rule in evaluation.selections.rules:
        keep = rule.keep if isinstance(rule.keep, Keep) else Keep()
        periods_s += [rule.older_than, keep.longest_s]
    return max(times_us) + max(periods_s) * 1_000_000 + 2
