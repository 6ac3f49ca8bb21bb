"""The outbox: the work that is left to do, and when the sweep sends it again. It is the truth; messages are hints."""

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Literal

from service.clock import now_ms
from service.store.chunks import AT_ONCE, chunks
from service.store.connection import Connection
from service.store.packing import unpack_doomed

RESEND_MS = 2000
LOOK_AGAIN_MS = 15_000
FIRST_WAIT_MS = 1000
LONGEST_WAIT_MS = 60_000
WORKER_LIFE_MS = 60_000
# Repositories that one script makes due. Each costs several writes, and on a busy machine a script is interrupted, too.
_MARKED_AT_ONCE = 100

Queue = Literal["due", "doomed", "healing"]


@dataclass(frozen=True, slots=True)
class Backlog:
    """The open work.

    Attributes:
        due: number of repositories to plan.
        doomed: number of repositories with images to delete.
        collect: True if a collection is requested.
    """

    due: int
    doomed: int
    collect: bool


@dataclass(frozen=True, slots=True)
class Trouble:
    """A problem that an operator must fix: its subject, since when (ms), and the sentence that says how."""

    about: str
    message: str
    at_ms: int


@dataclass(frozen=True, slots=True)
class Worker:
    """One worker process that gave a sign of life within the last minute.

    Attributes:
        name: its node name, such as celery@host. Two processes may have the same name.
        queues: the queues that it consumes.
        at_ms: its last sign of life, by the clock of Redis.
    """

    name: str
    queues: tuple[str, ...]
    at_ms: int


