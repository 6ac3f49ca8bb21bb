"""Measure what changed, in small steps: repositories one by one, then all of them together."""

import threading
import time
from collections.abc import Callable
from dataclasses import replace

from service.domain.errors import PushpruneError, RegistryRefused, RegistryUnavailable
from service.domain.usage import Usage, UsageSum
from service.log import log
from service.reconcile.pace import Pace
from service.registry import Registry
from service.store import Store
from service.store.lease import COLLECT_MS
from service.usage.repository import RepositoryMeasurement

HOUR_MS = 3_600_000
_TURN_S = 2.0
_STEP_S = 1.0
# Measuring takes a tenth of the time at most, and adding up all repositories a fiftieth.
_LEAST_WAIT_S = 2.0
_WAITS = 9
_TOTAL_EVERY_S = 10.0
_TOTAL_WAITS = 50
_READ_IN_A_STEP = 200
_PAUSE_S = 60.0
_MOST_UNREADABLE = 10_000


class Measuring:
    """Measurements of everything that changed, for one worker.

    A change shows within seconds; with many repositories, or many images of unknown size, later.
    """

    def __init__(
        self, store: Store, registry: Registry, per_second: float, clock: Callable[[], float] = time.monotonic
    ) -> None:
        """Prepare the measurements.

        Args:
            per_second: requests to the registry, at most.
        """
        self._store, self._registry, self._clock = store, registry, clock
        self._pace = Pace(per_second)
        self._unreadable: frozenset[str] = frozenset()
        self._is_stale, self._total_at_s, self._registry_at_s = True, float("-inf"), float("-inf")

    def step(self) -> float:
        """Measure for about a second; return after how many seconds to continue.

        Raises:
            StoreUnavailable: Redis does not answer.
        """
        begun_s = self._clock()
        budget = _READ_IN_A_STEP if begun_s >= self._registry_at_s else 0
        for repository in self._store.usage.changed():
            if self._clock() >= begun_s + _STEP_S:
                break
            budget -= self._measure(repository, budget)
            self._is_stale = True
        self._add_up()
        return max(_LEAST_WAIT_S, _WAITS * (self._clock() - begun_s))

    def _measure(self, repository: str, most: int) -> int:
        """Measure a repository, and return the number of manifests that were read."""
        measurement = RepositoryMeasurement(self._store, self._registry, repository, self._pace, most, self._unreadable)
        try:
            measurement.measure()
        except (RegistryUnavailable, RegistryRefused) as error:
            log.info("sizes of images are read again later", repository=repository, error=str(error))
            self._registry_at_s = self._clock() + _PAUSE_S
            return most
        # A digest names the same bytes for ever: those that have no size need not be read again.
        if len(measurement.unreadable) <= _MOST_UNREADABLE:
            self._unreadable = measurement.unreadable
        return measurement.read

    def _add_up(self) -> None:
        """Measure all repositories together if one of them changed, and make the record of this hour."""
        usage, now_ms = self._store.usage, self._store.connection.now_ms()
        last_ms = usage.last_record_ms()
        is_new_hour = last_ms is None or last_ms // HOUR_MS < now_ms // HOUR_MS
        begun_s = self._clock()
        if self._is_stale and begun_s >= self._total_at_s:
            usage.note(add_up(self._store, now_ms), hourly=is_new_hour)
            self._is_stale = False
            self._total_at_s = self._clock() + max(_TOTAL_EVERY_S, _TOTAL_WAITS * (self._clock() - begun_s))
        elif is_new_hour and (current := usage.now()):
            usage.note(replace(current, at_ms=now_ms), hourly=True)


def measure(store: Store, registry: Registry, per_second: float, stopping: threading.Event) -> None:
    """Measure everything that changed, while this worker holds the lease for it, until the process ends."""
    measuring = Measuring(store, registry, per_second)
    while not stopping.wait(_TURN_S):
        try:
            with store.leases.hold("measure", COLLECT_MS) as lease:
                wait_s = 0.0
                while lease is not None and not stopping.wait(wait_s):
                    lease.check()
                    wait_s = measuring.step()
        except PushpruneError:
            # The tick of this process already logs that Redis is away.
            continue
        except Exception:  # noqa: BLE001 - measuring must outlive anything: without it all sizes grow old
            log.exception("measuring the storage failed; it is repeated")


def add_up(store: Store, at_ms: int) -> Usage:
    """Return the storage that all repositories use together, by what is known of their images."""
    sizes, total = store.usage.sizes(), UsageSum()
    for repository, blobs in store.usage.blobs(sorted(sizes)):
        total.add(repository, blobs, sizes[repository].unknown)
    return total.usage(at_ms)
