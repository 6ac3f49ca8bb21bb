"""Let requests pass the gate or wait, and confirm to a collection that this process obeys a closed gate."""

import atexit
import math
import threading
import time
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager, suppress

from service.clock import elapsed_s
from service.domain.collection.gate import WriteRequest
from service.domain.errors import StoreUnavailable
from service.log import log
from service.process import identity
from service.settings import Settings
from service.store import Store

# A gate that lets requests wait for a short time is read more often, so that they pass soon.
_POLL_S = {"": 0.1, "draining": 0.25, "closed": 0.05, "claiming": 0.02, "manifests": 0.02}
# In these states a request that waits may pass later without a change of the state.
_ASK_AGAIN = ("draining", "claiming", "manifests")
# A collection waits until each process knows that the gate has one of these states.
_CONFIRMED = ("closed", "claiming", "manifests")
# Redis forgets a gate process after an hour without contact: a collection then no longer waits for that process
# (keys.py: gates). This process stops relying on it some minutes earlier.
_FORGOTTEN_S = 3300.0
_MOST_UNNOTED = 10_000
_TELL_AGAIN_S = 60.0
# For so long, a process that ends tries to sign off if Redis does not answer.
_SIGN_OFF_S = 5.0
_SIGN_OFF_AGAIN_S = 0.2
_PUSHES = "pushes"
_OVERFLOWS = (
    "too many unfinished pushes, or blobs that they need, to keep track of: no collection runs until there are fewer; "
    "find the client that sends so many requests to the registry"
)


