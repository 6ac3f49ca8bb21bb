"""Notice within seconds that the registry does not answer or refuses the login, also while there is no work."""

import threading
import time
from collections import deque
from collections.abc import Mapping

from service.doctor.health import DIFFERENT_REGISTRIES, REGISTRIES, REGISTRY, SLOW
from service.domain.errors import RegistryRefused, RegistryUnavailable, StoreUnavailable
from service.domain.history.lost import lost_image
from service.log import log
from service.registry import Registry
from service.store import Store

_EVERY_MS = 5000
_LOOK_S = 1.0
_PATIENCE_S = 3.0
_LONGEST_MS = 60_000
_SLOW_S = 2.5
_SLOW_AT_LEAST = 3
_SLOW_SHARE = 0.1
_WINDOW_S = 60.0


def watch_registry(store: Store, registry: Registry, stopping: threading.Event) -> None:
    """Check the registry every five seconds, in the worker that is elected for it, until the process ends."""
    answers = Answers()
    while not stopping.wait(_LOOK_S):
        try:
            if store.leases.elected(REGISTRY, _EVERY_MS):
                look_at_registry(store, registry)
                answers.look_at(store, time.monotonic())
            # Elected apart from the workers of another registry, one of which may be elected every time.
            if store.leases.elected(f"{REGISTRIES} {registry.client.url}", _EVERY_MS):
                compare_addresses(store, registry)
        except StoreUnavailable:
            # The tick of this process already logs that Redis is away.
            continue
        except Exception:  # noqa: BLE001 - the look must outlive anything, as the tick does
            log.exception("the check of the registry failed; it is repeated")


def look_at_registry(store: Store, registry: Registry) -> None:
    """Record a trouble while the registry does not answer or refuses the login, and end the trouble afterwards.

    At the end of the trouble, all work that waits for a retry is retried at once.
    """
    known = next((trouble.message for trouble in store.outbox.troubles() if trouble.about == REGISTRY), None)
    message = _why_not(store, registry)
    if message is None and known is not None:
        store.outbox.end_trouble(REGISTRY)
        waiting = store.outbox.end_back_offs()
        for image in filter(None, (lost_image(trouble.about) for trouble in store.outbox.troubles())):
            store.deletions.request_healing(image[0], [image[1]])
        log.info("the registry answers again", repositories_waiting=len(waiting))
    elif message is not None and known is None:
        log.warning("the registry does not answer or rejects the login; deletions and planning wait", error=message)
        store.outbox.note_trouble(REGISTRY, f"{message}; nothing is deleted until this is fixed, and nothing is lost")


def _why_not(store: Store, registry: Registry) -> str | None:
    try:
        registry.client.ping(_PATIENCE_S)
    except RegistryUnavailable as error:
        if error.retry_after_s:
            store.leases.postpone(REGISTRY, round(max(_EVERY_MS, min(error.retry_after_s * 1000, _LONGEST_MS))))
        return str(error)
    except RegistryRefused as error:
        return str(error)
    return None


def compare_addresses(store: Store, registry: Registry) -> None:
    """Record a trouble while workers use registries at different addresses, and end the trouble afterwards.

    Two registries with the same keys in Redis would share one history: each comparison would undo the other.
    """
    used = store.outbox.note_registry(registry.client.url)
    is_known = any(trouble.about == REGISTRIES for trouble in store.outbox.troubles())
    if len(used) > 1 and not is_known:
        log.error("workers share one history, and use registries at different addresses", addresses=used)
        store.outbox.note_trouble(REGISTRIES, DIFFERENT_REGISTRIES.format(" and ".join(used)))
    elif len(used) == 1 and is_known:
        log.info("all workers use the same address of the registry again")
        store.outbox.end_trouble(REGISTRIES)


class Answers:
    """The answers of the registry in the last minute, from the timings of all processes.

    Many slow answers are a trouble. A DELETE is not counted, as it is slow in any large repository.
    """

    def __init__(self) -> None:
        self._readings: deque[tuple[float, int, int]] = deque()

    def look_at(self, store: Store, now_s: float) -> None:
        """Record the trouble if many answers were slow in the last minute, or its end."""
        timings = store.meter.read().timings
        counted = [timing for (name, label), timing in timings.items() if _counts(name, label)]
        slow = sum(timing.more + sum(_slow(timing.counts)) for timing in counted)
        total = sum(timing.more + sum(timing.counts.values()) for timing in counted)
        self._readings.append((now_s, slow, total))
        while len(self._readings) > 1 and self._readings[1][0] <= now_s - _WINDOW_S:
            self._readings.popleft()
        since_s, slow_before, total_before = self._readings[0]
        slow, total = slow - slow_before, total - total_before
        known = any(trouble.about == SLOW for trouble in store.outbox.troubles())
        if slow >= _SLOW_AT_LEAST and slow >= total * _SLOW_SHARE:
            if not known:
                message = f"{slow} of {total} answers of the registry took more than {_SLOW_S:g} s within a minute"
                log.warning("the registry answers slowly", slow=slow, answers=total)
                store.outbox.note_trouble(SLOW, f"{message}: look at its load, its storage and the network between")
        elif known and now_s - since_s >= _WINDOW_S / 2:
            log.info("the registry answers fast again")
            store.outbox.end_trouble(SLOW)


def _counts(name: str, label: str) -> bool:
    return name == "registry_request" and not label.startswith("DELETE ")


def _slow(counts: Mapping[float, int]) -> list[int]:
    return [count for end_s, count in counts.items() if end_s > _SLOW_S]
