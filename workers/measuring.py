"""Measure the storage that images use, in one worker at a time."""

import threading

from service.domain.errors import PushpruneError
from service.log import log
from service.store.lease import COLLECT_MS
from service.usage.measuring import Measuring
from service.wiring import Wiring

_TURN_S = 2.0


def measure(wiring: Wiring, stopping: threading.Event) -> None:
    """Measure what changed, while this worker holds the lease for it, until the process ends."""
    measuring = Measuring(wiring.store, wiring.registry, wiring.settings.reconcile.rate)
    while not stopping.wait(_TURN_S):
        try:
            with wiring.store.leases.hold("measure", COLLECT_MS) as lease:
                wait_s = 0.0
                while lease is not None and not stopping.wait(wait_s):
                    lease.check()
                    wait_s = measuring.step()
        except PushpruneError:
            # The tick of this process already logs that Redis is away.
            continue
        except Exception:  # noqa: BLE001 - measuring must outlive anything: without it all sizes grow old
            log.exception("measuring the storage failed; it is repeated")