class Gatekeeper:
    """The gate in one gate process. Call `start` before `ask`.

    A collection deletes blobs only after every gate process has confirmed that it obeys the closed gate: the process
    has read that the gate is closed, and has answered every request that it let pass before. So while Redis is not
    available, a process whose last known gate was not closed knows that no collection deletes blobs. This holds until
    Redis forgets the process.
    """

    def __init__(self, store: Store, settings: Settings, *, is_only: bool = False) -> None:
        """Prepare. is_only: no other gate process runs, so those that Redis knows have ended."""
        self._gate, self._meter = store.gate, store.meter
        self._is_only, self._has_signed_off_others = is_only, False
        self._settings: Settings = settings
        self._process = ""
        self._starting = threading.Lock()
        self._turned = threading.Condition()
        self._turns = 0
        self._state: str | None = None
        self._token = ""
        self._contact_s = -math.inf
        self._memory = ""
        self._is_away = False
        self._passing = 0
        self._waiting = {"blobs": 0, "manifests": 0}
        self._unnoted: deque[tuple[WriteRequest, str]] = deque()
        self._overflow = _Overflow(store)
        self._over = threading.Event()
        self._poller: threading.Thread | None = None

    def start(self) -> None:
        """Register this process in Redis and start to poll the gate. A second call changes nothing."""
        with self._starting:
            if self._poller is not None:
                return
            self._process = str(identity.current())
            self._look()
            atexit.register(self.stop)
            self._poller = threading.Thread(target=self._poll, name="gate", daemon=True)
            self._poller.start()

    def stop(self) -> None:
        """Refuse the requests that wait, and remove this process from Redis, when it ends."""
        if self._over.is_set():
            return
        self._over.set()
        with self._turned:
            self._turned.notify_all()
        if self._poller is not None and self._poller.is_alive():
            self._poller.join(5)
        end = time.monotonic() + _SIGN_OFF_S
        while not self._signed_off():
            if time.monotonic() > end:
                log.warning("Redis cannot be reached, so collections wait for this gate process until Redis forgets it")
                return
            time.sleep(_SIGN_OFF_AGAIN_S)

    def _sign_off_others(self) -> None:
        """Remove the gate processes from Redis that have ended without signing off."""
        others = self._gate.processes()
        self._gate.check_out(*(name for name in others if self._is_only or identity.is_dead(name)))
        self._has_signed_off_others = True

    def _signed_off(self) -> bool:
        with suppress(StoreUnavailable):
            self._gate.check_out(self._process)
            return True
        return False

    def ask(self, write: WriteRequest, client: str) -> bool:
        """Return True if the request may pass; wait up to `gc.gate_wait` while the gate holds the request back.

        After True the caller must call `answered`.
        """
        seen = self._turns
        if self._may_pass(write, client):
            return True
        began_s, passes = time.monotonic(), False
        try:
            passes = self._passes_in_time(write, client, seen)
        finally:
            self._meter.time("gate_wait", "passed" if passes else "refused", time.monotonic() - began_s)
        return passes

    def _passes_in_time(self, write: WriteRequest, client: str, seen: int) -> bool:
        """Wait until the request may pass. Return False if the time is over or no place is free.

        Args:
            seen: the last turn at which the request could not pass.
        """
        end = time.monotonic() + self._settings.gc.gate_wait
        with self._room(write) as place:
            while place and (left_s := end - time.monotonic()) > 0 and not self._over.is_set():
                with self._turned:
                    # Called here and now, so that `seen` has the value of this turn.
                    self._turned.wait_for(lambda: self._turns != seen or self._over.is_set(), left_s)  # noqa: B023
                    seen = self._turns
                if self._may_pass(write, client):
                    return True
        return False

    def answered(self) -> None:
        """Note that a request that may pass has been answered."""
        with self._turned:
            self._passing -= 1

    @contextmanager
    def _room(self, write: WriteRequest) -> Iterator[bool]:
        """Reserve a place to wait; yield False if none is free. Manifests may use all places, other requests half."""
        kind, most = "manifests" if write.kind == "manifest" else "blobs", self._settings.gc.gate_waiting
        with self._turned:
            # Docker does not repeat the PUT of a manifest, so a manifest must find a place when uploads fill theirs.
            is_free = sum(self._waiting.values()) < most and (
                kind == "manifests" or self._waiting["blobs"] < max(1, most // 2)
            )
            self._waiting[kind] += is_free
        try:
            yield is_free
        finally:
            with self._turned:
                self._waiting[kind] -= is_free

    def _may_pass(self, write: WriteRequest, client: str) -> bool:
        with self._turned:
            if self._state == "closed" and not self._is_away:
                return False
            # Counted before Redis answers: meanwhile this process must not confirm that it obeys a closed gate.
            self._passing += 1
        passes = False
        try:
            passes = self._asked(write, client)
        finally:
            if not passes:
                self.answered()
        return passes

    def _asked(self, write: WriteRequest, client: str) -> bool:
        if not self._is_away:
            with suppress(StoreUnavailable):
                answer = self._gate.admit(write, client, memory=self._memory, knows=self._known)
                self._overflow.seen(answer.overflows)
                return answer.passes
        if not self._passes_without_redis() or len(self._unnoted) >= _MOST_UNNOTED:
            return False
        self._unnoted.append((write, client))
        return True

    @property
    def _known(self) -> str:
        """The token of the gate that this process must not forget before it is opened."""
        return self._token if self._state in _CONFIRMED else ""

    def _passes_without_redis(self) -> bool:
        mode = self._settings.gc.gate_without_redis
        if mode != "auto":
            return mode == "open"
        return self._state in ("", "draining") and elapsed_s() - self._contact_s < _FORGOTTEN_S

    def _poll(self) -> None:
        while not self._over.wait(_POLL_S[self._state or ""]):
            self._look()
            self._meter.flush()

    def _look(self) -> None:
        before = (self._state, self._token, self._is_away, self._memory)
        try:
            if not self._has_signed_off_others:
                self._sign_off_others()
            while self._unnoted:
                self._gate.admit(*self._unnoted[0], passed=True)
                self._unnoted.popleft()
            knows = self._known
            with self._turned:
                obeys = not self._passing
            # Taken before the call, so that this process never counts on Redis for longer than Redis remembers it.
            asked_s = elapsed_s()
            signed = self._gate.check_in(
                self._process, knows, knows_closed=self._state == "closed", obeys=obeys, memory=self._memory
            )
        except StoreUnavailable as error:
            if not self._is_away:
                log.warning("the gate cannot reach Redis", error=str(error), passes=self._passes_without_redis())
            self._is_away = True
        # An error must not end this thread: the requests that wait would never learn that the gate is open.
        except Exception:  # noqa: BLE001
            log.exception("the gate could not be read; this is retried")
        else:
            self._contact_s, self._is_away = asked_s, False
            self._memory = signed.memory
            # A gate of another holder does not prove that the holder known here has ended: its collector may still run
            # (safety rule 7).
            if not knows or signed.was_opened or signed.token == knows:
                self._state, self._token = signed.state, signed.token
        now = (self._state, self._token, self._is_away, self._memory)
        # A push that makes no progress is let pass after a while, and a claim is released, without a change of state.
        if now != before or self._state in _ASK_AGAIN:
            with self._turned:
                self._turns += 1
                self._turned.notify_all()


class _Overflow:
    """Warn the operator, once a minute at most, that more pushes are under way than can be remembered."""

    def __init__(self, store: Store) -> None:
        self._outbox = store.outbox
        self._told_s: float | None = None

    def seen(self, overflows: bool) -> None:
        """Report an overflow, or its end.

        Args:
            overflows: True if the gate reports an overflow now. The end is reported a minute later at the earliest.
        """
        now_s = time.monotonic()
        if self._told_s is None and not overflows:
            return
        if self._told_s is not None and now_s - self._told_s < _TELL_AGAIN_S:
            return
        with suppress(StoreUnavailable):
            if overflows:
                log.warning(_OVERFLOWS)
                self._outbox.note_trouble(_PUSHES, _OVERFLOWS)
            else:
                self._outbox.end_trouble(_PUSHES)
        self._told_s = now_s if overflows else None
