"""Publish the current stage of a collection while it runs."""

import threading
import time
from contextlib import suppress
from dataclasses import replace
from typing import Self

from service.clock import now_ms
from service.domain.collection.run import CollectionStage
from service.domain.errors import StoreUnavailable
from service.store.collections import Collections

_RENEW_S = 3.0
_SHOW_S = 0.5


class Progress:
    """The current stage of the running collection, in Redis.

    A thread renews it, because a stage can take longer than the key lives. If Redis is unavailable, nothing is
    published and the collection continues.
    """

    def __init__(self, garbage: Collections, reason: str) -> None:
        self._garbage = garbage
        self._under = CollectionStage("", now_ms(), now_ms(), reason)
        self._shown_s = 0.0
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._renew, name="progress", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        # The thread must have ended before the key is deleted: it would write the key again.
        self._thread.join()
        with suppress(StoreUnavailable):
            self._garbage.clear_progress()

    def at(self, stage: str, total: int = 0, total_bytes: int = 0) -> None:
        """Publish the beginning of the next stage.

        Args:
            stage: its name.
            total: the number of its items; 0 if it is not known.
            total_bytes: their size; 0 if it is not known.
        """
        under = CollectionStage(stage, now_ms(), self._under.started_ms, self._under.reason)
        self._under = replace(under, total=total, total_bytes=total_bytes)
        self._show()

    def advance(self, count: int, size_bytes: int = 0) -> None:
        """Add items that are done. They are published from time to time."""
        under = self._under
        self._under = replace(under, done=under.done + count, done_bytes=under.done_bytes + size_bytes)
        if time.monotonic() - self._shown_s >= _SHOW_S:
            self._show()

    def _renew(self) -> None:
        while not self._ended.wait(_RENEW_S):
            self._show()

    def _show(self) -> None:
        self._shown_s = time.monotonic()
        if self._under.stage:
            with suppress(StoreUnavailable):
                self._garbage.publish_progress(self._under)
