"""The heartbeat of every worker process; one worker at a time is elected to sweep."""

import threading
from collections.abc import Sequence
from contextlib import suppress

from service.collect.reopening import reopen
from service.domain.errors import PushpruneError
from service.log import log
from service.settings import PolicySource
from service.store import Store
from service.store.policy_changes import UNREADABLE
from service.wiring import Wiring
from workers.sweep import sweep

TICK_S = 0.5


def sign(store: Store, policies: PolicySource, name: str, process: str, queues: Sequence[str]) -> None:
    """Give a sign of life of this worker process, and record which policy it has read.

    The others need not wait for a worker that cannot read its policy file, but health checks name it.
    """
    store.outbox.sign_of_life(name, queues, process)
    policies.current()
    store.policy_changes.note_read(f"{name} {process}", UNREADABLE if policies.error else policies.digest)


def tick(wiring: Wiring, name: str, process: str, queues: Sequence[str], stopping: threading.Event) -> None:
    """Twice a second, give a sign of life; in the worker that is elected, sweep.

    Before that, a worker that collects makes the file of its lock: once the disk is full, there may be no room for it.

    Args:
        name, process, queues: as in `sign`.
        stopping: set when the process ends.
    """
    collector = wiring.registry.collector
    if collector and f"{wiring.settings.redis.prefix}garbage" in queues:
        collector.reserve()
    waits, refused = False, None
    while not stopping.wait(TICK_S):
        try:
            sign(wiring.store, wiring.policies, name, process, queues)
            wiring.store.meter.flush()
            reopen(wiring.store, wiring.registry, wiring.settings.gc)
            if wiring.store.leases.elected("tick", int(TICK_S * 1000)):
                sweep(wiring)
            if waits:
                log.info("the check for unfinished work continues")
            waits = False
            if wiring.policies.complaint != refused:
                refused = wiring.policies.complaint
                if refused:
                    log.error("the policy file is invalid; the previous policy stays in force", error=refused)
                else:
                    log.info("the policy file is valid again")
        except PushpruneError as error:
            if not waits:
                log.warning("the check for unfinished work waits", error=str(error))
            waits = True
        except Exception:  # noqa: BLE001 - the tick must outlive anything: without it lost work stays lost
            log.exception("the check for unfinished work failed; it is repeated")
    with suppress(PushpruneError):
        wiring.store.policy_changes.forget_reader(f"{name} {process}")
