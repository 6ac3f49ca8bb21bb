"""Runs the collector while its lease holds and nobody pushes."""

import threading
from types import TracebackType
from typing import Self

from service.domain.errors import CollectionFailed, PushpruneError, StoreUnavailable
from service.registry.collector import Collector, Finished, Report
from service.store.lease import Lease
from service.wiring import Wiring

BUSY_S = 5.0
_POLL_S = 0.1
_LATE_S = 1.0


class PutOff(Exception):
    """Not now: somebody has to finish first. wait_s: when it is tried again."""

    def __init__(self, message: str, wait_s: float = BUSY_S) -> None:
        super().__init__(message)
        self.wait_s = wait_s


class Watch:
    """Stops the collector when the lease is lost, or when somebody pushes: a push and a collection do not go together.

    This narrows the window in which a push can be broken, and does not close it: that takes a gate before the registry.
    Redis is asked in a thread of its own, so that one that hangs cannot keep the collector from being stopped.
    """

    def __init__(self, wiring: Wiring, lease: Lease) -> None:
        self._outbox = wiring.outbox
        self._lease = lease
        self._pushes = wiring.outbox.pushes()
        self._pushed = threading.Event()
        self._over = threading.Event()

    def __enter__(self) -> Self:
        threading.Thread(target=self._listen, name="pushes", daemon=True).start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._over.set()

    def run(self, collector: Collector, rehearsal: Report | None = None) -> Finished:
        """Runs the collector to a good end, held to its rehearsal; None: that is what this run is.

        Raises PutOff when a push was heard, CollectionFailed when it failed.
        """
        try:
            return succeeded(collector.run(self._may_go_on, rehearsal=rehearsal))
        except CollectionFailed as error:
            self.excuse(error)
            raise

    def _may_go_on(self) -> bool:
        return self._lease.valid and not self._pushed.is_set()

    def excuse(self, error: PushpruneError) -> None:
        """Raises PutOff in place of an error that a push explains, also one that is heard only now."""
        if self._pushed.wait(_LATE_S):
            raise PutOff("somebody pushed; it is tried again in a quieter moment") from error

    def _listen(self) -> None:
        while not self._over.wait(_POLL_S):
            self._look()

    def _look(self) -> None:
        try:
            if self._outbox.pushes() != self._pushes:
                self._pushed.set()
        except StoreUnavailable:
            return  # the lease ends by itself then


def succeeded(finished: Finished) -> Finished:
    """The same. Raises CollectionFailed with the collector's last words where it failed."""
    if not finished.succeeded:
        last = " / ".join(finished.report.tail[-3:])
        raise CollectionFailed(f"gc.command ended with exit code {finished.exit_code}: {last[:500]}")
    return finished
