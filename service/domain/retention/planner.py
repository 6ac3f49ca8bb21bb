"""Retention: a state + a policy -> a plan. Every verdict carries its reason."""

from collections.abc import Iterable, Iterator
from dataclasses import replace

from service.domain.policy.model import Keep, Policy
from service.domain.policy.units import spell_duration
from service.domain.retention.evaluation import Weighing
from service.domain.retention.manual import by_hand
from service.domain.retention.plan import UNLISTED, Doomed, Plan, Verdict
from service.domain.retention.state import State, Tag, Untagged

# Whoever pushes an index pushes its parts first, without a tag: such a push is given time to be completed.
NEVER_TAGGED_US = 3600 * 1_000_000


def plan(state: State, policy: Policy, now_us: int, *, only_asked: bool = False) -> Plan:
    """The plan for one repository: the same for any order of its input.

    only_asked: of what somebody asked for by hand, and of what follows that; the policy does no more than protect.
    """
    weighing = Weighing(state, policy, now_us, only_asked=only_asked)
    verdicts = tuple(weighing.verdict(tag) for tag in weighing.newest_first)
    untagged = tuple(_untagged_verdicts(weighing))
    doomed = (*_doomed(verdicts), *(Doomed(verdict.tag.digest, (verdict,)) for verdict in untagged if not verdict.kept))
    hold = _hold(doomed, len(verdicts), len(untagged), weighing)
    unresolved = tuple(_unresolved(weighing, bool(doomed)))
    undated = () if only_asked else tuple(sorted(_undated(weighing)))
    unseen = () if only_asked else tuple(sorted(_unseen(weighing)))
    return Plan(
        verdicts=verdicts,
        untagged=untagged,
        doomed=doomed,
        unresolved=unresolved,
        undated=undated,
        unseen=unseen,
        is_whole=bool(weighing.rules)
        and not (only_asked or unresolved or undated or unseen)
        and not _postpones_approval(verdicts, weighing),
        next_us=min(_boundaries(weighing, (*verdicts, *untagged)), default=None),
        hold=hold,
        hold_under=policy.fingerprint() if hold else "",
    )


def kept_unheard(state: State, policy: Policy, now_us: int, made: Plan) -> int:
    """Return how many tags `made` keeps only because their pushes were not heard.

    Such a tag may be older than it looks, so it takes no slot from others. Many of them stay where fewer pushes were
    heard since than the policy keeps. A tag that the first comparison of the repository found is not counted: it was
    there before pushprune, so that no event of it was lost.
    """
    unheard = {tag.name for tag in state.tags if tag.sighted and not tag.found}
    if not unheard:
        return 0
    # One after the other: of tags that are first seen at the same moment none would be the older one.
    at_us = {tag.name: (tag.pushed_us or 0) + nth for nth, tag in enumerate(state.tags) if tag.name in unheard}
    heard = replace(
        state,
        tags=tuple(
            replace(tag, sighted=False, pushed_us=at_us[tag.name]) if tag.name in unheard and tag.pushed_us else tag
            for tag in state.tags
        ),
    )
    deleted = {name for doomed in made.doomed for name in doomed.tags}
    would = {name for doomed in plan(heard, policy, now_us).doomed for name in doomed.tags}
    return len(would - deleted)


def _unresolved(weighing: Weighing, dooms: bool) -> list[str]:
    """The manifests to read first: all unknown ones before a deletion, else what decides if a part is deleted.

    A manifest that was pushed by its digest, and is no part of an index, may be about an image: no event says so.
    """
    state = weighing.state
    unknown = {digest for digest, known in state.links.items() if known is None}
    if not dooms:
        return sorted(unknown & {untagged.index for untagged in state.untagged})
    nameless = {untagged.digest for untagged in state.untagged if not (untagged.tag or untagged.index)}
    return sorted(unknown | (nameless - state.links.keys() - weighing.parents.keys()))


def _postpones_approval(verdicts: Iterable[Verdict], weighing: Weighing) -> bool:
    """Return True if the plan deletes nothing that needs an approval, only because ages are not known.

    Enough later pushes make a plan that deletes such tags, and nobody has approved any plan until then.
    """
    before = [verdict for verdict in verdicts if weighing.needs_approval(verdict.tag)]
    deletes = any(not (verdict.kept or verdict.follows or verdict.by_hand) for verdict in before)
    return not deletes and any(verdict.doubt for verdict in before)


