"""The past of a company: what this process recorded within a minute is moved to the times at which it happened.

Redis gives each record the time at which it was made, so charts of the dashboard would show two weeks as one minute.
"""

from bisect import bisect_right
from typing import Any

from service.clock import now_ms
from service.store.connection import Connection


class CompanyTimes:
    """The times of the company, by the time at which this process recorded them. Redis runs on the same machine."""

    def __init__(self) -> None:
        self._recorded_ms: list[int] = []
        self._at_us: list[int] = []

    def begin(self, at_us: int) -> None:
        """Note that everything recorded from now on happened at this time, not before the last one."""
        self._recorded_ms.append(now_ms())
        self._at_us.append(at_us)

    def of(self, recorded_us: int) -> int:
        """Return the company's time (µs) of a record. A time before the first `begin` is one of the company already."""
        nth = bisect_right(self._recorded_ms, recorded_us // 1000)
        return self._at_us[nth - 1] if nth else recorded_us

    def move(self, connection: Connection, repositories: tuple[str, ...]) -> None:
        """Move all entries of the history to their times. Nothing can be restored: no image was in the trash."""
        client = connection.redis
        for key in (connection.keys.of("events"), *(connection.keys.of("history", name) for name in repositories)):
            self._move(client, key)
        for name in repositories:
            client.delete(connection.keys.of("deleted", name))

    def _move(self, client: Any, key: str) -> None:
        entries = client.xrange(key)
        with client.pipeline(transaction=False) as pipe:
            pipe.delete(key)
            at_ms, nth = 0, 0
            for _, fields in entries:
                at_us = self.of(int(fields["at_us"]))
                # The ids of a stream only grow.
                before_ms, at_ms = at_ms, max(at_ms, at_us // 1000)
                nth = nth + 1 if at_ms == before_ms else 0
                pipe.xadd(key, {**fields, "at_us": at_us}, id=f"{at_ms}-{nth}")
            pipe.execute()
