"""Make a plan from a state and a policy. Every verdict has its reason."""

from collections.abc import Iterable, Iterator
from dataclasses import replace

from service.domain.policy.model import Keep, Policy
from service.domain.policy.units import spell_duration
from service.domain.retention.evaluation import Evaluation
from service.domain.retention.hold import hold_reason, load_of
from service.domain.retention.leases import leased_verdict
from service.domain.retention.manual import manual_reason
from service.domain.retention.plan import UNLISTED, Doomed, Plan, Verdict
from service.domain.retention.revisions import ONE_PUSH_US
from service.domain.retention.state import State, Tag, Untagged

# A client pushes the parts of an index before the index, without a tag. The push gets this time to be completed.
NEVER_TAGGED_US = 3600 * 1_000_000
# Half of those that are remembered of a tag (lib/revisions.lua).
_MANY_REVISIONS = 50


def plan(state: State, policy: Policy, now_us: int, *, manual_only: bool = False) -> Plan:
    """Return the plan for one repository. The order of the input does not matter.

    Args:
        manual_only: True to plan only manual deletions, and those that follow from them. The policy only protects then.
    """
    evaluation = Evaluation(state, policy, now_us, manual_only=manual_only)
    return _plan(evaluation, evaluation.newest_first, manual_only=manual_only)


def plan_deletions(state: State, policy: Policy, now_us: int) -> Plan:
    """Return the plan without the verdicts on most of the kept tags, in a tenth of the time of `plan`."""
    return plan_evaluated(Evaluation(state, policy, now_us))


def plan_evaluated(evaluation: Evaluation) -> Plan:
    """Return the plan of `plan_deletions` by this evaluation."""
    return _plan(evaluation, evaluation.to_decide)


def _plan(evaluation: Evaluation, tags: Iterable[Tag], *, manual_only: bool = False) -> Plan:
    """Return the plan. tags: those with a verdict, the newest push first; all others are kept until another push."""
    policy = evaluation.policy
    verdicts = tuple(evaluation.verdict(tag) for tag in tags)
    untagged = tuple(_untagged_verdicts(evaluation))
    doomed = (*_doomed(verdicts), *(Doomed(verdict.tag.digest, (verdict,)) for verdict in untagged if not verdict.kept))
    load = load_of(doomed, evaluation)
    hold = hold_reason(load, evaluation)
    # After a backlog, the deletions take a while. A plan that is made meanwhile must not hold the rest of them.
    is_backlog = hold is None and not policy.dry_run and load.is_over(policy)
    unresolved = tuple(_unresolved(evaluation, bool(doomed)))
    undated = () if manual_only else tuple(sorted(_undated(evaluation)))
    unseen = () if manual_only else tuple(sorted(_unseen(evaluation)))
    return Plan(
        verdicts=verdicts,
        untagged=untagged,
        doomed=doomed,
        unresolved=unresolved,
        undated=undated,
        unseen=unseen,
        is_whole=bool(evaluation.rules)
        and not (manual_only or unresolved or undated or unseen)
        and not _postpones_approval(verdicts, evaluation),
        settles_under=_settles_under(verdicts, evaluation),
        next_us=min(_boundaries(evaluation, (*verdicts, *untagged)), default=None),
        hold=hold,
        hold_under=policy.fingerprint() if hold else "",
        planned_us=None if manual_only or is_backlog else evaluation.newest_us,
    )


def kept_unannounced(state: State, policy: Policy, now_us: int, made: Plan) -> int:
    """Return how many tags the plan `made` keeps only because their pushes were not reported.

    Such a tag may be older than it looks, so it takes no slot from others. There are many of them if fewer pushes were
    reported since than the policy keeps. A tag that the first comparison of the repository found is not counted: it
    existed before pushprune, so that no event of its push was lost.
    """
    unannounced = {tag.name for tag in state.tags if tag.unannounced and not tag.found}
    if not unannounced:
        return 0
    # Tags that were first seen at the same moment would tie. One µs more for each gives them an order.
    at_us = {tag.name: (tag.pushed_us or 0) + nth for nth, tag in enumerate(state.tags) if tag.name in unannounced}
    if_reported = replace(
        state,
        tags=tuple(
            replace(tag, unannounced=False, pushed_us=at_us[tag.name])
            if tag.name in unannounced and tag.pushed_us
            else tag
            for tag in state.tags
        ),
    )
    deleted = {name for doomed in made.doomed for name in doomed.tags}
    would = {name for doomed in plan_deletions(if_reported, policy, now_us).doomed for name in doomed.tags}
    return len(would - deleted)