def _doomed(verdicts: Iterable[Verdict]) -> Iterator[Doomed]:
    by_digest: dict[str, list[Verdict]] = {}
    for verdict in verdicts:
        if not verdict.kept:
            by_digest.setdefault(verdict.tag.digest, []).append(verdict)
    for digest, gone in by_digest.items():
        yield Doomed(digest, tuple(gone))


def _untagged_verdicts(weighing: Weighing) -> Iterator[Verdict]:
    """One verdict for each manifest that no tag points at, by digest."""
    for untagged in sorted(weighing.state.untagged, key=lambda one: one.digest):
        if untagged.digest not in weighing.holders:
            verdict = _untagged_verdict(weighing, untagged)
            if not verdict.kept and weighing.state.hides_tags:
                verdict = Verdict(verdict.tag, True, f"{UNLISTED} may point at it", verdict.rule)
            yield weighing.in_turn(verdict)


def _untagged_verdict(weighing: Weighing, untagged: Untagged) -> Verdict:
    tag = Tag("", untagged.digest, untagged.since_us)
    bound = weighing.bound_verdict(tag)
    if bound and bound.kept:
        return bound
    if untagged.index and _may_stand(weighing, untagged.index):
        return Verdict(tag, True, f"it is part of the index {untagged.index}")
    asked = weighing.asked(tag)
    revision = weighing.revision(untagged.digest)
    if revision and not asked:
        return Verdict(tag, True, revision.reason, revision.rule)
    apart = weighing.leased_verdict(tag, None) or bound
    if apart:
        return apart
    went = untagged.index or (untagged.digest if untagged.taken or untagged.begun else "")
    if went and (weighing.rules or went in weighing.state.by_hand):
        return _following(weighing, untagged, tag, asked=went in weighing.state.by_hand)
    if asked:
        return Verdict(tag, False, by_hand(asked), by_hand=True, by=asked.by)
    return _by_age(weighing, untagged, tag)


def _may_stand(weighing: Weighing, index: str) -> bool:
    """Whether an index that was seen to go may be back: it is known again, even if nobody has looked into it yet."""
    return index in weighing.state.links or weighing.stands(index)


def _following(weighing: Weighing, untagged: Untagged, tag: Tag, *, asked: bool) -> Verdict:
    """Parts of an index die with it, and a manifest with the last of its tags; no `untagged` has to say so."""
    rule, index = weighing.first_rule, untagged.index
    if index:
        return Verdict(tag, False, f"the index {index} is gone", rule, follows=True, after=index, by_hand=asked)
    if untagged.begun:
        reason = f"it was being deleted when its last tag {untagged.tag} left it"
        return Verdict(tag, False, reason, rule, follows=True, by_hand=asked)
    return Verdict(tag, False, f"its last tag {untagged.tag} was deleted", rule, follows=True, told=True, by_hand=asked)


