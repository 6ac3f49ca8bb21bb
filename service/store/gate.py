"""The write gate in Redis: its state, its processes, and the blobs that are held or deleted behind it."""

from collections.abc import Iterable
from dataclasses import dataclass
from hashlib import sha256
from typing import Literal

from service.domain.collection.gate import WriteRequest
from service.store.chunks import AT_ONCE, chunks
from service.store.connection import Connection, new_token
from service.store.keys import short
from service.store.limits import PushLimits

FORGOTTEN_S = 3600
CLAIMS_MS = 5_000
_SILENT_MS = 10_000
# A gate process looks at the gate at least four times a second, but on a busy machine it may be late.
_LATE_MS = 30_000

GateMode = Literal["", "draining", "closed", "claiming", "manifests"]


@dataclass(frozen=True, slots=True)
class GateAnswer:
    """The gate's answer to a request.

    Attributes:
        state: "" while the gate is open.
        token: the token of the gate's holder.
        overflows: more pushes, or blobs that they need, are under way than can be remembered.
    """

    passes: bool
    state: GateMode
    token: str
    overflows: bool


@dataclass(frozen=True, slots=True)
class GateView:
    """The state of the gate, as a gate process receives it.

    Attributes:
        was_opened: the closed gate that this process knew was opened.
        memory: the name of Redis' memory. Another name than before means that Redis has lost everything.
    """

    state: GateMode
    token: str
    was_opened: bool
    memory: str


@dataclass(frozen=True, slots=True)
class GateState:
    """A gate that is not open: its holder (token, fence), since when (ms), and the reason.

    Attributes:
        is_kept: the holder has ended and left the gate closed on purpose.
        claimed_ms: when an online collection last claimed digests.
    """

    state: GateMode
    token: str
    fence: int
    since_ms: int
    reason: str
    is_kept: bool = False
    claimed_ms: int = 0


