"""A replay: one repository's chronicle lived through again under a policy, as the workers would have obeyed it."""

from collections.abc import Iterable
from dataclasses import replace

from service.domain.policy.model import Policy
from service.domain.retention import planner
from service.domain.retention.plan import Doomed, Plan
from service.domain.simulation.report import Deletion, Missed, Outcome, Spared, Wait
from service.domain.simulation.timeline import Chronicle, Happening, told
from service.domain.simulation.world import Past


def replay(chronicle: Chronicle, policy: Policy, start_us: int, end_us: int, *, approve_holds: bool = False) -> Outcome:
    """Lives through the chronicle with the policy in force from start_us to end_us (µs), whatever its `dry_run` says.

    The policy is applied at the start, after everything that changes a tag, and whenever time alone may change a
    verdict. A plan over `hold_over` is not applied: a deletion that nobody may ever approve is no forecast. It is
    reported as a wait, and goes on waiting until none of it is to go any more. approve_holds: as if each were
    approved at once.

    What the policy deleted comes back only when it is pushed again. What somebody deleted in reality is deleted here
    too: that was no policy's doing. What today's policy pruned stays and goes on taking its slots; no pull of it can
    be seen any more.
    """
    life = _Life(chronicle, policy, approve_holds)
    happenings = told(chronicle)
    life.live_as_it_was(one for one in happenings if one.at_us < start_us)
    life.live([one for one in happenings if start_us <= one.at_us <= end_us], start_us, end_us)
    return life.outcome()


