"""Replay the timeline of one repository under a policy, as the workers would have applied it."""

from collections.abc import Iterable
from dataclasses import replace

from service.domain.policy.model import Policy
from service.domain.retention import planner
from service.domain.retention.plan import Doomed, Plan
from service.domain.simulation.replayed_state import ReplayedState
from service.domain.simulation.report import Deletion, HoldPeriod, Missed, RepositoryOutcome, Spared
from service.domain.simulation.timeline import Timeline, TimelineEvent, with_implied_events


def replay(
    timeline: Timeline, policy: Policy, start_us: int, end_us: int, *, approve_holds: bool = False
) -> RepositoryOutcome:
    """Replay the timeline with the policy in force from start_us to end_us (µs). Its `dry_run` is ignored.

    The policy is applied at the start, after every change of a tag, and whenever time alone may change a verdict.

    An image that the policy deleted exists again only after a new push. Deletions by users in the past happen in the
    replay, too, because no policy made them. Images that the current policy pruned are kept and take slots; later pulls
    of them are not known.

    Args:
        approve_holds: True to apply plans over `hold_over` at once. Otherwise they are reported as holds and not
            applied, because they might never be approved. Such a wait ends when nothing of the plan is to be deleted.
    """
    run = _Replay(timeline, policy, approve_holds)
    events = with_implied_events(timeline)
    run.warm_up(event for event in events if event.at_us < start_us)
    run.apply([event for event in events if start_us <= event.at_us <= end_us], start_us, end_us)
    return run.outcome()