class Gate:
    """The gate in Redis. Every method raises StoreUnavailable when Redis is away."""

    def __init__(
        self, connection: Connection, bounds: PushLimits | None = None, *, has_processes: bool = False
    ) -> None:
        """Prepare the gate. has_processes: a proxy asks the gate processes about every write."""
        self._has_processes = has_processes
        self._connection = connection
        self._keys = connection.keys
        self._bounds = bounds or PushLimits()

    def admit(
        self, write: WriteRequest, client: str, *, passed: bool = False, memory: str = "", knows: str = ""
    ) -> GateAnswer:
        """Decide whether a request may pass, and record what it says about a push, in one call of one script.

        Args:
            passed: the request has passed already, while Redis was away, and is only recorded.
            memory: the name of Redis' memory that the process knows. With another memory nothing passes.
            knows: the token of the closed or claiming gate that the process knows. Without that gate nothing passes
                until it is opened.
        """
        passes, state, token, overflows = self._connection.run(
            "gate_admit",
            write.repository,
            kind=write.kind,
            client=client,
            needed=short(write.digest) if write.digest else "",
            by_tag=write.by_tag,
            reference=write.reference if write.by_tag else f"@{short(write.reference)}" if write.reference else "",
            youth_ms=self._bounds.youth_ms,
            max_pushes=self._bounds.pushes,
            max_blobs=self._bounds.blobs,
            has_passed=passed,
            claims_ms=CLAIMS_MS,
            memory=memory,
            knows=knows,
        )
        return GateAnswer(bool(passes), state, token, bool(overflows))

    def drain(self, token: str, fence: int, reason: str) -> bool:
        """Let only pushes under way continue. Returns False if another holder has the gate."""
        return self._turn("drain", token, fence, reason)

    def claim(self, token: str, fence: int, reason: str, *, with_manifests: bool = False) -> bool:
        """Let an online collection claim digests: only requests that name a claimed digest wait.

        Args:
            with_manifests: the PUTs of manifests wait as well.

        Returns:
            False if another holder has the gate.
        """
        return self._turn("manifests" if with_manifests else "claim", token, fence, reason)

    def hold_manifests(self, token: str, seen_ms: int = 0) -> bool:
        """Let the PUTs of manifests wait as well, unless the gate has let one pass that the holder does not know.

        Args:
            seen_ms: the holder knows every PUT before this time (ms); 0: every PUT before it began to claim.

        Returns:
            False if one has passed, or if this holder does not have the gate. Nothing changes then.
        """
        return self._turn("hold", token, seen_ms=seen_ms)

    def close(self, token: str) -> bool:
        """Let no write pass. Returns False if this holder does not have the gate, or no longer has it."""
        return self._turn("close", token)

    def open(self, token: str) -> bool:
        """Let everything pass. For the holder, and for a process that has proved that the holder's collector is dead.

        Returns False if another holder has the gate.
        """
        return self._turn("open", token)

    def keep(self, token: str, reason: str) -> bool:
        """Leave the gate closed after its holder ends, until another collection opens it.

        Returns False if this holder does not have the gate.
        """
        return self._turn("keep", token, 0, reason)

    def state(self) -> GateState | None:
        """Return the closed or draining gate with its holder, None while the gate is open."""
        held = self._connection.redis.hgetall(self._keys.of("gate"))
        if not held:
            return None
        at, fence = int(held["since_ms"]), int(held["fence"])
        return GateState(
            held["state"], held["token"], fence, at, held["reason"], "kept" in held, int(held.get("claimed_ms", 0))
        )

    def check_in(
        self, process: str, knows: str = "", *, knows_closed: bool = True, obeys: bool = True, memory: str = ""
    ) -> GateView:
        """Record that a gate process is alive, and return the state of the gate.

        Args:
            knows: the token of the closed or claiming gate that the process knows, or "".
            knows_closed: that gate is closed.
            obeys: all requests that the process admitted before are answered.
            memory: the name of Redis' memory that the process received last.
        """
        state, token, was_opened, memory = self._connection.run(
            "gate_check_in",
            process=process,
            knows=knows,
            knows_closed=knows_closed,
            obeys=obeys,
            forgotten_ms=FORGOTTEN_S * 1000,
            memory=memory,
            life_ms=max(FORGOTTEN_S * 1000, self._bounds.youth_ms),
            new_memory=new_token(),
        )
        return GateView(state, token, bool(was_opened), memory)

    def forgotten_s(self) -> float:
        """Return for how many seconds a push may continue that began before Redis lost everything; 0 if it did not."""
        return max(0.0, float(self._connection.redis.pttl(self._keys.of("gate:forgot"))) / 1000)

    def check_out(self, *processes: str) -> None:
        """Record that these processes do not serve the gate any more."""
        if not processes:
            return
        with self._connection.redis.pipeline() as pipe:
            pipe.zrem(self._keys.of("gates"), *processes)
            pipe.hdel(self._keys.of("gates:seen"), *processes)
            pipe.execute()

    def processes(self) -> tuple[str, ...]:
        """Return the gate processes, including those that have been silent for a while."""
        since_ms = self._connection.now_ms() - FORGOTTEN_S * 1000
        return tuple(self._connection.redis.zrangebyscore(self._keys.of("gates"), since_ms, "+inf"))

    def silent(self) -> dict[str, int]:
        """Map each gate process that was not seen for 30 s, and is not forgotten, to its last contact (ms)."""
        now_ms = self._connection.now_ms()
        seen = self._connection.redis.zrangebyscore(
            self._keys.of("gates"), now_ms - FORGOTTEN_S * 1000, now_ms - _LATE_MS, withscores=True
        )
        return {process: int(seen_ms) for process, seen_ms in seen}

    def serving(self) -> int | None:
        """Return the number of gate processes seen within the last 10 s; None if no proxy asks them."""
        if not self._has_processes:
            return None
        return int(
            self._connection.redis.zcount(self._keys.of("gates"), self._connection.now_ms() - _SILENT_MS, "+inf")
        )

    def unaware(self, token: str) -> tuple[str, ...]:
        """Return the gate processes that do not know yet that this holder closed the gate."""
        processes = self.processes()
        seen = self._connection.redis.hgetall(self._keys.of("gates:seen"))
        return tuple(process for process in processes if seen.get(process) != token)

    def note_deleting(self, digests: Iterable[str]) -> None:
        """Remember the digests that are about to be swept, for the next run if this run is interrupted."""
        key, words = self._keys.of("gc:deleting"), [short(digest) for digest in digests]
        with self._connection.redis.pipeline(transaction=False) as pipe:
            # All are noted before the first is deleted. Not in one transaction, which Redis would run without a pause.
            for part in chunks(words):
                pipe.sadd(key, *part)
                pipe.pexpire(key, max(1, self._bounds.youth_ms))
            pipe.execute()

    def was_deleting(self) -> frozenset[str]:
        """Return the short digests that an earlier run was about to sweep."""
        return frozenset(self._connection.redis.sscan_iter(self._keys.of("gc:deleting"), count=AT_ONCE))

    def pin(self, repository: str, manifest: bytes) -> str:
        """Remember a manifest that is about to be pushed to hold blobs during a sweep; return its digest."""
        digest = f"sha256:{sha256(manifest).hexdigest()}"
        self._connection.redis.sadd(self._keys.of("gc:pins"), f"{repository} {digest}")
        return digest

    def pins(self) -> tuple[tuple[str, str], ...]:
        """Return (repository, digest) of the manifests that hold blobs during a sweep, or that a sweep left behind."""
        members = sorted(self._connection.redis.smembers(self._keys.of("gc:pins")))
        return tuple((repository, digest) for repository, _, digest in (member.partition(" ") for member in members))

    def unpin(self, repository: str, digest: str) -> None:
        """Forget a manifest that held blobs during a sweep: it is removed."""
        self._connection.redis.srem(self._keys.of("gc:pins"), f"{repository} {digest}")

    def _turn(self, action: str, token: str, fence: int = 0, reason: str = "", seen_ms: int = 0) -> bool:
        turned = self._connection.run(
            "gate_turn", action=action, token=token, fence=fence, reason=reason, seen_ms=seen_ms
        )
        return bool(turned)
