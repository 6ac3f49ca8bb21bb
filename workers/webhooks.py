"""Send events to webhooks: a thread for each, so that a slow receiver delays no other, and no task."""

import threading
import time
from contextlib import AbstractContextManager, suppress

from service.domain.errors import ConfigurationError, PushpruneError, StoreUnavailable
from service.log import log
from service.settings import Settings
from service.settings.webhooks import WebhookSettings
from service.store import Store
from service.store.lease import Lease
from service.webhooks.delivery import Delivery
from service.webhooks.status import about, end_troubles_of_removed

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
    delivery = _prepare(store, webhook, source, stopping)
    is_open = False
    while delivery and not stopping.is_set():
        try:
            if not is_open:
                delivery.reopen()
                is_open = True
            with _lease(store, webhook) as lease:
                if lease is not None:
                    delivery.take_over()
                while lease is not None and not stopping.is_set():
                    lease.check()
                    next_look_s = time.monotonic() + LOOK_S
                    delivery.queue_new_events()
                    # Read new events in time even while the queue is full, because Redis trims the stream.
                    while delivery.send() and time.monotonic() < next_look_s and not stopping.is_set():
                        lease.check()
                    stopping.wait(max(0.0, next_look_s - time.monotonic()))
        except PushpruneError:
            # The tick of this process already logs that Redis is away.
            pass
        except Exception:  # noqa: BLE001 - the delivery must outlive anything, as the tick does
            log.exception("sending to a webhook failed; it is repeated", webhook=webhook.name)
        stopping.wait(_TURN_S)


def _prepare(store: Store, webhook: WebhookSettings, source: str, stopping: threading.Event) -> Delivery | None:
    """Return the delivery once the files of the webhook can be read; None if the process ends before."""
    logged = ""
    while not stopping.is_set():
        try:
            return Delivery(store, webhook, source)
        except ConfigurationError as error:
            if logged != str(error):
                logged = str(error)
                log.error("the webhook cannot be used", webhook=webhook.name, error=logged)
            with suppress(PushpruneError):
                sentence = f"nothing is sent to it: {error}; correct the file: the workers read it again by themselves"
                _note_unusable(store, webhook, sentence)
        stopping.wait(_TURN_S)
    return None


def _note_unusable(store: Store, webhook: WebhookSettings, message: str) -> None:
    """Record that a webhook cannot be used, unless another worker sends its events."""
    with _lease(store, webhook) as lease:
        known = {trouble.about: trouble.message for trouble in store.outbox.troubles()}
        if lease is not None and known.get(about(webhook.name)) != message:
            store.outbox.note_trouble(about(webhook.name), message)


def _lease(store: Store, webhook: WebhookSettings) -> AbstractContextManager[Lease | None]:
    return store.leases.hold(f"webhook:{webhook.name}", _LIFE_MS)
