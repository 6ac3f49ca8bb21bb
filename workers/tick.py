"""The heartbeat of every worker process; one worker at a time is elected to sweep."""

import threading
from collections.abc import Sequence
from contextlib import suppress

from service.collect.reopening import reopen
from service.domain.errors import PushpruneError
from service.log import log
from service.store.connection import new_token
from service.store.policy_changes import UNREADABLE
from service.wiring import Wiring
from workers.sweep import sweep

TICK_S = 0.5


class Tick:
    """The heartbeat of one worker process.

    Args:
        name: the node name of the worker, such as celery@host. Two processes may have the same name.
        queues: the queues that it consumes.
    """

    def __init__(self, wiring: Wiring, name: str, queues: Sequence[str]) -> None:
        self.wiring = wiring
        self._name, self._process, self._queues = name, new_token(), queues
        self._waits = False
        self._complaint: str | None = None

    def run(self, stopping: threading.Event) -> None:
        """Twice a second, give a sign of life; if this worker is elected, sweep. stopping: set once it ends."""
        self._reserve_lock()
        while not stopping.wait(TICK_S):
            try:
                self._beat()
            except PushpruneError as error:
                if not self._waits:
                    log.warning("the check for unfinished work waits", error=str(error))
                self._waits = True
            except Exception:  # noqa: BLE001 - the tick must outlive anything: without it lost work stays lost
                log.exception("the check for unfinished work failed; it is repeated")
        log.info("worker stops", name=self._name)
        with suppress(PushpruneError):
            self.wiring.store.policy_changes.forget_reader(f"{self._name} {self._process}")

    def sign(self) -> None:
        """Give a sign of life of this worker process, and record which policy it has read.

        The others need not wait for a worker that cannot read its policy file, but health checks name it.
        """
        store, policies = self.wiring.store, self.wiring.policies
        store.outbox.sign_of_life(self._name, self._queues, self._process)
        policies.current()
        read = UNREADABLE if policies.error else policies.digest
        store.policy_changes.note_read(f"{self._name} {self._process}", read)

    def _reserve_lock(self) -> None:
        """Make the file of the lock if this worker collects: once the disk is full, there may be no room for it."""
        collector = self.wiring.registry.collector
        if collector and f"{self.wiring.settings.redis.prefix}garbage" in self._queues:
            collector.reserve()

    def _beat(self) -> None:
        store = self.wiring.store
        self.sign()
        store.meter.flush()
        reopen(store, self.wiring.registry, self.wiring.settings.gc)
        if store.leases.elected("tick", int(TICK_S * 1000)):
            sweep(self.wiring)
        if self._waits:
            log.info("the check for unfinished work continues")
        self._waits = False
        self._log_complaint(self.wiring.policies.complaint)

    def _log_complaint(self, complaint: str | None) -> None:
        """Log that the policy file cannot be used, or can be used again."""
        if complaint and complaint != self._complaint:
            log.error("the policy file cannot be used", error=complaint)
        elif self._complaint and not complaint:
            log.info("the policy file is used again")
        self._complaint = complaint
