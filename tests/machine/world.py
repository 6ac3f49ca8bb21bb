"""A registry with its users, events and workers in one process; the machine chooses the next act."""

import itertools
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Any
from unittest import mock

from service.clock import now_us
from service.domain.errors import (
    NoSuchRepository,
    NoSuchTag,
    NotDeletable,
    NotRestorable,
    PushpruneError,
    RegistryRefused,
)
from service.domain.events import BLOB_TYPE, parse
from service.domain.oci import tombstone
from service.domain.retention.plan import Doomed, Plan
from service.domain.retention.selector import TagSelector
from service.prune import deleting, manual, planning, protecting
from service.reconcile import compare as reconcile_compare
from service.registry import listing
from service.registry.exchange import Answer, Request
from service.store import Store
from service.store.connection import Connection
from service.store.history import CommitResult, History, name_of
from service.store.keys import Keys, long
from service.store.snapshot import Snapshot
from service.wiring import Wiring
from tests.conftest import messages_of
from tests.fakes.images import Image
from tests.fakes.registry_storage import Driver, Version
from tests.machine.disk import DiskStep, settled_at_once
from tests.machine.goods import GOODS, called
from tests.machine.ground import Ground, policy_of
from tests.machine.model import Happened, Model
from tests.machine.mortal import Killed
from tests.machine.oracle import Push, Rule, closure
from tests.machine.shops import SHOP
from tests.machine.threads import PlayedThreads
from tests.machine.watch import Watch
from workers import tasks
from workers.sweep import sweep

_HOURS_US = 2 * 3600 * 1_000_000
_DAY_S = 86_400
# The words by which pushprune says that a user must decide whether the storage is the right one.
_ADVICE = "pushprune reconcile"
_MINUTES_MS = 60 * 60_000  # healing believes reports for less than twenty: UNANSWERED_MS and what comes before it
_prefixes = itertools.count()


@dataclass
class Cross:
    """An act at the nth request of a worker with this method ("": with any).

    when: before it is handled, after it, or during (a DELETE by digest).
    """

    nth: int
    when: str
    do: Callable[[], object]
    method: str = ""


