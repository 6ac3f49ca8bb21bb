"""Warn the operator of notifications that were rejected because their token is missing or wrong."""

import time
from contextlib import suppress

from service.domain.errors import StoreUnavailable
from service.log import log
from service.store import Store

# The subject of the trouble.
NOTIFICATIONS = "notifications"

_REPEAT_S = 60.0


class UnauthenticatedAlert:
    """A warning, once a minute at most, until a notification is accepted. Most such posts come from the registry."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._warned_s: float | None = None

    def refused(self, address: str, reason: str) -> None:
        """Warn of a rejected notification. address: of its sender. reason: why it was rejected."""
        now_s = time.monotonic()
        if self._warned_s is not None and now_s - self._warned_s < _REPEAT_S:
            return
        self._warned_s = now_s
        sentence = (
            f"a notification from {address} was rejected: {reason}; correct `url` or `headers` of the endpoint in the "
            "registry's config.yml and restart the registry"
        )
        log.warning(sentence)
        with suppress(StoreUnavailable):
            self._store.outbox.note_trouble(NOTIFICATIONS, sentence)

    def accepted(self) -> None:
        """Withdraw the warning, because a notification was accepted."""
        if self._warned_s is not None:
            self._warned_s = None
            with suppress(StoreUnavailable):
                self._store.outbox.end_trouble(NOTIFICATIONS)
