"""Run the collector while its lease is valid and no client pushes."""

import threading
from typing import Self

from service.domain.errors import CollectionFailed, PushpruneError, StoreUnavailable
from service.registry.collector import Collector, Finished
from service.registry.collector_report import Report
from service.store import Store
from service.store.lease import Lease

BUSY_S = 5.0
EARLY_S = 60.0
_POLL_S = 0.1
_LATE_S = 1.0


class Postponed(Exception):
    """The collection is postponed until another activity has ended. wait_s: seconds until the next attempt."""

    def __init__(self, message: str, wait_s: float = BUSY_S) -> None:
        super().__init__(message)
        self.wait_s = wait_s


class Watch:
    """Stop the collector if the lease is lost, or if a push is reported: a collection can break a push.

    This makes the window in which a push can be broken smaller. Only a gate before the registry closes it.
    """

    def __init__(self, store: Store, lease: Lease) -> None:
        self._outbox = store.outbox
        self._lease = lease
        self._pushes = store.outbox.pushes()
        self._pushed = threading.Event()
        self._ended = threading.Event()

    def __enter__(self) -> Self:
        # A thread of its own asks Redis: a Redis that hangs must not prevent the stop of the collector.
        threading.Thread(target=self._listen, name="pushes", daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()

    def run(self, collector: Collector, rehearsal: Report | None = None) -> Finished:
        """Run the collector to its end.

        Args:
            rehearsal: the report of the dry run, from which the sweep must not differ; None: do the dry run.

        Raises:
            Postponed: a push was reported.
            CollectionFailed: the collector failed.
        """
        try:
            return succeeded(collector.run(self._may_go_on, rehearsal=rehearsal))
        except CollectionFailed as error:
            self.excuse(error)
            raise

    def _may_go_on(self) -> bool:
        return self._lease.valid and not self._pushed.is_set()

    def excuse(self, error: PushpruneError) -> None:
        """Raise Postponed if a push explains the error."""
        # The notification of that push may arrive a moment after the error.
        if self._pushed.wait(_LATE_S):
            raise Postponed("an image was pushed meanwhile; the collection is tried again later") from error

    def _listen(self) -> None:
        while not self._ended.wait(_POLL_S):
            self._look()

    def _look(self) -> None:
        try:
            if self._outbox.pushes() != self._pushes:
                self._pushed.set()
        except StoreUnavailable:
            # Without Redis the lease cannot be renewed, and its end stops the collector.
            return


def succeeded(finished: Finished) -> Finished:
    """Return the same value, or raise CollectionFailed with the last output of a collector that failed."""
    if not finished.succeeded:
        last = " / ".join(finished.report.tail[-3:])
        raise CollectionFailed(f"gc.command ended with exit code {finished.exit_code}: {last[:500]}")
    return finished