def _by_age(weighing: Weighing, untagged: Untagged, tag: Tag) -> Verdict:
    """`untagged`: one keep wins, and so the longest time does."""
    against: Verdict | None = None
    keeping: Verdict | None = None
    for name, period_s in _periods(weighing, untagged):
        if period_s is None:
            return Verdict(tag, True, f"rule {name} keeps what is untagged", name)
        period_us = max(period_s * 1_000_000, weighing.policy.grace * 1_000_000)
        period_us = period_us if untagged.tag else max(period_us, NEVER_TAGGED_US)
        end_us, period = untagged.since_us + period_us, spell_duration(period_us // 1_000_000)
        if weighing.now_us >= end_us:
            reason = f"untagged for {period} or more (rule {name})"
            against = against or Verdict(tag, False, reason, name)
        elif keeping is None or end_us > (keeping.until_us or 0):
            keeping = Verdict(tag, True, f"untagged for less than {period} (rule {name})", name, end_us)
    return keeping or against or Verdict(tag, True, "no rule says what to do with untagged manifests like it")


def _periods(weighing: Weighing, untagged: Untagged) -> Iterator[tuple[str, int | None]]:
    """(rule, seconds it may stay; None = for ever) of each rule whose matter it is and that says anything."""
    rules = weighing.selections.naming(untagged.tag) if untagged.tag else weighing.selections.rules
    for name, rule in rules:
        if rule.untagged is not None and (untagged.tag or rule.concerns_every_tag):
            yield name, None if rule.untagged == "keep" else rule.untagged


def _undated(weighing: Weighing) -> set[str]:
    """Digests whose creation nobody has looked up, in groups that overflow a limit which counts by it."""
    undated: set[str] = set()
    for number, (_, rule) in enumerate(weighing.selections.rules):
        last = rule.keep.last if isinstance(rule.keep, Keep) else None
        if rule.order != "created" or last is None:
            continue
        groups: dict[str, set[str]] = {}
        missing: dict[str, set[str]] = {}
        for tag, group in weighing.selections.selected(number):
            groups.setdefault(group, set()).add(tag.digest if rule.count == "digests" else tag.name)
            if tag.created_us is None:
                missing.setdefault(group, set()).add(tag.digest)
        undated.update(*(missing.get(group, ()) for group, counted in groups.items() if len(counted) > last))
    return undated


def _unseen(weighing: Weighing) -> set[str]:
    """Return the digests of tags with an unknown push time whose creation date may decide anything."""
    return {tag.digest for tag in weighing.state.tags if weighing.awaits_date(tag)}


def _boundaries(weighing: Weighing, verdicts: Iterable[Verdict]) -> Iterator[int]:
    """Every moment at which time alone may change a verdict."""
    for verdict in verdicts:
        if verdict.kept and verdict.until_us is not None:
            yield verdict.until_us
    yield from weighing.selections.next_us()


def _hold(doomed: tuple[Doomed, ...], tags: int, untagged: int, weighing: Weighing) -> str | None:
    """Why the plan waits. What follows an image that went is no more than its deletion was.

    What waits goes on waiting until it is approved, is no longer to go, or the policy is another: no push that makes it
    a smaller share approves it.
    """
    policy, state = weighing.policy, weighing.state
    counted = [
        verdict
        for digest in doomed
        if digest.digest not in state.approved
        for verdict in digest.verdicts
        if not (verdict.follows or verdict.by_hand)
    ]
    removed = sum(1 for verdict in counted if verdict.tag.name)
    nameless = len(counted) - removed
    also = f" and {nameless} of {untagged} manifests without a tag" if nameless else ""
    would = f"it would remove {removed} of {tags} tags{also}"
    if because := _unapproved(counted, weighing):
        return f"{because}: {would}"
    # Tags are weighed alone as well: however much there is without a tag, it makes no plan a smaller one.
    if is_over(removed, tags, policy) or (nameless and is_over(len(counted), tags + untagged, policy)):
        return f"{would}, more than {policy.hold_over}% (hold_over)"
    waiting = _waiting(counted, policy, state)
    if not waiting:
        return None
    still = (
        "1 image of an earlier plan still waits" if waiting == 1 else f"{waiting} images of an earlier plan still wait"
    )
    return f"{would}; {still} for approval, and no push gives it"


def _unapproved(counted: Iterable[Verdict], weighing: Weighing) -> str:
    """Return why a deletion of what was there before needs an approval; "" when it needs none."""
    before = weighing.state.unapproved
    if before is None or not any(weighing.needs_approval(verdict.tag) for verdict in counted):
        return ""
    if before.is_first:
        return "the first clean-up of a repository that was there before pushprune"
    return (
        f"the changed policy would remove {before.removed} of the {before.of} tags of all repositories, "
        "more than hold_over allows; here"
    )


def is_over(count: int, of: int, policy: Policy) -> bool:
    """Return True if so many of these tags are more than the policy deletes without an approval."""
    return count > policy.hold_min and count * 100 > policy.hold_over * of


def _waiting(counted: Iterable[Verdict], policy: Policy, state: State) -> int:
    """How many of the images waited for approval before, by the same policy."""
    if not state.held or state.held_under != policy.fingerprint():
        return 0
    return len({verdict.tag.digest for verdict in counted} & state.held)