class Outbox:
    """due, doomed, attempts and trouble in Redis. Every method raises StoreUnavailable when Redis is away."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._keys = connection.keys

    def mark_due(self, repositories: Sequence[str]) -> tuple[str, ...]:
        """Make repositories due; return those that were not due before, and so need a message."""
        return tuple(
            name
            for part in chunks(repositories, _MARKED_AT_ONCE)
            for name in self._connection.run("mark_due", repositories=part, resend_ms=RESEND_MS)
        )

    def first_due(self, count: int) -> tuple[str, ...]:
        """Return the repositories that have been due for longest."""
        return tuple(self._connection.redis.zrange(self._keys.of("due"), 0, count - 1))

    def undoom(self, repository: str, short_digest: str) -> None:
        """Remove a digest from the doomed ones and make its repository due for a new plan."""
        self._connection.run("undoom", repository, short_digest=short_digest, resend_ms=RESEND_MS)

    def overdue(self, queue: Queue, count: int = 200) -> tuple[str, ...]:
        """Return the members whose time has come. Each is postponed, so that no two sweeps send the same member."""
        members = self._connection.run(
            "sweep", NAME=queue, maximum=count, resend_ms=RESEND_MS, longest_ms=LONGEST_WAIT_MS
        )
        return tuple(members)

    def postpone(self, queue: Queue, repository: str, asked_s: float | None = None) -> float:
        """Back off after a failure: 1 s, 2 s, … 60 s, or as long as the registry asked for. Returns the wait in s.

        Healing of the repository waits for as long as planning, because the worker that plans heals first.
        """
        wait_ms = self._connection.run(
            "postpone",
            repository,
            NAME=queue,
            queue=queue,
            with_healing=queue == "due",
            first_ms=FIRST_WAIT_MS,
            longest_ms=LONGEST_WAIT_MS,
            asked_ms=int((asked_s or 0) * 1000),
        )
        return float(wait_ms) / 1000

    def end_back_offs(self) -> tuple[str, ...]:
        """Resend everything that backs off now, because the registry answers again; return these repositories.

        The number of failures is kept: if the registry fails again, the next wait is as long as it would have been.
        """
        now_ms, attempts = self._connection.now_ms(), self._keys.of("attempts")
        repositories: set[str] = set()
        client = self._connection.redis
        for field in tuple(dict(client.hscan_iter(attempts, count=AT_ONCE))):
            queue, repository, until = (*field.split(" "), "")[:3]
            if until != "until":
                continue
            for waiting in ("due", "healing") if queue == "due" else (queue,):
                # XX: a repository whose work ended meanwhile must not enter the queue again.
                client.zadd(self._keys.of(waiting), {repository: now_ms}, xx=True)
            client.hdel(attempts, field)
            repositories.add(repository)
        return tuple(sorted(repositories))

    def backing_off(self, queue: Queue, repository: str) -> bool:
        """Return True if the repository's back-off in this queue is not over yet."""
        until = self._connection.redis.hget(self._keys.of("attempts"), f"{queue} {repository} until")
        return until is not None and int(float(until)) > self._connection.now_ms()

    def succeeded(self, queue: Queue, repository: str) -> None:
        """End the back-off, the trouble and the lateness of a repository, because its work succeeded.

        Planning heals first, so when planning succeeded, healing did, too.
        """
        self._connection.run("succeeded", repository, NAME=queue, queue=queue)

    def end_trouble(self, about: str) -> None:
        """Remove a problem that is fixed."""
        self._connection.redis.hdel(self._keys.of("troubles"), about)

    def note_trouble(self, about: str, message: str) -> None:
        """Record a problem that an operator must fix."""
        trouble = json.dumps({"message": message, "at_ms": now_ms()})
        self._connection.redis.hset(self._keys.of("troubles"), about, trouble)

    def troubles(self) -> tuple[Trouble, ...]:
        """Return the problems that the operator must solve, sorted by subject."""
        noted = self._connection.redis.hgetall(self._keys.of("troubles"))
        return tuple(Trouble(about, **json.loads(text)) for about, text in sorted(noted.items()))

    def backlog(self) -> Backlog:
        """Return how much work waits, and for how long."""
        now_ms = self._connection.now_ms()
        with self._connection.redis.pipeline() as pipe:
            for queue in ("due", "doomed"):
                # Work that only time makes due later (a grace, an age) is no backlog; work that backs off is.
                pipe.zcount(self._keys.of(queue), "-inf", now_ms + LONGEST_WAIT_MS)
            pipe.exists(self._keys.of("gc:due"))
            due, doomed, collect = pipe.execute()
        return Backlog(int(due), int(doomed), bool(collect))

    def sign_of_life(self, name: str, queues: Iterable[str] = (), process: str = "-") -> None:
        """Record that a worker process is alive; forget those that were silent for a minute.

        Args:
            name: the worker's node name, without a space.
            process: tells two processes of the same name apart.
        """
        now_ms = self._connection.now_ms()
        with self._connection.redis.pipeline() as pipe:
            pipe.zadd(self._keys.of("workers"), {f"{name} {process} {','.join(queues)}": now_ms})
            pipe.zremrangebyscore(self._keys.of("workers"), "-inf", now_ms - WORKER_LIFE_MS)
            pipe.execute()

    def note_registry(self, url: str) -> tuple[str, ...]:
        """Record the address of the registry that a worker uses; return all that were used in the last minute."""
        key, now_ms = self._keys.of("registries"), self._connection.now_ms()
        with self._connection.redis.pipeline() as pipe:
            pipe.zadd(key, {url: now_ms})
            pipe.zremrangebyscore(key, "-inf", now_ms - WORKER_LIFE_MS)
            pipe.zrange(key, 0, -1)
            return tuple(sorted(pipe.execute()[-1]))

    def workers(self, within_s: float = 10) -> int:
        """Return the number of workers that gave a sign of life within `within_s`."""
        since_ms = self._connection.now_ms() - within_s * 1000
        return int(self._connection.redis.zcount(self._keys.of("workers"), since_ms, "+inf"))

    def signs(self) -> tuple[Worker, ...]:
        """Return the workers that are not forgotten yet, by name."""
        known = self._connection.redis.zrange(self._keys.of("workers"), 0, -1, withscores=True)
        workers = [unpack_worker(member, int(at_ms)) for member, at_ms in known]
        return tuple(sorted(workers, key=lambda worker: (worker.name, worker.at_ms)))

    def waiting(self, celery_queue: str) -> int:
        """Return the number of messages that wait in a Celery queue on this Redis."""
        return int(self._connection.redis.llen(celery_queue))

    def pushes(self) -> int:
        """Return the number of reported pushes and mounts of clients, of blobs and manifests, since the first start."""
        counted = self._connection.redis.hmget(self._keys.of("counters"), "push", "mount", "blob push", "blob mount")
        return sum(int(count or 0) for count in counted)

    def restarts(self) -> str:
        """Return the number of registry instances seen. A new one may have lost the notifications of the last."""
        return str(self._connection.redis.get(self._keys.of("restarts")) or "")

    def healing(self) -> int:
        """Return the number of repositories with tags to check."""
        return int(self._connection.redis.zcard(self._keys.of("healing")))

    def hasten_healing(self, within_ms: int = 0) -> None:
        """Schedule an early check of everything that a delete may have removed by accident.

        Args:
            within_ms: how long a DELETE can still be on its way; 0: none is.
        """
        soon_ms = self._connection.now_ms() + within_ms
        client = self._connection.redis
        for repository in client.zrange(self._keys.of("healing"), 0, -1):
            members = dict.fromkeys(client.zrange(self._keys.of("heal", repository), 0, -1), soon_ms)
            if members:
                # XX: what was checked meanwhile must not return. LT: what is due earlier must not be delayed.
                client.zadd(self._keys.of("heal", repository), members, xx=True, lt=True)
            client.zadd(self._keys.of("healing"), {repository: soon_ms}, xx=True, lt=True)

    def unhealed(self) -> tuple[str, ...]:
        """Return the tags and digests that must be checked and are not doomed, as "R name"."""
        unhealed = []
        client = self._connection.redis
        for repository in client.zrange(self._keys.of("healing"), 0, -1):
            doomed = [unpack_doomed(text) for text in client.hvals(self._keys.of("doomed", repository))]
            deleted = {name for image in doomed for name in (*image.tags, image.digest)}
            names = {member.partition(" ")[0] for member in client.zrange(self._keys.of("heal", repository), 0, -1)}
            unhealed += [f"{repository} {name}" for name in sorted(names - deleted)]
        return tuple(unhealed)

    def counters(self) -> dict[str, int]:
        """Return the counters of events by name."""
        return {name: int(value) for name, value in self._connection.redis.hgetall(self._keys.of("counters")).items()}


def unpack_worker(member: str, at_ms: int) -> Worker:
    """Return the worker behind a member of `workers`."""
    name, _, rest = member.partition(" ")
    return Worker(name, tuple(rest.partition(" ")[2].split(",")) if rest.partition(" ")[2] else (), at_ms)