def _unresolved(evaluation: Evaluation, dooms: bool) -> list[str]:
    """Return the manifests to read before the plan may commit.

    Args:
        dooms: True if the plan deletes anything. Then these are all unread manifests; otherwise only those that decide
            whether a part of an index is deleted, and revisions of a tag that soon has more than are remembered: they
            may be parts of each other.
    """
    state = evaluation.state
    unknown = {digest for digest, known in state.links.items() if known is None}
    if not dooms:
        many = {digest for digests in state.revisions.values() if len(digests) > _MANY_REVISIONS for digest in digests}
        return sorted(unknown & (many | {untagged.index for untagged in state.untagged}))
    # A manifest that was pushed by its digest, and is no part of an index, may be a referrer. No event says so.
    without_tag = {untagged.digest for untagged in state.untagged if not (untagged.tag or untagged.index)}
    return sorted(unknown | (without_tag - state.links.keys() - evaluation.fixed.parents.keys()))


def _postpones_approval(verdicts: Iterable[Verdict], evaluation: Evaluation) -> bool:
    """True if the plan deletes nothing that needs an approval, but only for now.

    The ages of some tags are not known, or grace or a lease keeps some. A later plan deletes such tags. No plan was
    approved until then, so they still need an approval. After a changed policy, so do tags that it keeps for a time.
    """
    unapproved = evaluation.state.unapproved
    by_time = unapproved is not None and not unapproved.is_first
    return not _deletes_unapproved(verdicts, evaluation) and any(
        verdict.unknown_age or verdict.postponed or (by_time and verdict.until_us is not None)
        for verdict in verdicts
        if evaluation.needs_approval(verdict.tag)
    )


def _settles_under(verdicts: Iterable[Verdict], evaluation: Evaluation) -> str:
    before = evaluation.state.unapproved
    is_unapproved = before is not None and (before.is_first or before.also_first)
    is_settled = is_unapproved and not _deletes_unapproved(verdicts, evaluation)
    return evaluation.policy.fingerprint() if is_settled else ""


def _deletes_unapproved(verdicts: Iterable[Verdict], evaluation: Evaluation) -> bool:
    """True if the rules delete a tag that needs an approval."""
    return any(
        evaluation.needs_approval(verdict.tag)
        for verdict in verdicts
        if not (verdict.kept or verdict.follows or verdict.manual)
    )


def _doomed(verdicts: Iterable[Verdict]) -> Iterator[Doomed]:
    by_digest: dict[str, list[Verdict]] = {}
    for verdict in verdicts:
        if not verdict.kept:
            by_digest.setdefault(verdict.tag.digest, []).append(verdict)
    for digest, doomed in by_digest.items():
        yield Doomed(digest, tuple(doomed))


def _untagged_verdicts(evaluation: Evaluation) -> Iterator[Verdict]:
    for untagged in sorted(evaluation.state.untagged, key=lambda manifest: manifest.digest):
        if untagged.digest not in evaluation.holders:
            verdict = _untagged_verdict(evaluation, untagged)
            if not verdict.kept and evaluation.state.hides_tags:
                verdict = Verdict(verdict.tag, True, f"{UNLISTED} may point at it", verdict.rule)
            yield evaluation.kept_unless_manual(verdict)


def _untagged_verdict(evaluation: Evaluation, untagged: Untagged) -> Verdict:
    tag = Tag("", untagged.digest, untagged.since_us)
    bound = evaluation.fixed.bound(tag)
    if bound and bound.kept:
        return bound
    if untagged.index and _may_exist(evaluation, untagged.index):
        return Verdict(tag, True, f"it is part of the index {untagged.index}")
    request = evaluation.fixed.manual_deletion(tag)
    revision = evaluation.revision(untagged.digest)
    if revision and not request:
        return Verdict(tag, True, revision.reason, revision.rule, revision.until_us)
    fixed = leased_verdict(evaluation.state, tag, None, evaluation.now_us) or bound
    if fixed:
        return fixed
    parent = untagged.index or (untagged.digest if untagged.by_pushprune or untagged.started else "")
    if parent and (evaluation.rules or parent in evaluation.state.manual_deleted):
        return _following(evaluation, untagged, tag, manual=parent in evaluation.state.manual_deleted)
    if request:
        return Verdict(tag, False, manual_reason(request), manual=True, by=request.by)
    return _by_age(evaluation, untagged, tag)


