"""The last findings of the doctor, kept for the dashboard."""

import json
from collections.abc import Iterable
from dataclasses import asdict, dataclass

from service.clock import now_ms
from service.domain.finding import Finding
from service.store.connection import Connection

_LIFE_S = 7 * 86_400


@dataclass(frozen=True, slots=True)
class DoctorReport:
    """The findings, when they were made (ms since the epoch), and by whose request."""

    findings: tuple[Finding, ...]
    at_ms: int
    by: str


class DoctorReports:
    """doctor:last in Redis. Every method raises StoreUnavailable when Redis is away."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._key = connection.keys.of("doctor:last")

    def keep(self, findings: Iterable[Finding], by: str) -> None:
        """Replace the last findings. They must not contain a secret."""
        kept = {"at_ms": now_ms(), "by": by, "findings": [asdict(finding) for finding in findings]}
        self._connection.redis.set(self._key, json.dumps(kept), ex=_LIFE_S)

    def last(self) -> DoctorReport | None:
        """Return the last findings; None if they are older than a week or from an incompatible version."""
        text = self._connection.redis.get(self._key)
        if text is None:
            return None
        kept = json.loads(text)
        try:
            # Another version of pushprune may have stored other fields.
            return DoctorReport(tuple(Finding(**finding) for finding in kept["findings"]), kept["at_ms"], kept["by"])
        except (KeyError, TypeError):
            return None
