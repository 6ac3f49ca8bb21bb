"""Asking for the history to be compared with the registry, and what is known of how that went."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from service.domain.reconciliation import BY_HAND, Walk, Walked
from service.schedule import next_time
from service.wiring import Wiring


@dataclass(frozen=True, slots=True)
class Overview:
    """Comparisons at one moment. under: the walk under way; wanted: why one over everything is; last: how one ended.

    next_ms: when the schedule has everything compared next; None where nothing says when.
    """

    under: Walk | None
    wanted: str | None
    last: Walked | None
    next_ms: int | None


def overview(wiring: Wiring) -> Overview:
    """What there is to know. Raises StoreUnavailable when Redis is away."""
    schedule, now = wiring.settings.reconcile.schedule, datetime.now(UTC)
    comes = next_time(schedule, now) if schedule and wiring.registry else None
    walks = wiring.walks
    return Overview(
        walks.under_way(), walks.wanted(), walks.last(), round(comes.timestamp() * 1000) if comes else None
    )  # fmt: skip


def ask(wiring: Wiring, repositories: Sequence[str] = (), *, by: str = "") -> str:
    """Has these repositories compared next, or everything; returns the reason that the record will show.

    by: through what it was asked for. Raises ConfigurationError where no registry is configured.
    """
    _ = wiring.client
    reason = f"{BY_HAND} ({by})" if by else BY_HAND
    if repositories:
        wiring.walks.ask(repositories, reason)
    else:
        wiring.walks.request(reason)
    wiring.dispatch.reconcile()
    return reason
