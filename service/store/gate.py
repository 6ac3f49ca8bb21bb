"""The write gate in Redis: its state, the pushes under way, and the blobs that somebody relies on."""

from collections.abc import Iterable
from dataclasses import dataclass
from hashlib import sha256
from typing import Literal

from service.domain.gate import Wish
from service.store.connection import Connection, new_token
from service.store.keys import long, short

FORGOTTEN_S = 3600
CLAIMS_MS = 5_000
MORE = "*"
_IDLE_MS = 30_000
_OPEN_MS = 600_000
_ASKING_MS = 5_000
_FRESH_MS = 10_000

State = Literal["", "draining", "closed"]


@dataclass(frozen=True, slots=True)
class Bounds:
    """How much is remembered of pushes: for how long (ms), of how many pushes and blobs."""

    youth_ms: int = 3_600_000
    pushes: int = 10_000
    blobs: int = 100_000


@dataclass(frozen=True, slots=True)
class Answer:
    """What the gate says to a request. state: "" while it is open; token: of who holds it.

    overflows: more pushes, or blobs that they rely on, are under way than are remembered.
    """

    passes: bool
    state: State
    token: str
    overflows: bool


@dataclass(frozen=True, slots=True)
class Signed:
    """What a gate process learns: the gate as it stands, whether the one it knew was opened, and Redis' memory.

    memory: another one than before tells that Redis has lost everything.
    """

    state: State
    token: str
    was_opened: bool
    memory: str


@dataclass(frozen=True, slots=True)
class Standing:
    """A gate that is not open: whose it is (token, fence), since when (ms), and why.

    is_kept: its holder is gone and has left it closed on purpose.
    """

    state: State
    token: str
    fence: int
    since_ms: int
    reason: str
    is_kept: bool = False


@dataclass(frozen=True, slots=True)
class Loose:
    """A blob that somebody relies on and no manifest of his references yet. heard: not noted at the gate."""

    repository: str
    digest: str
    at_ms: int
    heard: bool
    client: str = ""


@dataclass(frozen=True, slots=True)
class Unread:
    """A manifest whose push was heard without its references. put_ms: when the gate let its client's last one pass."""

    repository: str
    digest: str
    client: str
    put_ms: int