class _Replay:
    """The replay of one repository: the deletions by the policy, and the later pulls of deleted images."""

    def __init__(self, timeline: Timeline, policy: Policy, approve_holds: bool) -> None:
        self._timeline, self._policy, self._approve_holds = timeline, policy, approve_holds
        self._state = ReplayedState(timeline)
        self._concerned = bool(policy.rules_for(timeline.repository))
        self._next_us: int | None = None
        self._held: frozenset[str] = frozenset()
        self._fingerprint = policy.fingerprint()
        self._deleted_tags: dict[str, Deletion] = {}
        # Digest → its deletion.
        self._deleted_digests: dict[str, Deletion] = {}
        self._index_of: dict[str, Deletion] = {}
        self._deletions: list[Deletion] = []
        self._missed: dict[Deletion, list[TimelineEvent]] = {}
        self._holds: list[HoldPeriod] = []
        self._spared: dict[str, Spared] = {}
        self._unclear: set[str] = set()
        self._ignored: dict[tuple[str, str], bool] = {}

    def warm_up(self, events: Iterable[TimelineEvent]) -> None:
        """Apply the events before the policy is in force."""
        for event in events:
            if event.kind == "pruned":
                self._state.remove([event.tag], event)
            elif event.kind != "pulled":
                self._state.change(event)
            elif not self._ignores(event):
                self._state.use(event)

    def apply(self, events: list[TimelineEvent], start_us: int, end_us: int) -> None:
        """Apply the events while the policy is in force."""
        self._next_us = start_us
        for event in events:
            # Events of one moment are one change, because a comparison imports all tags that it finds at once.
            self._apply_policy_until(event.at_us - 1)
            if event.kind == "pruned":
                self._spare(event)
            elif event.kind == "pulled":
                self._pull(event)
            else:
                self._forget_deletion(event)
                self._state.change(event)
                self._next_us = event.at_us
        self._apply_policy_until(end_us)

    def outcome(self) -> RepositoryOutcome:
        """Return the result of the replay."""
        return RepositoryOutcome(
            repository=self._timeline.repository,
            known_from_us=self._timeline.begins_us,
            deletions=tuple(self._deletions),
            missed=tuple(Missed(deletion, _counted(deletion, pulls)) for deletion, pulls in self._missed.items()),
            holds=tuple(self._holds),
            spared=tuple(self._spared.values()),
            left=self._state.tags(),
            unclear=tuple(sorted(self._unclear)),
        )

    def _apply_policy_until(self, until_us: int) -> None:
        """Apply the policy at every moment up to until_us at which its plan may change."""
        while self._concerned and self._next_us is not None and self._next_us <= until_us:
            now_us = self._next_us
            state = replace(self._state.state(), held=self._held, held_under=self._fingerprint)
            plan = planner.plan_deletions(state, self._policy, now_us)
            self._next_us = plan.next_us
            hold = None if self._approve_holds else plan.hold
            self._held = frozenset(doomed.digest for doomed in plan.doomed if hold)
            self._note_hold(hold, now_us)
            if plan.doomed and not hold:
                self._delete(plan, now_us)

    def _note_hold(self, reason: str | None, now_us: int) -> None:
        waiting = self._holds[-1] if self._holds and self._holds[-1].until_us is None else None
        if waiting and reason is None:
            self._holds[-1] = replace(waiting, until_us=now_us)
        elif reason is not None and not waiting:
            self._holds.append(HoldPeriod(self._timeline.repository, now_us, None, reason))

    def _delete(self, plan: Plan, now_us: int) -> None:
        unresolved = (digest for digest, known in self._timeline.present.links.items() if known is None)
        self._unclear.update(plan.undated, unresolved)
        for doomed in plan.doomed:
            deletion = self._deletion(doomed, now_us)
            self._deletions.append(deletion)
            self._deleted_tags.update(dict.fromkeys(doomed.tags, deletion))
            if doomed.only_tags:
                self._state.untag(doomed.tags, now_us)
                continue
            # A part that is deleted after its index was already missing with the index. It is no image of its own.
            whole = self._deleted_digests[doomed.digest] = self._index_of.get(doomed.digest, deletion)
            parts = self._state.parts(doomed.digest)
            self._index_of.update(dict.fromkeys(parts, whole))
            # The index kept its parts until now. The next plan decides about them.
            if parts:
                self._next_us = now_us
            self._state.remove(doomed.tags, TimelineEvent("deleted", now_us, digest=doomed.digest))

    def _deletion(self, doomed: Doomed, now_us: int) -> Deletion:
        verdict = doomed.verdicts[0]
        return Deletion(
            repository=self._timeline.repository,
            digest=doomed.digest,
            tags=doomed.tags,
            lost_tag="" if doomed.tags else self._state.lost_tag(doomed.digest),
            at_us=now_us,
            rule=verdict.rule or "",
            reason=verdict.reason,
            size_bytes=0 if doomed.only_tags else self._state.size_bytes(doomed.digest),
            only_tags=doomed.only_tags,
        )

    def _forget_deletion(self, event: TimelineEvent) -> None:
        if event.kind in ("pushed", "adopted"):
            self._deleted_tags.pop(event.tag, None)
            # The parts of an index exist again, too. In reality they were never deleted, so they were not pushed again.
            for digest in (event.digest, *self._state.parts(event.digest)):
                self._deleted_digests.pop(digest, None)
                self._index_of.pop(digest, None)

    def _spare(self, pruned: TimelineEvent) -> None:
        if self._state.holds(pruned.tag, pruned.digest):
            size_bytes = self._state.size_bytes(pruned.digest)
            spared = Spared(self._timeline.repository, pruned.digest, pruned.tag, pruned.at_us, size_bytes)
            self._spared.setdefault(pruned.digest, spared)

    def _pull(self, pull: TimelineEvent) -> None:
        """Apply a pull: it counts as use, or as a missed pull if the policy deleted the image."""
        # A pull that does not count as use is no missed pull either.
        if self._ignores(pull):
            return
        missing = self._deleted_tags.get(pull.tag)
        if missing is None and not self._state.has_tag(pull.tag):
            missing = self._deleted_digests.get(pull.digest)
        if missing is None:
            self._state.use(pull)
        else:
            self._missed.setdefault(missing, []).append(pull)

    def _ignores(self, pull: TimelineEvent) -> bool:
        client = (pull.useragent, pull.actor)
        if client not in self._ignored:
            self._ignored[client] = self._policy.ignores_pull(*client)
        return self._ignored[client]


def _counted(deletion: Deletion, pulls: list[TimelineEvent]) -> tuple[TimelineEvent, ...]:
    """Return the pulls to report as missed."""
    # A client that pulls an index pulls one of its parts right after. That is one pull, not two.
    whole = tuple(pull for pull in pulls if pull.digest == deletion.digest)
    return whole or tuple(pulls)
