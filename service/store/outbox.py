"""The outbox: what must still happen, and when the sweep sends it again. It is the truth; messages are hints."""

import json
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Literal

from service.store.connection import Connection
from service.store.packing import unpack_doomed

RESEND_MS = 2000
LOOK_AGAIN_MS = 15_000
FIRST_WAIT_MS = 1000
LONGEST_WAIT_MS = 60_000
WORKER_LIFE_MS = 60_000
_AT_ONCE = 1000  # repositories in one call of a script

Queue = Literal["due", "doomed", "healing"]


@dataclass(frozen=True, slots=True)
class Backlog:
    """What waits: repositories to plan, repositories with something to delete, whether a collection is wanted."""

    due: int
    doomed: int
    collect: bool


@dataclass(frozen=True, slots=True)
class Trouble:
    """Something an operator must mend: about whom, since when (ms), and the sentence that says how."""

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
        """Makes repositories due; returns those that were not, and want a message."""
        if not repositories:
            return ()
        keys = [self._keys.of("due"), self._keys.of("generation"), self._keys.of("doomed")]
        keys += [self._keys.doomed(repository) for repository in repositories]
        return tuple(self._connection.script("mark_due", keys, [RESEND_MS, *repositories]))

    def spare(self, repository: str, short_digest: str) -> None:
        """Takes a digest off the doomed ones and has its repository planned again."""
        self._connection.run("spare", [repository, short_digest, RESEND_MS], repository)

    def overdue(self, queue: Queue, count: int = 200) -> tuple[str, ...]:
        """Return the members whose time has come; each is postponed, so that no two sweeps send the same member."""
        keys = [self._keys.of(queue), self._keys.late(queue)]
        return tuple(self._connection.script("sweep", keys, [count, RESEND_MS, LONGEST_WAIT_MS]))

    def put_off(self, queue: Queue, repository: str, asked_s: float | None = None) -> float:
        """Backs off after a failure: 1 s, 2 s, … 60 s, or as long as the registry asked for. Returns the wait in s.

        Who plans a repository heals it first, so that waits for as long.
        """
        keys = [self._keys.of(queue), self._keys.of("attempts")]
        keys += [self._keys.of("healing")] if queue == "due" else []
        args: list[str | int] = [repository, f"{queue} {repository}", FIRST_WAIT_MS, LONGEST_WAIT_MS]
        return float(self._connection.script("put_off", keys, [*args, int((asked_s or 0) * 1000)])) / 1000

    def end_back_offs(self) -> tuple[str, ...]:
        """Have everything that backs off sent again now, as the registry answers again; returns these repositories.

        The number of failures is kept: if the registry fails again, the next wait is as long as it would have been.
        """
        now_ms, attempts = self._connection.now_ms(), self._keys.of("attempts")
        repositories: set[str] = set()
        with self._connection.reached() as client:
            for field in client.hkeys(attempts):
                queue, repository, until = (*field.split(" "), "")[:3]
                if until != "until":
                    continue
                for waiting in ("due", "healing") if queue == "due" else (queue,):
                    client.zadd(self._keys.of(waiting), {repository: now_ms}, xx=True)
                client.hdel(attempts, field)
                repositories.add(repository)
        return tuple(sorted(repositories))

    def backing_off(self, queue: Queue, repository: str) -> bool:
        """Whether a back-off is not over yet."""
        with self._connection.reached() as client:
            until = client.hget(self._keys.of("attempts"), f"{queue} {repository} until")
        return until is not None and int(float(until)) > self._connection.now_ms()

    def succeeded(self, queue: Queue, repository: str) -> None:
        """End the back-off, the trouble and the lateness of a repository: its work got on.

        Planning heals first, so that healing got on as well where planning did.
        """
        with self._connection.reached() as client, client.pipeline() as pipe:
            for name in ("due", "healing") if queue == "due" else (queue,):
                pipe.zrem(self._keys.late(name), repository)
            pipe.hdel(self._keys.of("attempts"), f"{queue} {repository}", f"{queue} {repository} until")
            pipe.hdel(self._keys.of("trouble"), f"{queue} {repository}")
            pipe.execute()

    def mended(self, about: str) -> None:
        """Ends a trouble."""
        with self._connection.reached() as client:
            client.hdel(self._keys.of("trouble"), about)

    def complain(self, about: str, message: str) -> None:
        """Notes what an operator must mend."""
        trouble = json.dumps({"message": message, "at_ms": time.time_ns() // 1_000_000})
        with self._connection.reached() as client:
            client.hset(self._keys.of("trouble"), about, trouble)

    def troubles(self) -> tuple[Trouble, ...]:
        with self._connection.reached() as client:
            noted = client.hgetall(self._keys.of("trouble"))
        return tuple(Trouble(about, **json.loads(text)) for about, text in sorted(noted.items()))

    def backlog(self) -> Backlog:
        now_ms = self._connection.now_ms()
        with self._connection.reached() as client, client.pipeline() as pipe:
            for queue in ("due", "doomed"):
                # What time alone makes due later (a grace, an age) is no backlog; what backs off is.
                pipe.zcount(self._keys.of(queue), "-inf", now_ms + LONGEST_WAIT_MS)
            pipe.exists(self._keys.of("gc:due"))
            due, doomed, collect = pipe.execute()
        return Backlog(int(due), int(doomed), bool(collect))

    def sign_of_life(self, name: str, queues: Iterable[str] = (), process: str = "-") -> None:
        """Note that a worker process lives; those silent for a minute are forgotten.

        Args:
            name: the worker's node name, without a space.
            queues: the queues that it consumes.
            process: tells two processes of the same name apart.
        """
        now_ms = self._connection.now_ms()
        with self._connection.reached() as client, client.pipeline() as pipe:
            pipe.zadd(self._keys.of("workers"), {f"{name} {process} {','.join(queues)}": now_ms})
            pipe.zremrangebyscore(self._keys.of("workers"), "-inf", now_ms - WORKER_LIFE_MS)
            pipe.execute()

    def workers(self, within_s: float = 10) -> int:
        """How many workers gave a sign of life lately."""
        since_ms = self._connection.now_ms() - within_s * 1000
        with self._connection.reached() as client:
            return int(client.zcount(self._keys.of("workers"), since_ms, "+inf"))

    def signs(self) -> tuple[Worker, ...]:
        """The workers that are not forgotten yet, by name."""
        with self._connection.reached() as client:
            known = client.zrange(self._keys.of("workers"), 0, -1, withscores=True)
        workers = [unpack_worker(member, int(at_ms)) for member, at_ms in known]
        return tuple(sorted(workers, key=lambda worker: (worker.name, worker.at_ms)))

    def policy_changed(self, digest: str, policy: str) -> bool:
        """Whether the policy in force is another than the one noted last; the first one is noted and is no change.

        policy: as JSON, "" for none.
        """
        with self._connection.reached() as client:
            client.set(self._keys.of("policy"), digest, nx=True)
            if client.get(self._keys.of("policy")) != digest:
                return True
            client.set(self._keys.of("policy:last"), policy, nx=True)
            return False

    def policy_held(self, repositories: Sequence[str], removed: int, of: int) -> None:
        """Have the next plans of these repositories wait for an approval.

        Args:
            removed: how many tags the changed policy would delete in all repositories.
            of: how many tags all repositories have.
        """
        for start in range(0, len(repositories), _AT_ONCE):
            self._connection.run("policy_held", [removed, of, *repositories[start : start + _AT_ONCE]])

    def policy_applied(self, digest: str, policy: str) -> None:
        """Notes that every repository was made due for this policy. policy: as JSON, "" for none."""
        with self._connection.reached() as client:
            client.mset({self._keys.of("policy"): digest, self._keys.of("policy:last"): policy})

    def policy_last(self) -> str:
        """The policy last applied, as JSON; "" for none."""
        with self._connection.reached() as client:
            return str(client.get(self._keys.of("policy:last")) or "")

    def waiting(self, celery_queue: str) -> int:
        """Messages that wait in a Celery queue on this Redis."""
        with self._connection.reached() as client:
            return int(client.llen(celery_queue))

    def pushes(self) -> int:
        """How many pushes and mounts by others, of blobs and manifests, were heard since the beginning."""
        with self._connection.reached() as client:
            counted = client.hmget(self._keys.of("counters"), "push", "mount", "blob push", "blob mount")
        return sum(int(count or 0) for count in counted)

    def restarts(self) -> str:
        """How many registry instances were seen: another one may have lost what it had to tell."""
        with self._connection.reached() as client:
            return str(client.get(self._keys.of("restarts")) or "")

    def healing(self) -> int:
        """Repositories with tags that must be looked at."""
        with self._connection.reached() as client:
            return int(client.zcard(self._keys.of("healing")))

    def hasten_healing(self, within_ms: int = 0) -> None:
        """Have everything checked soon that a delete may have taken along.

        Args:
            within_ms: how long a DELETE can still be on its way; 0: none is.
        """
        soon_ms = self._connection.now_ms() + within_ms
        with self._connection.reached() as client:
            for repository in client.zrange(self._keys.of("healing"), 0, -1):
                members = dict.fromkeys(client.zrange(self._keys.heal(repository), 0, -1), soon_ms)
                if members:
                    client.zadd(self._keys.heal(repository), members, xx=True, lt=True)
                client.zadd(self._keys.of("healing"), {repository: soon_ms}, xx=True, lt=True)

    def unhealed(self) -> tuple[str, ...]:
        """What must be looked at and is not doomed: "R name" of tags and digests."""
        found = []
        with self._connection.reached() as client:
            for repository in client.zrange(self._keys.of("healing"), 0, -1):
                doomed = [unpack_doomed(text) for text in client.hvals(self._keys.doomed(repository))]
                goes = {name for one in doomed for name in (*one.tags, one.digest)}
                names = {member.partition(" ")[0] for member in client.zrange(self._keys.heal(repository), 0, -1)}
                found += [f"{repository} {name}" for name in sorted(names - goes)]
        return tuple(found)

    def counters(self) -> dict[str, int]:
        with self._connection.reached() as client:
            return {name: int(value) for name, value in client.hgetall(self._keys.of("counters")).items()}


def unpack_worker(member: str, at_ms: int) -> Worker:
    """The worker behind a member of `workers`."""
    name, _, rest = member.partition(" ")
    return Worker(name, tuple(rest.partition(" ")[2].split(",")) if rest.partition(" ")[2] else (), at_ms)