class Gate:
    """The gate. Every method raises StoreUnavailable when Redis is away."""

    def __init__(self, connection: Connection, bounds: Bounds | None = None) -> None:
        self._connection = connection
        self._keys = connection.keys
        self._bounds = bounds or Bounds()

    def admit(self, wish: Wish, client: str, *, passed: bool = False) -> Answer:
        """Whether a request may pass; what it says about a push is noted. One call of one script.

        passed: it has passed while Redis was away, and is only noted.
        """
        keys = [self._keys.of(name) for name in ("gate", "pushing", "loose")]
        args: list[str | int] = [wish.kind, wish.repository, client, short(wish.digest) if wish.digest else ""]
        args += [int(wish.by_tag), self._bounds.youth_ms, self._bounds.pushes, self._bounds.blobs, int(passed)]
        args.append(CLAIMS_MS)
        passes, state, token, overflows = self._connection.script("gate_admit", keys, args)
        return Answer(bool(passes), state, token, bool(overflows))

    def drain(self, token: str, fence: int, reason: str) -> bool:
        """Lets only open pushes go on; False when somebody else holds the gate."""
        return self._turn("drain", token, fence, reason)

    def close(self, token: str) -> bool:
        """Lets nothing pass; False when the gate is not (or no longer) this holder's."""
        return self._turn("close", token)

    def open(self, token: str) -> bool:
        """Lets everything pass: for the holder, and for whoever has proved its collector dead.

        False when another holds the gate.
        """
        return self._turn("open", token)

    def keep(self, token: str, reason: str) -> bool:
        """Leaves it closed when its holder goes, until another collection opens it; False when it is not his."""
        return self._turn("keep", token, 0, reason)

    def standing(self) -> Standing | None:
        """Who holds the gate, None while it is open."""
        with self._connection.reached() as client:
            held = client.hgetall(self._keys.of("gate"))
        if not held:
            return None
        at, fence = int(held["since_ms"]), int(held["fence"])
        return Standing(held["state"], held["token"], fence, at, held["reason"], "kept" in held)

    def unfinished(self, claims_ms: int = CLAIMS_MS) -> tuple[str, ...]:
        """The repositories to which a push is under way that a collection should wait for; MORE if not all are known.

        One that stands still for half a minute is not waited for (what it has pushed is loose, and is not swept); nor
        is one that only claims to be one, and of which the registry has told nothing, after the first `claims_ms`.
        """
        now_ms, held = self._connection.now_ms(), self.standing()
        with self._connection.reached() as client:
            signs = client.zrangebyscore(self._keys.of("pushing"), now_ms - _OPEN_MS, "+inf", withscores=True)
            loose = client.zrangebyscore(self._keys.of("loose"), now_ms - _FRESH_MS, "+inf", withscores=True)
        believes = held is None or now_ms - held.since_ms < claims_ms
        read = self._read()
        fresh = {
            (repository, who)
            for repository, _, who, at_ms in ((*member.split(" "), at_ms) for member, at_ms in loose if member != "*")
            if at_ms > read.get((repository, who), -1)
        }
        ages = {member: now_ms - sign_ms for member, sign_ms in signs}
        found = set()
        for member, age_ms in ages.items():
            repository, who, what = member.split(" ")
            is_told = who.startswith("~") or f"{repository} ~{who} open" in ages
            if what == "open":
                waits = age_ms <= _IDLE_MS and (is_told or believes)
            elif what == "put":
                waits = age_ms < _FRESH_MS and (is_told or believes) and (repository, who) in fresh
            elif what == "asking":
                waits = age_ms < _ASKING_MS and believes
            else:
                waits = age_ms < _IDLE_MS
            if waits:
                found.add(repository)
        return tuple(sorted(found))

    def _read(self) -> dict[tuple[str, str], int]:
        """(repository, client) → until when all that he asked for belongs to manifests that were heard of (ms)."""
        read: dict[tuple[str, str], int] = {}
        for one in self.unread():
            at = (one.repository, one.client)
            read[at] = max(read.get(at, -1), one.put_ms)
        return read

    def unread(self) -> tuple[Unread, ...]:
        """The manifests that were pushed lately, and of which the registry did not tell what they reference."""
        with self._connection.reached() as client:
            members = client.zrange(self._keys.of("unread"), 0, -1)
        found = (member.split(" ") for member in members)
        return tuple(Unread(repository, long(word), who, int(put)) for repository, word, who, put in found)

    def free(self, unread: Unread, references: Iterable[str]) -> int:
        """What that manifest references is loose no more; returns how much that was."""
        member = f"{unread.repository} {short(unread.digest)} {unread.client} {unread.put_ms}"
        args: list[str | int] = [member, unread.repository, unread.client, unread.put_ms, *map(short, references)]
        return int(self._connection.run("gate_free", args))

    def loose(self, digests: Iterable[str]) -> tuple[Loose, ...]:
        """Where somebody relies on one of these blobs; one that names no blob where nobody can tell any more."""
        wanted = {short(digest): digest for digest in digests}
        since_ms = self._connection.now_ms() - self._bounds.youth_ms
        with self._connection.reached() as client:
            members = client.zrangebyscore(self._keys.of("loose"), since_ms, "+inf", withscores=True)
        found = []
        for member, at_ms in members:
            repository, blob, who = member.split(" ") if member != "*" else ("*", "", "")
            if blob in wanted or not blob:
                heard = who.startswith("~")
                found.append(Loose(repository, wanted.get(blob, ""), int(at_ms), heard, who.removeprefix("~")))
        return tuple(found)

    def noted_since(self, at_ms: int) -> bool:
        """Whether somebody has relied on any blob since, and no manifest of his references it yet."""
        with self._connection.reached() as client:
            return bool(client.zcount(self._keys.of("loose"), at_ms, "+inf"))

    def sign(self, process: str, knows: str = "", *, obeys: bool = True, memory: str = "") -> Signed:
        """A gate process can be reached.

        knows: the token of the closed gate that it knows of, or ""; obeys: whether all that it let pass before is
        answered; memory: what it was told last.
        """
        args: list[str | int] = [process, knows, int(obeys), FORGOTTEN_S * 1000, memory]
        args += [max(FORGOTTEN_S * 1000, self._bounds.youth_ms), new_token()]
        state, token, was_opened, memory = self._connection.run("gate_sign", args)
        return Signed(state, token, bool(was_opened), memory)

    def forgotten_s(self) -> float:
        """For how long a push may yet go on that began before Redis lost everything; 0 where it did not."""
        with self._connection.reached() as client:
            return max(0.0, float(client.pttl(self._keys.of("gate:forgot"))) / 1000)

    def sign_off(self, *processes: str) -> None:
        """These processes serve the gate no more."""
        if not processes:
            return
        with self._connection.reached() as client, client.pipeline() as pipe:
            pipe.zrem(self._keys.of("gates"), *processes)
            pipe.hdel(self._keys.of("gates:seen"), *processes)
            pipe.execute()

    def processes(self) -> tuple[str, ...]:
        """The gate processes, also those not heard of for a while."""
        since_ms = self._connection.now_ms() - FORGOTTEN_S * 1000
        with self._connection.reached() as client:
            return tuple(client.zrangebyscore(self._keys.of("gates"), since_ms, "+inf"))

    def unaware(self, token: str) -> tuple[str, ...]:
        """The gate processes that do not know yet that the gate is closed for this holder."""
        processes = self.processes()
        with self._connection.reached() as client:
            seen = client.hgetall(self._keys.of("gates:seen"))
        return tuple(process for process in processes if seen.get(process) != token)

    def sweeping(self, digests: Iterable[str]) -> None:
        """Remembers what is about to be swept, for the next run if this one is cut off."""
        key, words = self._keys.of("sweeping"), [short(digest) for digest in digests]
        with self._connection.reached() as client, client.pipeline() as pipe:
            for at in range(0, len(words), 1000):
                pipe.sadd(key, *words[at : at + 1000])
            pipe.pexpire(key, max(1, self._bounds.youth_ms))
            pipe.execute()

    def was_sweeping(self) -> frozenset[str]:
        """The short digests that a run before was about to sweep."""
        with self._connection.reached() as client:
            return frozenset(client.smembers(self._keys.of("sweeping")))

    def holds(self, repository: str, manifest: bytes) -> str:
        """Remembers a manifest that is about to be put to hold blobs during a sweep; returns its digest."""
        digest = f"sha256:{sha256(manifest).hexdigest()}"
        with self._connection.reached() as client:
            client.sadd(self._keys.of("gc:held"), f"{repository} {digest}")
        return digest

    def held(self) -> tuple[tuple[str, str], ...]:
        """(repository, digest) of the manifests that hold blobs during a sweep, or were left behind by one."""
        with self._connection.reached() as client:
            members = sorted(client.smembers(self._keys.of("gc:held")))
        return tuple((repository, digest) for repository, _, digest in (member.partition(" ") for member in members))

    def released(self, repository: str, digest: str) -> None:
        """That one is removed."""
        with self._connection.reached() as client:
            client.srem(self._keys.of("gc:held"), f"{repository} {digest}")

    def _turn(self, what: str, token: str, fence: int = 0, reason: str = "") -> bool:
        return bool(self._connection.run("gate_turn", [what, token, fence, reason]))
