"""Notice within seconds that the registry does not answer or does not let us in, also while there is nothing to do."""

import threading

from service.domain.errors import RegistryRefused, RegistryUnavailable, StoreUnavailable
from service.health import REGISTRY
from service.log import log
from service.wiring import Wiring

_EVERY_MS = 5000
_LOOK_S = 1.0
_PATIENCE_S = 3.0


def watch_registry(wiring: Wiring, stopping: threading.Event) -> None:
    """Look at the registry every five seconds, in the worker that is elected for it, until the process ends."""
    while not stopping.wait(_LOOK_S):
        try:
            if wiring.leases.elected(REGISTRY, _EVERY_MS):
                look_at_registry(wiring)
        except StoreUnavailable:
            continue  # the tick says so
        except Exception:  # noqa: BLE001 - the look must outlive anything, as the tick does
            log.exception("looking at the registry failed; it is looked at again")


def look_at_registry(wiring: Wiring) -> None:
    """Note a trouble while the registry does not answer or does not let us in, and end it once it does."""
    known = next((trouble.message for trouble in wiring.outbox.troubles() if trouble.about == REGISTRY), None)
    message = _why_not(wiring)
    if message is None and known is not None:
        log.info("the registry answers again")
        wiring.outbox.mended(REGISTRY)
    elif message is not None and known is None:
        log.warning("the registry does not answer or refuses us; deletions and planning wait", error=message)
        wiring.outbox.complain(REGISTRY, f"{message}; nothing is deleted until this is mended, and nothing is lost")


def _why_not(wiring: Wiring) -> str | None:
    try:
        wiring.client.ping(_PATIENCE_S)
    except (RegistryUnavailable, RegistryRefused) as error:
        return str(error)
    return None
