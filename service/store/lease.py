"""Leases with one holder at a time, renewed and fenced; and the write permits, which a collection waits for."""

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from service.clock import elapsed_s
from service.domain.errors import LeaseLost, RegistryUnavailable, StoreUnavailable
from service.store.connection import Connection, new_token

WORK_MS = 2000
COLLECT_MS = 10_000
# The longest life of all leases that are renewed.
LONGEST_MS = COLLECT_MS
# A request that was not answered may still be in progress at the registry for this long.
UNANSWERED_MS = 600_000
COLLECT = "collect"
_POLL_S = 0.02
_LEAST_STEP_MS = 1000


class Lease:
    """A lease, renewed by a thread until it is stopped.

    Attributes:
        fence: a number that grows with every holder.
        lost: set as soon as another process may hold the lease.
    """

    def __init__(self, name: str, fence: int, time_to_live_ms: int, renew: Callable[[], bool]) -> None:
        self.name = name
        self.fence = fence
        self.lost = threading.Event()
        self._renew = renew
        self._life_s = time_to_live_ms / 1000
        self._renewed = elapsed_s()
        self.lingers_ms = 0
        self._done = threading.Event()
        self._keeper = threading.Thread(target=self._keep, name=f"lease {name}", daemon=True)
        self._keeper.start()

    @property
    def valid(self) -> bool:
        """Return True if this process certainly holds the lease: the last renewal is too recent for another holder."""
        # The margin of 0.3 makes this holder stop before Redis can give the lease to another process.
        return not self.lost.is_set() and elapsed_s() - self._renewed < self._life_s * 0.7

    def check(self) -> None:
        """Raise LeaseLost unless this process certainly holds the lease."""
        if not self.valid:
            raise LeaseLost(f"the lease {self.name} could not be renewed in time; what it protected has stopped")

    def linger(self, time_ms: int) -> None:
        """Keep the write permit for at least `time_ms` after the block: the registry may still work on a request."""
        self.lingers_ms = max(self.lingers_ms, time_ms)

    @contextmanager
    def writing(self) -> Iterator[None]:
        """Guard one write to the registry.

        If the registry does not answer, a collection waits, because the write may still be in progress there.

        Raises:
            LeaseLost: the write permit is not certain any more; nothing was sent.
        """
        self.check()
        try:
            yield
        except RegistryUnavailable as error:
            if not error.is_over:
                # The write may still be in progress at the registry, so a collection must wait.
                self.linger(UNANSWERED_MS)
            raise

    def stop(self) -> None:
        """Stop the renewal."""
        self._done.set()
        self._keeper.join(timeout=self._life_s)

    def _keep(self) -> None:
        while not self._done.wait(self._life_s / 4):
            # The life counts from the request on, not from its answer, which may come late.
            asked = elapsed_s()
            try:
                if not self._renew():
                    break
                self._renewed = asked
            except StoreUnavailable:
                # Redis may answer again before the lease ends, so one failed renewal does not lose it.
                if not self.valid:
                    break
        if not self._done.is_set():
            self.lost.set()


class Leases:
    """Leases and write permits in Redis."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._keys = connection.keys

    @contextmanager
    def hold(self, name: str, time_to_live_ms: int = WORK_MS, wait_s: float = 0) -> Iterator[Lease | None]:
        """Yield the lease `name` for the block, or None if another process holds it and still does after `wait_s`."""
        token = new_token()
        give_up = time.monotonic() + wait_s
        while not (fence := self._acquire(name, token, time_to_live_ms)) and time.monotonic() < give_up:
            time.sleep(_POLL_S)
        if not fence:
            yield None
            return

        def renew() -> bool:
            return bool(self._connection.run("renew", NAME=name, token=token, life_ms=time_to_live_ms))

        yield from self._held(Lease(name, fence, time_to_live_ms, renew), lambda: self._release(name, token))

    @contextmanager
    def write(self, time_to_live_ms: int = COLLECT_MS, *, heals: bool = False) -> Iterator[Lease | None]:
        """Yield a write permit for the registry for the block, or None while a collection runs or is about to.

        heals: the writer restores what a delete removed by accident. A collection that is still waiting lets it in.
        """
        token = new_token()
        if not self._enter(token, time_to_live_ms, renew=False, heals=heals):
            yield None
            return

        def renew() -> bool:
            return self._enter(token, time_to_live_ms, renew=True)

        lease = Lease("write", 0, time_to_live_ms, renew)
        yield from self._held(lease, lambda: self._leave(token, lease.lingers_ms))

    def elected(self, name: str, time_to_live_ms: int) -> bool:
        """Return True if this caller is elected to do the work of this time slot."""
        return bool(self._connection.run("elect", NAME=name, token=new_token(), slot_ms=time_to_live_ms))

    def postpone(self, name: str, time_ms: int) -> None:
        """Let no caller be elected for this long."""
        self._connection.redis.set(self._keys.of("lease", name), new_token(), px=time_ms)

    def writers(self) -> int:
        """Return the number of valid write permits."""
        now_ms = self._connection.now_ms()
        return int(self._connection.redis.zcount(self._keys.of("writers"), now_ms, "+inf"))

    def follow_clock(self) -> float:
        """Shorten what the clock of Redis made longer, if it was set back since the last call.

        Returns:
            By how many seconds it went back; 0 if it did not.
        """
        back_ms = self._connection.run(
            "follow_clock",
            least_step_ms=_LEAST_STEP_MS,
            longest_lease_ms=LONGEST_MS,
            longest_permit_ms=UNANSWERED_MS,
        )
        return int(back_ms) / 1000

    def collecting(self) -> bool:
        """Return True if a collection runs, or waits to run."""
        return bool(self._connection.redis.exists(self._keys.of("lease", COLLECT)))

    def _held(self, lease: Lease, release: Callable[[], None]) -> Iterator[Lease]:
        try:
            yield lease
        finally:
            lease.stop()
            release()

    def _acquire(self, name: str, token: str, life_ms: int) -> int:
        longest_ms = max(LONGEST_MS, life_ms)
        return int(self._connection.run("acquire", NAME=name, token=token, life_ms=life_ms, longest_ms=longest_ms))

    def _release(self, name: str, token: str) -> None:
        self._quietly(lambda: self._connection.run("release", NAME=name, token=token))

    def _leave(self, token: str, lingers_ms: int) -> None:
        writers, client = self._keys.of("writers"), self._connection.redis
        if lingers_ms:
            self._quietly(lambda: client.zadd(writers, {token: self._connection.now_ms() + lingers_ms}))
        else:
            self._quietly(lambda: client.zrem(writers, token))

    def _quietly(self, release: Callable[[], object]) -> None:
        try:
            release()
        # This is no harm: a lease that cannot be released ends by itself.
        except StoreUnavailable:
            return

    def _enter(self, token: str, time_to_live_ms: int, *, renew: bool, heals: bool = False) -> bool:
        may_write = self._connection.run(
            "enter_writer", token=token, life_ms=time_to_live_ms, is_renewal=renew, heals=heals
        )
        return bool(may_write)
