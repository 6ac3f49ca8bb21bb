"""The write gate while a collection claims digests: only requests that name a claimed digest wait.

The worker holds the kernel lock of the collector meanwhile. A gate that a dead worker left is opened by a process that
takes this lock, which proves the death; a worker that is only stopped keeps the lock, and its claims.
"""

import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager

from service.collect import gate_processes
from service.collect.attempt import Attempt
from service.collect.watch import Postponed
from service.domain.errors import CollectionFailed, LeaseLost, StorageRefused, StoreUnavailable
from service.log import log
from service.registry.debug import DebugServer
from service.store.claims import Purpose
from service.store.connection import new_token

POLL_S = 0.02
_AWARE_S = 15.0
# nginx needs a moment to pass an admitted request on to the registry, which then counts it. A notification of the PUT
# proves that it has arrived. If the gate admitted no PUT for a minute, none is on its way, also if the gate process
# stood still before it answered.
_PASSING_S = 0.5
_LATELY_S = 60.0
# PUTs of manifests wait for so long at most, from the beginning of the claims.
_HOLD_S = 2.0
# The gate processes look every 20 ms if the gate was opened, and no write is to wait for more than 100 ms.
_MOMENT_S = 0.04
# The longest wait for a moment at which all PUTs of manifests are reported. The digests stay claimed meanwhile.
_PAUSE_S = 0.3
_SHORT_S = 0.004
_OPENED = "the gate was opened or closed by another process; nothing more is deleted"
_HELD = "another collection holds the gate and may still run; if its machine is lost: `pushprune gc --open`"


class ManifestsHeldTooLong(Exception):
    """PUTs of manifests did not end within the time for which clients may wait."""


