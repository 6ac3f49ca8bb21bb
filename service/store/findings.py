"""What the doctor found last, for those who look at it later."""

import json
import time
from collections.abc import Iterable
from dataclasses import asdict, dataclass

from service.domain.finding import Finding
from service.store.connection import Connection

_LIFE_S = 7 * 86_400


@dataclass(frozen=True, slots=True)
class Found:
    """What was found, when (ms since the epoch), and who had the doctor look."""

    findings: tuple[Finding, ...]
    at_ms: int
    by: str


class Findings:
    """doctor:last in Redis. Every method raises StoreUnavailable when Redis is away."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._key = connection.keys.of("doctor:last")

    def keep(self, findings: Iterable[Finding], by: str) -> None:
        """In place of what was found before. No secret may stand in it."""
        kept = {"at_ms": time.time_ns() // 1_000_000, "by": by, "findings": [asdict(one) for one in findings]}
        with self._connection.reached() as client:
            client.set(self._key, json.dumps(kept), ex=_LIFE_S)

    def last(self) -> Found | None:
        """None where it did not look for a week, or only as another version of us."""
        with self._connection.reached() as client:
            text = client.get(self._key)
        if text is None:
            return None
        kept = json.loads(text)
        try:
            return Found(tuple(Finding(**one) for one in kept["findings"]), kept["at_ms"], kept["by"])
        except (KeyError, TypeError):
            return None
