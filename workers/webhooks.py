"""Send events to webhooks: a thread for each, so that a slow receiver delays no other, and no task."""

import threading
import time
from contextlib import suppress

from service.domain.errors import ConfigurationError, PushpruneError, StoreUnavailable
from service.log import log
from service.settings import Settings
from service.settings.webhooks import WebhookSettings
from service.store import Store
from service.webhooks.delivery import Delivery
from service.webhooks.status import end_troubles_of_removed

_LIFE_MS = 5000
_TURN_S = 2.0
LOOK_S = 1.0


def start_webhooks(store: Store, settings: Settings, stopping: threading.Event) -> None:
    """Start the thread of each webhook, which ends with the process."""
    source = settings.registry.url or "pushprune"
    with suppress(StoreUnavailable):
        end_troubles_of_removed(store, settings.webhooks)
    for webhook in settings.webhooks:
        names = (store, webhook, source, stopping)
        threading.Thread(target=deliver, args=names, name=f"webhook {webhook.name}", daemon=True).start()


def deliver(store: Store, webhook: WebhookSettings, source: str, stopping: threading.Event) -> None:
    """Send the events of one webhook, while this worker holds the lease for it, until the process ends."""
    try:
        delivery = Delivery(store, webhook, source)
    except ConfigurationError as error:
        log.error("the webhook cannot be used", webhook=webhook.name, error=str(error))
        return
    is_open = False
    while not stopping.is_set():
        try:
            if not is_open:
                delivery.reopen()
                is_open = True
            with store.leases.hold(f"webhook:{webhook.name}", _LIFE_MS) as lease:
                while lease is not None and not stopping.is_set():
                    lease.check()
                    next_look_s = time.monotonic() + LOOK_S
                    delivery.look()
                    # A full queue must not keep it from looking: what is not read in time is trimmed.
                    while delivery.send() and time.monotonic() < next_look_s and not stopping.is_set():
                        lease.check()
                    stopping.wait(max(0.0, next_look_s - time.monotonic()))
        except PushpruneError:
            # The tick of this process already logs that Redis is away.
            pass
        except Exception:  # noqa: BLE001 - the delivery must outlive anything, as the tick does
            log.exception("sending to a webhook failed; it is repeated", webhook=webhook.name)
        stopping.wait(_TURN_S)