class Claiming:
    """The right to claim digests, for one attempt."""

    def __init__(self, attempt: Attempt) -> None:
        self._attempt, self._store = attempt, attempt.store
        self._token = ""
        self._began_us = self._since_ms = 0
        # The packed digests that are claimed, with the times of their claims.
        self._claimed_s: dict[bytes, float] = {}
        self._may_open = True
        self._are_manifests_held = False
        self._aware_s = self._end_s = 0.0

    @contextmanager
    def begun(self, began_us: int, *, with_manifests: bool = False) -> Iterator[None]:
        """Let the block claim digests.

        Args:
            began_us: when the inventory began, by the clock of Redis.
            with_manifests: no PUT of a manifest is in progress during the block.

        Raises:
            Postponed: another collection has the gate, or a gate process does not answer.
            ManifestsHeldTooLong: PUTs of manifests did not end in time.
        """
        self._token, self._began_us, self._may_open = new_token(), began_us, True
        self._claimed_s = {}
        self._are_manifests_held = with_manifests
        gate, self._aware_s, self._end_s = self._store.gate, 0.0, time.monotonic() + _HOLD_S
        self._since_ms = self._store.connection.now_ms()
        with self._attempt.collector.claimed(self._token, self._succeed):
            reason = self._attempt.run.reason
            if not gate.claim(self._token, self._attempt.lease.fence, reason, with_manifests=with_manifests):
                raise Postponed(_HELD)
            try:
                if with_manifests and not self.manifests_ended():
                    raise ManifestsHeldTooLong
                yield
            finally:
                self._open()

    def manifests_ended(self) -> bool:
        """Wait until the registry has answered all PUTs of manifests that began before the claims.

        Returns False if they did not end in time.
        """
        self._wait_for_gate_processes()
        while time.monotonic() < self._aware_s + _PASSING_S and self._store.pushes.may_have_passed(_LATELY_S):
            self._attempt.lease.check()
            time.sleep(POLL_S)
        end_s, debug = self._end_s if self._are_manifests_held else time.monotonic() + _HOLD_S, self._debug()
        while debug.manifests() > 0:
            self._attempt.lease.check()
            if time.monotonic() > end_s:
                return False
            time.sleep(POLL_S)
        return True

    def hold_manifests(self, look: Callable[[int], None]) -> float:
        """Hold PUTs of manifests until the gate is opened, at a moment when `look` has seen all that was put.

        Args:
            look: looks for manifests that were put since a time (ms, by Redis). It is called if a PUT began since the
                claims, once each of them was reported.

        Returns:
            The end of the time (by the monotonic clock) for which they may wait; 0 if there was no such moment: then
            none waits.
        """
        if self._are_manifests_held:
            return self._end_s
        end_s, seen_ms = time.monotonic() + _PAUSE_S, 0
        while not self._store.gate.hold_manifests(self._token, seen_ms):
            self._attempt.lease.check()
            if time.monotonic() > end_s:
                return 0
            # A manifest that was reported before the look is in the storage, so the look sees it. A PUT that the gate
            # lets pass later prevents the hold.
            if reported_ms := self._store.pushes.reported_ms():
                look(seen_ms or self._since_ms)
                seen_ms = reported_ms
            else:
                time.sleep(_SHORT_S)
        return time.monotonic() + _MOMENT_S

    def claim(self, digests: list[bytes], purpose: Purpose) -> frozenset[bytes]:
        """Claim packed digests, and return those that were granted.

        Raises:
            LeaseLost: another worker may collect now.
        """
        self._attempt.lease.check()
        self._wait_for_gate_processes()
        claimed_s = time.monotonic()
        refused = self._store.claims.claim(self._token, digests, purpose, self._began_us)
        if refused is None:
            raise LeaseLost(_OPENED)
        granted = frozenset(digests) - refused
        self._claimed_s |= dict.fromkeys(granted, claimed_s)
        return granted

    @contextmanager
    def emptied(self, names: Iterable[str]) -> Iterator[frozenset[str]]:
        """Claim repositories without an object, and yield the names of those that were granted.

        Raises:
            LeaseLost: another worker may collect now.
        """
        self._attempt.lease.check()
        self._wait_for_gate_processes()
        granted = self._store.claims.claim_repositories(self._token, names, self._began_us)
        if granted is None:
            raise LeaseLost(_OPENED)
        yield granted
        self._store.claims.release_repositories(granted)

    def confirm(self) -> None:
        """Confirm the claims, right before each request to delete.

        A worker that was stopped for longer than its lease must not go on. Redis keeps the time, from which it is known
        when no request can arrive at a bucket any more.

        Raises:
            LeaseLost: another worker may collect now.
        """
        self.claim([], "delete")

    def release(self, digests: frozenset[bytes]) -> None:
        """Release claims of packed digests, once the requests to delete have ended."""
        self._store.claims.release(digests)
        self._note_held(digests)

    @contextmanager
    def kept(self) -> Iterator[None]:
        """Keep the claims after an error of the block, as the storage may still carry out a request to delete.

        They end as those of a dead worker do.
        """
        try:
            yield
        except (StorageRefused, LeaseLost):
            # All requests were answered.
            raise
        except BaseException:
            self._may_open = False
            raise

    def _wait_for_gate_processes(self) -> None:
        """Wait until each gate process asks Redis before it lets a request pass. Nothing is claimed before that."""
        if self._aware_s:
            return
        gate, end_s = self._store.gate, self._end_s if self._are_manifests_held else time.monotonic() + _AWARE_S
        if not gate.processes():
            raise Postponed("no gate process is running to answer the proxy: start one (pushprune gate)")
        while hosts := gate_processes.unaware(self._store, self._token):
            self._attempt.lease.check()
            if time.monotonic() > end_s:
                if self._are_manifests_held:
                    raise ManifestsHeldTooLong
                raise Postponed(f"the gate process on {hosts} does not know that blobs are being deleted")
            time.sleep(POLL_S)
        self._aware_s = time.monotonic()

    def _debug(self) -> DebugServer:
        if self._attempt.registry.debug is None:
            raise CollectionFailed("registry.debug_url is not set: set it to the registry's http.debug.addr")
        return self._attempt.registry.debug

    def _note_held(self, digests: Iterable[bytes]) -> None:
        now_s = time.monotonic()
        held_s = max((now_s - self._claimed_s.pop(digest, now_s) for digest in digests), default=0)
        self._attempt.learn(held_ms=max(round(held_s * 1000), self._attempt.run.held_ms))

    def _open(self) -> None:
        """Open the gate, which releases all claims."""
        if not self._may_open:
            return
        try:
            self._store.gate.open(self._token)
            self._note_held(list(self._claimed_s))
        except StoreUnavailable as error:
            log.warning("the gate will be opened when Redis is available again", error=str(error))

    def _succeed(self, before: str, is_dead: bool) -> None:
        """Open the gate of the previous holder in the same folder, if that holder is proved dead."""
        held, objects = self._store.gate.state(), self._attempt.registry.objects
        if held is None or held.token != before:
            return
        # In a bucket, a request of the dead worker may still be carried out: `reopen` ends its claims later.
        if not is_dead or held.is_kept or objects is None or not objects.is_local:
            raise Postponed(_HELD)
        self._store.gate.open(before)