class _Life:
    """One repository under the policy: what it deletes, and who misses that."""

    def __init__(self, chronicle: Chronicle, policy: Policy, approve_holds: bool) -> None:
        self._chronicle, self._policy, self._approve_holds = chronicle, policy, approve_holds
        self._past = Past(chronicle)
        self._concerned = bool(policy.rules_for(chronicle.repository))
        self._next_us: int | None = None
        self._held: frozenset[str] = frozenset()
        self._fingerprint = policy.fingerprint()
        self._gone_tags: dict[str, Deletion] = {}
        self._gone: dict[str, Deletion] = {}  # by digest
        self._index_of: dict[str, Deletion] = {}
        self._deletions: list[Deletion] = []
        self._missed: dict[Deletion, list[Happening]] = {}
        self._waits: list[Wait] = []
        self._spared: dict[str, Spared] = {}
        self._unclear: set[str] = set()
        self._ignored: dict[tuple[str, str], bool] = {}

    def live_as_it_was(self, happenings: Iterable[Happening]) -> None:
        """Before the policy is in force."""
        for one in happenings:
            if one.kind == "pruned":
                self._past.remove([one.tag], one)
            elif one.kind != "pulled":
                self._past.change(one)
            elif not self._ignores(one):
                self._past.use(one)

    def live(self, happenings: list[Happening], start_us: int, end_us: int) -> None:
        """As it would have been. What happens at one moment is one change: a comparison adopts all it finds at once."""
        self._next_us = start_us
        for one in happenings:
            self._keep_time(one.at_us - 1)
            if one.kind == "pruned":
                self._spare(one)
            elif one.kind == "pulled":
                self._pull(one)
            else:
                self._bring_back(one)
                self._past.change(one)
                self._next_us = one.at_us
        self._keep_time(end_us)

    def outcome(self) -> Outcome:
        return Outcome(
            repository=self._chronicle.repository,
            known_from_us=self._chronicle.begins_us,
            deletions=tuple(self._deletions),
            missed=tuple(Missed(deletion, _counted(deletion, pulls)) for deletion, pulls in self._missed.items()),
            waits=tuple(self._waits),
            spared=tuple(self._spared.values()),
            left=self._past.tags(),
            unclear=tuple(sorted(self._unclear)),
        )

    def _keep_time(self, until_us: int) -> None:
        """Applies the policy at every moment up to this one at which that may change anything."""
        while self._concerned and self._next_us is not None and self._next_us <= until_us:
            now_us = self._next_us
            state = replace(self._past.state(), held=self._held, held_under=self._fingerprint)
            plan = planner.plan(state, self._policy, now_us)
            self._next_us = plan.next_us
            hold = None if self._approve_holds else plan.hold
            self._held = frozenset(doomed.digest for doomed in plan.doomed if hold)
            self._note_wait(hold, now_us)
            if plan.doomed and not hold:
                self._delete(plan, now_us)

    def _note_wait(self, reason: str | None, now_us: int) -> None:
        waiting = self._waits[-1] if self._waits and self._waits[-1].until_us is None else None
        if waiting and reason is None:
            self._waits[-1] = replace(waiting, until_us=now_us)
        elif reason is not None and not waiting:
            self._waits.append(Wait(self._chronicle.repository, now_us, None, reason))

    def _delete(self, plan: Plan, now_us: int) -> None:
        unresolved = (digest for digest, known in self._chronicle.present.links.items() if known is None)
        self._unclear.update(plan.undated, unresolved)
        for doomed in plan.doomed:
            deletion = self._deletion(doomed, now_us)
            self._deletions.append(deletion)
            self._gone_tags.update(dict.fromkeys(doomed.tags, deletion))
            if doomed.only_tags:
                self._past.untag(doomed.tags, now_us)
                continue
            # A part that goes after its index was missing with it already: it is no image of its own.
            whole = self._gone[doomed.digest] = self._index_of.get(doomed.digest, deletion)
            parts = self._past.parts(doomed.digest)
            self._index_of.update(dict.fromkeys(parts, whole))
            if parts:  # they were kept by their index: it is their turn
                self._next_us = now_us
            self._past.remove(doomed.tags, Happening("deleted", now_us, digest=doomed.digest))

    def _deletion(self, doomed: Doomed, now_us: int) -> Deletion:
        verdict = doomed.verdicts[0]
        return Deletion(
            repository=self._chronicle.repository,
            digest=doomed.digest,
            tags=doomed.tags,
            lost_tag="" if doomed.tags else self._past.lost_tag(doomed.digest),
            at_us=now_us,
            rule=verdict.rule or "",
            reason=verdict.reason,
            size_bytes=0 if doomed.only_tags else self._past.size_bytes(doomed.digest),
            only_tags=doomed.only_tags,
        )

    def _bring_back(self, one: Happening) -> None:
        """Parts of an index too: in reality they were still there, so that nobody had to push them again."""
        if one.kind in ("pushed", "adopted"):
            self._gone_tags.pop(one.tag, None)
            for digest in (one.digest, *self._past.parts(one.digest)):
                self._gone.pop(digest, None)
                self._index_of.pop(digest, None)

    def _spare(self, pruned: Happening) -> None:
        if self._past.holds(pruned.tag, pruned.digest):
            size_bytes = self._past.size_bytes(pruned.digest)
            said = Spared(self._chronicle.repository, pruned.digest, pruned.tag, pruned.at_us, size_bytes)
            self._spared.setdefault(pruned.digest, said)

    def _pull(self, pull: Happening) -> None:
        """A pull that the policy does not take for use is none that anybody would have missed."""
        if self._ignores(pull):
            return
        missing = self._gone_tags.get(pull.tag)
        if missing is None and not self._past.has_tag(pull.tag):
            missing = self._gone.get(pull.digest)
        if missing is None:
            self._past.use(pull)
        else:
            self._missed.setdefault(missing, []).append(pull)

    def _ignores(self, pull: Happening) -> bool:
        who = (pull.useragent, pull.actor)
        if who not in self._ignored:
            self._ignored[who] = self._policy.ignores_pull(*who)
        return self._ignored[who]


def _counted(deletion: Deletion, pulls: list[Happening]) -> tuple[Happening, ...]:
    """A client that pulls an index asks for a part of it right after: that is one pull, not two."""
    whole = tuple(pull for pull in pulls if pull.digest == deletion.digest)
    return whole or tuple(pulls)