class World:
    """The world of an example. late: events arrive only later. faults: mistakes recorded so far."""

    def __init__(
        self,
        ground: Ground,
        version: Version,
        rule: Rule,
        driver: Driver = "filesystem",
        names: Mapping[str, str] | None = None,
        goods: Sequence[Image] = GOODS,
    ) -> None:
        """Begin an example. names: other names of the users' tags. goods: the images that users push."""
        self.ground, self.rule, self._is_policy_changed = ground, rule, False
        self.keys = Keys(f"machine{next(_prefixes)}:")
        self.registry = ground.shop(version, self._emitted, driver)
        self.names, self.goods = names or {}, goods
        self._slow: int | None = None
        self._unanswered: list[Callable[[], object]] = []
        self.wiring = ground.wiring(rule, self.keys)
        self.wiring.policies.use(policy_of(rule))
        self.history = History(Connection(ground.plain, self.keys))
        self.history.word = self.wiring.store.history.word
        self.model = Model(rule, self.registry)
        self.watch = Watch(self.model)
        self.late = False
        self.waiting: list[dict[str, Any]] = []
        self.delivered: list[dict[str, Any]] = []
        self.lost = self.is_forged = self._asks_to_reconcile = False
        self._instances: set[str] = set()
        self._written: set[str] = set()  # tags and digests to which pushprune has written
        self._numbers: dict[str, int] = {}
        self._crossing: list[Cross] = []
        self._requests: list[str] = []
        self._threads: PlayedThreads | None = None
        self.deleting = ""  # the tag or digest that the last request of a worker deletes
        self._offset_us = 0
        self._elsewhere = False
        ground.sender.around = self._around
        ground.disk.around, ground.disk.begins = self._around_disk, self.watch.sends
        ground.disk.sees = self.watch.looks_at

    @property
    def messages(self) -> list[tuple[str, ...]]:
        return messages_of(self.wiring).sent

    def close(self) -> None:
        """Delete all keys of this example."""
        client: Any = self.ground.plain
        if left := list(client.scan_iter(match=f"{self.keys.prefix}*", count=1000)):
            client.delete(*left)

    # Events.

    def _emitted(self, envelope: dict[str, Any]) -> None:
        event = envelope["events"][0]
        if event["target"]["repository"] != SHOP:
            return  # a probe of ours
        if event["target"].get("mediaType") == BLOB_TYPE and event["source"]["instanceID"] in self._instances:
            return  # counted, and nothing else
        happened = self._read(event)
        if event["target"].get("mediaType") != BLOB_TYPE:
            self.model.saw(happened)
        if happened.ours and happened.action != "pull":
            self._written |= {happened.tag, happened.digest} - {""}
        if self.late:
            self.waiting.append(event)
        else:
            self.deliver(event)

    def deliver(self, event: dict[str, Any]) -> None:
        """Record an event that the registry posts."""
        instance, happened = event["source"]["instanceID"], self._read(event)
        if happened.ours and happened.action == "pull" and instance in self._instances:
            return  # counted, and nothing else
        self._look_at_plan()
        if happened.action == "delete" and self.history.snapshot(SHOP).links.get(happened.digest) is None:
            self.model.deleted_unread(happened.digest)
        recorded = self.history.record(parse(json.dumps({"events": [event]}).encode(), now_us()))
        for repository in recorded.due:
            self.wiring.dispatch.enforce(repository)
        self._instances.add(instance)
        if recorded.events and not happened.ours and happened.action != "pull":
            self.delivered.append(event)
            if event["target"].get("mediaType") != BLOB_TYPE:
                self.watch.hears(happened.number)
                self.model.hear(happened)

    def forge(self, envelope: dict[str, Any]) -> None:
        """Record a forged event, of which the model learns nothing."""
        (event,) = envelope["events"]
        if self._may_do_harm(event):
            return
        self._look_at_plan()
        self.is_forged = True
        if event["action"] != "pull":
            self.model.doubted.add(event["target"].get("tag", ""))
        recorded = self.history.record(parse(json.dumps(envelope).encode(), now_us()))
        for repository in recorded.due:
            self.wiring.dispatch.enforce(repository)

    def _may_do_harm(self, event: dict[str, Any]) -> bool:
        """Return True for a forged event that does the harm that docs/security.md admits.

        These are the push of the image that the tag points at, said to be later than it was; the push or the delete of
        a tag to which pushprune has just written; and the push or the delete of an image to which it has.
        """
        tag, digest = event["target"].get("tag", ""), event["target"].get("digest", "")
        if event["action"] == "pull":
            return False
        if not tag:
            return event["action"] == "delete" and digest in self._written
        age = datetime.now(UTC) - datetime.fromisoformat(event["timestamp"])
        is_again = self.registry.tags().get(tag) == digest and age < timedelta(hours=1)
        return is_again or bool({tag, digest} & self._written)

    def minutes_pass(self) -> None:
        """Let minutes pass: no report can be about a request any more that a write of pushprune has met."""
        self._written.clear()
        client: Any = self.ground.plain
        touched, put = self.keys.of("touched", SHOP), self.keys.of("own_puts", SHOP)
        for name, _ in client.zscan_iter(touched):
            client.zincrby(touched, -_MINUTES_MS, name)
        for tag, packed in client.hgetall(put).items():
            digest, put_ms, *rest = packed.split(" ")
            client.hset(put, tag, " ".join((digest, str(int(put_ms) - _MINUTES_MS), *rest)))
        for member, _ in client.zscan_iter(self.keys.of("trashed"), match=f"{SHOP} *"):
            client.zincrby(self.keys.of("trashed"), -_MINUTES_MS * 1000, member)

    def _look_at_plan(self) -> None:
        """Tell the model which unrecorded untags a plan still contains."""
        client: Any = self.ground.plain
        begun = {
            long(digest) for digest, text in client.hgetall(self.keys.of("untagged", SHOP)).items() if "started" in text
        }
        going = {doomed.digest for doomed in self.history.doomed(SHOP)}
        self.model.plan({tag.name: tag for tag in self.history.live(SHOP)}, begun | going)

    def hear(self, which: int = 0, *, twice: bool = False) -> None:
        """Deliver one of the events that wait; twice: the registry did not get the answer."""
        event = self.waiting.pop(which % len(self.waiting))
        self.deliver(event)
        if twice:
            self.deliver(event)

    def restart(self) -> None:
        """Restart the registry: waiting events are lost, and the first new event shows the restart."""
        lost = [self._read(event) for event in self.waiting]
        self.lost = self.lost or bool(lost)
        self.waiting.clear()
        self.model.lose([event for event in lost if not event.ours and event.action != "pull"])
        late, self.late = self.late, False
        self.registry.restart()
        self.late = late

    def _read(self, event: dict[str, Any]) -> Happened:
        number = self._numbers.setdefault(event["id"], len(self._numbers))
        target = event["target"]
        at_us = round(datetime.fromisoformat(event["timestamp"][:26] + "+00:00").timestamp() * 1_000_000)
        ours = event["request"]["useragent"].startswith("pushprune/")
        return Happened(number, ours, event["action"], target.get("tag", ""), target.get("digest", ""), at_us)

    # Workers.

    def work(self, kind: str, crosses: tuple[Cross, ...] = (), kill: tuple[int, bool] | None = None) -> None:
        """Let a worker do some work. kill: the step at which the worker dies, and True if the step still happens."""
        self._look_at_plan()
        self._note_written(kind)
        self._requests, self._crossing = [], list(crosses)
        self.ground.life.begin(*(kill or (None, False)))
        self.watch.begins()
        try:
            with (
                mock.patch.object(planning, "now_us", self._planners_now_us),
                mock.patch.object(deleting, "untagged_first", self._untagged_first),
                mock.patch.object(deleting, "batch_size", return_value=self.rule.step),
                mock.patch.object(deleting, "in_parallel", (self._threads or deleting).in_parallel),
            ):
                self._do(kind)
        except Killed:
            pass
        finally:
            self._crossing.clear()
            self.registry.during_delete([])
            self.ground.life.begin()
        self.watch.check()

    def work_in_steps(self, crosses: tuple[Cross, ...], kill: tuple[int, bool] | None, *, threads: bool) -> None:
        """Let a worker untag each doomed image in a step of its own. threads: several at the same time."""
        before, self.rule = self.rule, replace(self.rule, tags_first=True, step=1)
        self._threads = PlayedThreads() if threads else None
        try:
            self.work("delete", crosses, kill)
        finally:
            self.rule, self._threads = replace(self.rule, tags_first=before.tags_first, step=before.step), None

    def _untagged_first(self, doomed: Sequence[Doomed], *_: object, **__: object) -> int:
        return len(doomed) if self.rule.tags_first else 0

    def _note_written(self, kind: str) -> None:
        """Let a worker note that it is about to write; the worker may die before the write."""
        if kind == "delete":
            for doomed in self.history.doomed(SHOP):
                self._written |= {doomed.digest, *doomed.tags}
        self._written |= {name_of(member) for member, _ in self.history.snapshot(SHOP).heal}

    def kill_worker(self) -> None:
        """Kill the worker as soon as its current request is answered."""
        self.ground.life.over = True

    def work_overtaken(self, act: Callable[[Plan], object], *, dies: bool) -> None:
        """Let a worker plan, and users act right before its first plan that deletes anything is committed.

        dies: it dies once it has committed an overtaken plan, so that another worker deletes by it.
        """
        left, commit = [act], History.commit

        def overtaken(history: History, snapshot: Snapshot, plan: Plan, *args: Any) -> CommitResult:
            if plan.doomed and left:
                left.pop()(plan)
            result = commit(history, snapshot, plan, *args)
            if dies and result is CommitResult.COMMITTED and not left and len(args) > 1:
                self.ground.life.over = True
                raise Killed
            return result

        with mock.patch.object(History, "commit", overtaken):
            self.work("enforce")

    def work_unanswered(self, kind: str, nth: int) -> None:
        """Work with a worker whose nth request is not answered in time: the registry obeys it later."""
        self._slow = nth
        try:
            self.work(kind)
        finally:
            self._slow = None

    def answer_late(self) -> None:
        """Let the registry obey the requests that it did not answer in time."""
        late, self._unanswered = self._unanswered, []
        for answer in late:
            self._elsewhere = True
            try:
                answer()
                self.registry.tell()
            finally:
                self._elsewhere = False

    def next_message(self) -> str | None:
        return self.messages.pop(0)[0] if self.messages else None

    def settle(self, at_most: int = 60) -> None:
        """Handle all messages of the queues."""
        for _ in range(at_most):
            kind = self.next_message()
            if kind is None:
                return
            self.work(kind)

    def time_passes(self) -> None:
        """Let time pass: leases of dead workers and back-offs end, and all work in the outbox is overdue."""
        self.answer_late()  # a request ends long before what it may have met is looked at again
        client: Any = self.ground.plain
        pipe = client.pipeline()
        held = (f"enforce:{SHOP}", f"delete:{SHOP}", listing.ABOUT, "tick", "policy")
        leases = [self.keys.of("lease", name) for name in held]
        pipe.delete(*leases, self.keys.of("writers"))
        fields = [f"{queue} {SHOP} until" for queue in ("due", "doomed", "healing")]
        pipe.hdel(self.keys.of("attempts"), *fields)
        zsets = [self.keys.of(name) for name in ("due", "doomed", "healing")] + [self.keys.of("heal", SHOP)]
        for key in zsets:
            pipe.zrange(key, 0, -1)
        for key, members in zip(zsets, pipe.execute()[2:], strict=True):
            if members:
                client.zadd(key, dict.fromkeys(members, 1))
        self._settle_storage()
        self.work("sweep")

    def _settle_storage(self) -> None:
        """Settle what dead workers left in the storage, as the next batch or reconcile run does after a while."""
        deletion = self.wiring.registry.deletion
        with settled_at_once(), self.ground.life.somebody_else():
            if deletion.is_unsettled(SHOP):
                deletion.settle(SHOP)

    def come_to_rest(self) -> None:
        """Let every event arrive, and work until nothing is left to do."""
        self.answer_late()
        self._settle_storage()
        while self.waiting:
            self.hear()
        if self._is_policy_changed:
            self.work("sweep")
        with self._hours_later():
            for _ in range(12):
                self.settle()
                if self._nothing_left():
                    return
                # A tag that cannot be restored is a trouble, which does not stop the worker.
                if self._asks_to_reconcile or any(
                    _ADVICE in item.message for item in self.wiring.store.outbox.troubles()
                ):
                    self._reconcile()
                self.time_passes()
        raise AssertionError(f"it never comes to rest: {self._left()}")

    def compare(self) -> None:
        """Compare as the schedule does: after lost events only the registry tells the truth."""
        self._reconcile()
        self.lost = False
        self.nudge()

    def _reconcile(self) -> None:
        """Run `pushprune reconcile`, by which the user says that the storage is the right one."""
        self._asks_to_reconcile = False
        reconcile_compare.compare(
            self.wiring.store, self.wiring.registry, self.wiring.store.history.snapshot(SHOP), trusts_listing=True
        )

    def change_policy(self, rule: Rule, *, sweeps: bool) -> None:
        """Change the policy. sweeps: a worker plans by the new policy soon; else only at the next sweep.

        A worker that is deleting may finish the images that it has looked at.
        """
        self.rule, self._is_policy_changed = replace(rule, order=self.rule.order), True
        self.wiring.policies.use(policy_of(self.rule))
        self.model.change_rule(self.rule, self.watch.seen if self._crossing else frozenset())
        self.watch.hears(-1)
        if sweeps:
            self.work("sweep")

    def nudge(self) -> None:
        """Plan the repository, for whatever reason."""
        self.wiring.store.outbox.mark_due([SHOP])
        self.wiring.dispatch.enforce(SHOP)
        self.come_to_rest()

    def deleted(self) -> list[Push]:
        """The tags that `pushprune trash` lists."""
        with self.ground.life.somebody_else():
            listed = self.wiring.restore.deleted(SHOP)
        return [Push(-1, image.tag, image.digest, image.pushed_us) for image in listed if image.tag]

    def restore(self, deleted: Push, as_tag: str, *, force: bool) -> None:
        """Restore an image in another process; refused if the tag was pushed again since."""
        standing = self.registry.tags().get(as_tag, deleted.digest)
        if standing in tombstone.DIGESTS or standing not in self.registry.manifests():
            standing = deleted.digest  # no image is there: in the middle of a DELETE its tags point nowhere
        needed = closure(deleted.digest, self.model.children)
        missing = needed - self.registry.manifests().keys()
        refused = None
        referrers: tuple[str, ...] = ()
        self._elsewhere = True
        try:
            with self.ground.life.somebody_else():
                undo = self.wiring.restore
                undone = undo.restore(
                    SHOP, tag=deleted.tag, digest=deleted.digest, as_tag=as_tag, force=force, by="alice"
                )
                referrers = undone.referrers
        except NotRestorable as error:
            refused = str(error)
        finally:
            self._elsewhere = False
        if refused:
            pushed_again = standing != deleted.digest and not force
            assert pushed_again or missing - self.model.binned, f"{deleted.tag} is not restored: {refused}"
            return
        assert standing == deleted.digest or force, f"{as_tag} was pushed again, and is replaced by a restore"
        assert self.registry.tags().get(as_tag) == deleted.digest, f"{as_tag} was not restored"
        broken = needed - self.registry.manifests().keys()
        assert not broken, f"{as_tag} was restored without {[called(missed) for missed in sorted(broken)]}"
        with self.pardoning():
            self.model.restored(deleted, as_tag, missing, referrers)

    def go_back(self, tag: str, digest: str, replaced: str) -> None:
        """Restore a tag to the image that it left for `over`, in a process of its own. A refusal changes nothing."""
        needed = closure(digest, self.model.children)
        missing = needed - self.registry.manifests().keys()
        self._elsewhere = True
        try:
            with self.ground.life.somebody_else():
                undone = self.wiring.restore.restore(SHOP, tag=tag, digest=digest, replaces=replaced, by="alice")
        except NotRestorable:
            assert self.registry.tags().get(tag) == replaced, f"{tag} was not put back, and has moved"
            return
        finally:
            self._elsewhere = False
        assert self.registry.tags().get(tag) == digest, f"{tag} was not put back"
        assert undone.replaced == replaced
        broken = needed - self.registry.manifests().keys()
        assert not broken, f"{tag} was put back without {[called(missed) for missed in sorted(broken)]}"
        (pushed_us,) = (item.pushed_us for item in self.history.live(SHOP) if item.name == tag)
        with self.pardoning():
            self.model.went_back(Push(-1, tag, digest, pushed_us), replaced, missing, undone.referrers)

    @contextmanager
    def pardoning(self) -> Iterator[None]:
        """Pardon a doomed push that was restored; the restore counts as news, however early the push was reported.

        A DELETE that was decided before the restore may still be sent, as before a push; what it meets is healed.
        """
        before = set(self.model.condemned)
        yield
        for number in before - self.model.condemned:
            self.watch.hears(number)

    @contextmanager
    def another_process(self) -> Iterator[None]:
        """Act in a process of its own: no user crosses its requests, and no worker dies at them."""
        self._elsewhere = True
        try:
            with self.ground.life.somebody_else():
                yield
        finally:
            self._elsewhere = False

    def ask_for(self, name: str) -> None:
        """Run `pushprune rm` in another process; the recorded tags must be deleted, whatever the policy keeps."""
        named = TagSelector(SHOP, digest=name) if ":" in name else TagSelector(SHOP, name)
        self._look_at_plan()
        self._elsewhere = True
        try:
            with self.ground.life.somebody_else():
                wishes = manual.resolve_requests(
                    self.wiring.store, self.wiring.registry, self.wiring.policies, (named,)
                )
                asked = manual.request_deletions(
                    self.wiring.store, self.wiring.dispatch, self.wiring.verdicts, wishes, "alice"
                )
        except (NoSuchRepository, NoSuchTag, NotDeletable):
            return
        finally:
            self._elsewhere = False
        for wish in asked:
            others = {live.digest for live in self.history.live(SHOP) if live.name not in wish.targets}
            self.model.asked(wish.targets, others)

    def protect(self, tag: str) -> None:
        """Protect the image of a tag on the dashboard, in a process of its own."""
        digest = next((live.digest for live in self.history.live(SHOP) if live.name == tag), None)
        if digest is None:
            return
        with self.ground.life.somebody_else():
            protection = protecting.protect(
                self.wiring.store, self.wiring.dispatch, SHOP, {tag: digest}, _DAY_S, by="alice"
            )
        if not protection.moved:
            with self.pardoning():
                self.model.protected(tag, digest)

    def end_protections(self) -> None:
        """Let the policy decide again about all protected and restored images."""
        if not self.model.leased:
            return
        with self.ground.life.somebody_else():
            images = {digest: digest for digest in sorted(self.model.leased)}
            protecting.end_protection(self.wiring.store, self.wiring.dispatch, SHOP, images, by="alice")
        self.model.leased.clear()
        self.model.assess()

    def refused(self) -> set[str]:
        """Return the names of the rejected manual deletions."""
        return {name for name, asked in self.wiring.store.manual.requests(SHOP).items() if asked.rejected}

    def _planners_now_us(self) -> int:
        return now_us() + self._offset_us

    def _do(self, kind: str) -> None:
        if kind == "enforce":
            tasks.attempt(self.wiring, "due", SHOP, self._watched(planning.enforce))
        elif kind == "delete":
            tasks.attempt(self.wiring, "doomed", SHOP, self._watched(deleting.delete))
        elif kind == "sweep":
            sweep(self.wiring)

    def _watched(self, work: Callable[[Wiring, str], None]) -> Callable[[Wiring, str], None]:
        """Record the mistakes of a worker, who would survive them."""

        def watched(wiring: Wiring, repository: str) -> None:
            try:
                work(wiring, repository)
            except RegistryRefused as error:
                if _ADVICE in str(error):
                    if not (self.lost or self.is_forged or self.waiting):
                        self.watch.fails(AssertionError("nothing was lost, and the user is to reconcile"))
                    self._asks_to_reconcile = True
                raise
            except PushpruneError:
                raise
            except Exception as error:
                self.watch.fails(error)
                raise

        return watched

    def _around(self, request: Request, answer: Callable[[], Answer]) -> Answer:
        """Handle a request of a worker, with all acts that cross the request."""
        if self._elsewhere:
            response = answer()
            self.registry.tell()
            return response
        return self.ground.life.step(lambda: self._crossed(request, answer))

    def _crossed(self, request: Request, answer: Callable[[], Answer]) -> Answer:
        method = request.method
        self._requests.append(method)
        self.deleting = request.path.rpartition("/")[2] if method == "DELETE" else ""
        self.watch.sends()
        counts = {"": len(self._requests) - 1, method: self._requests.count(method) - 1}
        due = [cross for cross in self._crossing if counts.get(cross.method) == cross.nth]
        during = [cross for cross in due if cross.when == "during"]
        meanwhile = [cross.do for cross in during]
        if method == "DELETE" and self._threads:
            meanwhile.append(self._threads.meet)
        if not self.registry.during_delete(meanwhile):
            due = [cross if cross.when != "during" else replace(cross, when="before") for cross in due]
        for cross in due:
            if cross.when == "before":
                cross.do()
        self.watch.sees(method, request.path, request.content)
        if len(self._requests) - 1 == self._slow:
            self._unanswered.append(answer)
            raise TimeoutError("no answer in time")
        response = answer()
        self.registry.tell()
        for cross in due:
            if cross.when == "after":
                cross.do()
        return response

    def _around_disk(self, step: DiskStep, take: Callable[[], Any]) -> Any:
        """Take a step of a worker in the storage, with all acts that cross the step."""
        if self._elsewhere:
            return take()
        return self.ground.life.step(lambda: self._crossed_on_disk(step, take))

    def _crossed_on_disk(self, step: DiskStep, take: Callable[[], Any]) -> Any:
        method = "DELETE" if step.action == "delete" else "DISK"
        self._requests.append(method)
        counts = {"": len(self._requests) - 1, method: self._requests.count(method) - 1}
        due = [cross for cross in self._crossing if counts.get(cross.method) == cross.nth]
        for cross in due:
            if cross.when != "after":
                cross.do()
        if step.action == "delete":
            self.watch.sees("DELETE", f"/v2/{SHOP}/manifests/{step.tag or step.digest}", None)
        result = take()
        if step.action and result is not False:
            number = self._numbers.setdefault(f"on disk {len(self._numbers)}", len(self._numbers))
            self.model.saw(Happened(number, True, step.action, step.tag, step.digest, now_us()))
        for cross in due:
            if cross.when == "after":
                cross.do()
        return result

    def _nothing_left(self) -> bool:
        return not (any(self._left().values()) or self.messages)

    def _left(self) -> dict[str, Any]:
        client: Any = self.ground.plain
        names = {name: self.keys.of(name) for name in ("due", "doomed", "healing")} | {
            "heal": self.keys.of("heal", SHOP)
        }
        until_ms = (now_us() + _HOURS_US) // 1000  # the end of a lease is a day away
        return {name: client.zrangebyscore(key, 0, until_ms) for name, key in names.items()}

    @contextmanager
    def _hours_later(self) -> Iterator[None]:
        """Let an hour pass for manifests that never had a tag."""
        self._offset_us = _HOURS_US
        try:
            yield
        finally:
            self._offset_us = 0

    @property
    def store(self) -> Store:
        """The store over the Redis of the ground."""
        return self.wiring.store
