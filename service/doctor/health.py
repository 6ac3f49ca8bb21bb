"""The health of the whole system: everything that prevents pushprune from working, one sentence each.

`/readyz`, the API, the dashboard, `/metrics` and the doctor all read the health here, so that they cannot disagree.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace

from service.clock import now_ms
from service.dispatch import QUEUES
from service.domain.errors import StoreUnavailable
from service.domain.finding import Finding
from service.registry import Registry
from service.reports import held_plans
from service.settings import PolicySource
from service.settings.masking import without_logins
from service.store import Store
from service.store.approvals import Hold
from service.store.doctor_reports import DoctorReport
from service.store.gate import GateState
from service.store.outbox import Trouble, Worker
from service.store.policy_changes import UNREADABLE
from service.store.stats import StatsSnapshot

LATE_S = 60.0
REGISTRY = "registry"
REGISTRIES = "registries"
DIFFERENT_REGISTRIES = (
    "workers with the same keys in Redis use registries at different addresses, {}: give each registry a redis.prefix "
    "of its own; if this is one registry, give all workers the same registry.url (an address counts for a minute)"
)
SLOW = "slow answers"
LATE = "late "
_CLOCK_S = 60.0

_START = "pushprune worker --queues {queues} --name {name}"
# Queue of messages → what does not happen without a worker for it.
_WITHOUT = {
    "enforce": "no repository is planned",
    "delete": "nothing is deleted",
    "reconcile": "the history is not compared with the registry",
    "garbage": "no garbage is collected",
}
_NO_GATE = (
    "no gate process answers (none seen for 10 s), so the proxy refuses every push; start one: pushprune gate; if one "
    "runs, its log says why it does not reach Redis"
)
_OTHER_PREVIEWS = (
    "this process has read another policy than the one in force: its pages and previews are not what the workers delete"
)
_WORK = {"due": "to be planned", "doomed": "for its deletions", "healing": "to be checked after a deletion"}


@dataclass(frozen=True, slots=True)
class Health:
    """The figures of this moment, and everything that an operator must fix.

    Attributes:
        reading: the figures.
        troubles: in the order in which they should be fixed.
        queues: queue of messages → the workers that consume it, for every queue that needs one.
        registry: True if the registry answers and accepts the login, None if that is not known.
        holds: the plans that wait for approval and were not rejected.
        collection: the stage of the running collection, None if none is running.
        gate_processes: the gate processes that answer the proxy; None if no proxy asks them.
        gate: the write gate while it is draining or closed, None while it is open.
        restorable: the number of deletions that can still be undone.
        policy: `in force`, `none`, or why the policy file is invalid.
    """

    reading: StatsSnapshot
    troubles: tuple[Trouble, ...]
    queues: dict[str, int]
    registry: bool | None
    holds: tuple[Hold, ...]
    collection: str | None
    gate_processes: int | None
    gate: GateState | None
    restorable: int
    policy: str


def system_health(store: Store, registry: Registry, policies: PolicySource) -> Health:
    """Return the health of the system at this moment. Raises StoreUnavailable if Redis does not answer."""
    before_ms = now_ms()
    reading, noted = store.stats.read(), store.outbox.troubles()
    queues = {queue: reading.consumers.get(queue, 0) for queue in needed(registry)}
    # Only the workers check the registry. Without a worker, the recorded trouble is out of date.
    is_looked_at = registry.is_configured and reading.workers > 0
    noted = tuple(trouble for trouble in noted if trouble.about != REGISTRY or is_looked_at)
    is_away = any(trouble.about == REGISTRY for trouble in noted)
    # Reading the policy loads a changed file, which sets or clears the complaint.
    policy = policies.current()
    gate_processes = store.gate.serving()
    holds, running = held_plans.undecided(store), store.collections.progress()
    troubles = (
        *_clock(reading, before_ms),
        *(trouble for trouble in noted if trouble.about == REGISTRY),
        *((Trouble("gate process", _NO_GATE, reading.now_ms),) if gate_processes == 0 else ()),
        *_workers(store, reading, queues),
        *_policy(policies, reading),
        *_different_policies(store, policies, reading),
        # Deletions wait for the end of a collection, so lateness is expected then.
        *(() if running else _lateness(reading)),
        *_holds(holds),
        *_unheard(store, reading),
        *(trouble for trouble in noted if trouble.about != REGISTRY),
    )
    return Health(
        reading=reading,
        troubles=troubles,
        queues=queues,
        registry=not is_away if is_looked_at else None,
        holds=holds,
        collection=running.stage if running else None,
        gate_processes=gate_processes,
        gate=store.gate.state(),
        restorable=store.stats.trashed(),
        policy=policies.complaint or ("in force" if policy else "none"),
    )


def check_recording(store: Store) -> None:
    """Raise StoreUnavailable, within a moment, if events cannot be recorded now."""
    store.connection.pulse()


def recorded_troubles(store: Store) -> tuple[Trouble, ...]:
    """Return the problems that workers and web processes recorded."""
    return store.outbox.troubles()


def known_workers(store: Store) -> tuple[Worker, ...]:
    """Return the workers that were seen within the last minute."""
    return store.outbox.signs()


def queued_messages(store: Store, prefix: str) -> dict[str, int]:
    """Return the number of messages in each queue. They are hints: the outbox in Redis says what must still happen."""
    return {queue: store.outbox.waiting(f"{prefix}{queue}") for queue in QUEUES.values()}


def last_report(store: Store) -> DoctorReport | None:
    """Return the last report; None if the doctor did not run within the last week."""
    return store.doctor_reports.last()


def keep_report(store: Store, findings: Iterable[Finding], by: str) -> tuple[Finding, ...]:
    """Keep the findings of a run for the dashboard, without the logins of URLs, and return them.

    Args:
        by: the user who started the run.
    """
    public = tuple(
        replace(finding, message=without_logins(finding.message), fix=without_logins(finding.fix))
        for finding in findings
    )
    # If Redis is not available, the findings say so already.
    with suppress(StoreUnavailable):
        store.doctor_reports.keep(public, by)
    return public


def needed(registry: Registry) -> tuple[str, ...]:
    """Return the queues that need a worker: the queue for collections only if there is a collector."""
    return tuple(queue for queue in QUEUES.values() if queue != "garbage" or registry.collector is not None)


def start_line(queues: tuple[str, ...]) -> str:
    """Return the command that starts a worker for these queues."""
    return _START.format(name=queues[0] if len(queues) == 1 else "worker", queues=",".join(queues))


def _workers(store: Store, reading: StatsSnapshot, queues: dict[str, int]) -> Iterator[Trouble]:
    if not reading.workers:
        try:
            check_recording(store)
        except StoreUnavailable as error:
            yield Trouble("workers", f"Redis does not show which workers run: {error}", reading.now_ms)
            return
        message = "no worker is running (none seen for 10 s), so nothing is planned or deleted; start one: "
        yield Trouble("workers", message + start_line(tuple(queues)), reading.now_ms)
        return
    for queue, workers in queues.items():
        if not workers:
            message = f"no worker for queue {queue}, so {_WITHOUT[queue]}; start one: {start_line((queue,))}"
            yield Trouble("workers", message, reading.now_ms)


def _lateness(reading: StatsSnapshot) -> Iterator[Trouble]:
    for queue, late_s in reading.late_s.items():
        if late_s > LATE_S:
            message = (
                f"a repository has been waiting for {late_s:.0f} s {_WORK[queue]}: the workers do not keep up, or "
                "something stops them; if there is no other problem here, start one more worker and read the logs"
            )
            yield Trouble(f"{LATE}{queue}", message, reading.now_ms - round(late_s * 1000))


def _holds(holds: Sequence[Hold]) -> Iterator[Trouble]:
    if holds:
        names = some([hold.repository for hold in holds])
        waiting = (
            f"1 plan waits for approval, in {names}, and deletes nothing until then"
            if len(holds) == 1
            else f"{len(holds)} plans wait for approval, in {names}, and delete nothing until then"
        )
        approve = f"pushprune prune --approve {holds[0].repository}"
        message = f"{waiting}: see pushprune prune --held, then run {approve}"
        yield Trouble("holds", message, min(hold.at_us for hold in holds) // 1000)


def _unheard(store: Store, reading: StatsSnapshot) -> Iterator[Trouble]:
    lost = store.history.unannounced()
    if lost:
        tags = sum(lost.values())
        message = (
            f"{tags} {'tag is' if tags == 1 else 'tags are'} kept only because the events of their pushes were lost: "
            f"their push times are unknown, in {some(sorted(lost))}. They expire by newer pushes only; "
            "to find their push times, set storage.path or storage.url and run: pushprune reconcile"
        )
        yield Trouble("unannounced", message, reading.now_ms)


def some(names: Sequence[str]) -> str:
    """Return the first three names, with dots if there are more."""
    return ", ".join(names[:3]) + (", …" if len(names) > 3 else "")


def _clock(reading: StatsSnapshot, before_ms: int) -> Iterator[Trouble]:
    ahead_s = (reading.now_ms - before_ms) / 1000
    if abs(ahead_s) > _CLOCK_S:
        way = "ahead of" if ahead_s > 0 else "behind"
        message = (
            f"the clock of Redis is {abs(ahead_s):.0f} s {way} the clock of this machine, so times in the history and "
            "ages in the policy are wrong: set both clocks (timedatectl set-ntp true)"
        )
        yield Trouble("clock", message, reading.now_ms)


def _policy(policies: PolicySource, reading: StatsSnapshot) -> Iterator[Trouble]:
    if policies.complaint:
        yield Trouble("policy", policies.complaint, reading.now_ms)


def different_policies(store: Store, policies: PolicySource) -> tuple[str, ...]:
    """Return a sentence for each problem: workers or this process have read another policy than the others, or none.

    Args:
        policies: of this process, which shows and previews by them.
    """
    read_by, in_force, sentences = store.policy_changes.read_by(), store.policy_changes.in_force(), []
    if names := _workers_with(read_by, lambda digest: digest == UNREADABLE):
        sentences.append(
            f"{some(names)} cannot read the policy file, as the log there says: a change of it has no effect there"
        )
    digests = set(read_by.values()) - {UNREADABLE}
    if len(digests) > 1:
        names = _workers_with(read_by, lambda digest: digest not in (in_force, UNREADABLE))
        sentences.append(
            "the workers have read different policies: the policy in force stays; with another one, "
            f"{some(names)} can neither plan nor delete (a worker that was killed still counts for a minute)"
        )
    # While all have read the same changed policy, it is about to be in force.
    policies.current()
    if policies.digest != in_force and digests - {policies.digest}:
        sentences.append(_OTHER_PREVIEWS)
    return tuple(sentences)


def _workers_with(read_by: Mapping[str, str], is_meant: Callable[[str], bool]) -> list[str]:
    return sorted({worker.partition(" ")[0] for worker, digest in read_by.items() if is_meant(digest)})


def _different_policies(store: Store, policies: PolicySource, reading: StatsSnapshot) -> Iterator[Trouble]:
    for sentence in different_policies(store, policies):
        message = f"{sentence}; give all workers and web processes the same policy"
        yield Trouble("policies", message, reading.now_ms)