def _may_exist(evaluation: Evaluation, index: str) -> bool:
    """True if an index that was deleted may exist again: it is known again, even if it was not read yet."""
    return index in evaluation.state.links or evaluation.fixed.exists(index)


def _following(evaluation: Evaluation, untagged: Untagged, tag: Tag, *, manual: bool) -> Verdict:
    """Return the verdict on a part of a deleted index, or on a manifest whose last tag was deleted.

    Both are deleted without an `untagged` setting.

    Args:
        manual: True if the parent was deleted manually.
    """
    rule, index = evaluation.fixed.first_rule, untagged.index
    if index:
        return Verdict(tag, False, f"the index {index} was deleted", rule, follows=True, after=index, manual=manual)
    if untagged.started:
        reason = f"its deletion had begun when a user moved or deleted its last tag {untagged.tag}"
        return Verdict(tag, False, reason, rule, follows=True, manual=manual)
    reason = f"its last tag {untagged.tag} was deleted"
    return Verdict(tag, False, reason, rule, follows=True, recorded=True, manual=manual)


def _by_age(evaluation: Evaluation, untagged: Untagged, tag: Tag) -> Verdict:
    """Return the verdict by the `untagged` settings of the rules: the longest period of all rules counts."""
    against: Verdict | None = None
    keeping: Verdict | None = None
    least_us = ONE_PUSH_US if untagged.tag else NEVER_TAGGED_US
    for name, period_s in _periods(evaluation, untagged):
        if period_s is None:
            return Verdict(tag, True, f"rule {name} keeps untagged manifests", name)
        period_us = max(period_s * 1_000_000, evaluation.policy.grace * 1_000_000, least_us)
        end_us, period = untagged.since_us + period_us, spell_duration(period_us // 1_000_000)
        if evaluation.now_us >= end_us:
            reason = f"untagged for {period} or more (rule {name})"
            against = against or Verdict(tag, False, reason, name)
        elif keeping is None or end_us > (keeping.until_us or 0):
            keeping = Verdict(tag, True, f"untagged for less than {period} (rule {name})", name, end_us)
    return keeping or against or Verdict(tag, True, "no rule has `untagged` for manifests like this one")


def _periods(evaluation: Evaluation, untagged: Untagged) -> Iterator[tuple[str, int | None]]:
    """Yield (rule, seconds for which the manifest is kept; None = for ever) of each rule with a matching `untagged`."""
    rules = evaluation.selections.naming(untagged.tag) if untagged.tag else evaluation.selections.rules
    for name, rule in rules:
        if rule.untagged is not None and (untagged.tag or rule.concerns_every_tag):
            yield name, None if rule.untagged == "keep" else rule.untagged


def _undated(evaluation: Evaluation) -> set[str]:
    """Return digests of unread creation time in groups that exceed the `last` of a rule with `order: created`."""
    undated: set[str] = set()
    for number, (_, rule) in enumerate(evaluation.selections.rules):
        last = rule.keep.last if isinstance(rule.keep, Keep) else None
        if rule.order != "created" or last is None:
            continue
        groups: dict[str, set[str]] = {}
        missing: dict[str, set[str]] = {}
        for tag, group in evaluation.selections.selected(number):
            groups.setdefault(group, set()).add(tag.digest if rule.count == "digests" else tag.name)
            if tag.created_us is None:
                missing.setdefault(group, set()).add(tag.digest)
        undated.update(*(missing.get(group, ()) for group, counted in groups.items() if len(counted) > last))
    return undated


def _unseen(evaluation: Evaluation) -> set[str]:
    """Return the digests of tags with an unknown push time whose creation date may decide anything."""
    return {tag.digest for tag in evaluation.state.tags if tag.pushed_us is None and evaluation.awaits_date(tag)}


def _boundaries(evaluation: Evaluation, verdicts: Iterable[Verdict]) -> Iterator[int]:
    """Yield every time (µs) at which time alone may change a verdict."""
    for verdict in verdicts:
        if verdict.kept and verdict.until_us is not None:
            yield verdict.until_us
    yield from evaluation.selections.next_us()
