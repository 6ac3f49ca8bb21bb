"""Ask for reconcile runs, and report their state."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from service.cron import next_time
from service.dispatch import Dispatch
from service.domain.history.reconciliation import MANUAL, ReconcileResult, ReconcileRun
from service.registry import Registry
from service.settings import Settings
from service.store import Store


@dataclass(frozen=True, slots=True)
class ReconcileStatus:
    """The state of reconcile runs at one moment.

    Attributes:
        running: the run under way, None for none.
        queued: the reason of the complete run that was requested, None for none.
        last: the result of the last run, None for none.
        next_ms: the time of the next scheduled run (ms), None without a schedule or a registry.
    """

    running: ReconcileRun | None
    queued: str | None
    last: ReconcileResult | None
    next_ms: int | None


def overview(store: Store, registry: Registry, settings: Settings) -> ReconcileStatus:
    """Return the state of reconcile runs. Raises StoreUnavailable if Redis does not answer."""
    schedule, now = settings.reconcile.schedule, datetime.now(UTC)
    next_run = next_time(schedule, now) if schedule and registry.is_configured else None
    runs = store.reconcile_runs
    return ReconcileStatus(
        runs.current(), runs.requested(), runs.last(), round(next_run.timestamp() * 1000) if next_run else None
    )  # fmt: skip


@dataclass(frozen=True, slots=True)
class ReconcileProgress:
    """The progress of a requested reconcile run.

    Attributes:
        ended: the result, once the run has ended.
        running: the run under way, None for none.
        has_worker: True if a worker is running.
    """

    ended: ReconcileResult | None
    running: ReconcileRun | None
    has_worker: bool


def progress(store: Store, repositories: Sequence[str], reason: str, since_ms: int) -> ReconcileProgress:
    """Describe the progress of a requested run.

    Args:
        reason: as `request_reconcile` returned it.
        since_ms: the time of the request by the clock of Redis.
    """
    runs = store.reconcile_runs
    last, under = runs.last(), runs.current()
    is_over = last and last.at_ms >= since_ms and (last.reason == reason or bool(repositories))
    ended = last if is_over and not runs.waiting(repositories) else None
    return ReconcileProgress(ended, under, store.outbox.workers() > 0)


def now_ms(store: Store) -> int:
    """Return the time of a request by the clock of Redis, for `progress`."""
    return store.connection.now_ms()


def trouble(store: Store) -> str:
    """Return the recorded problem of reconcile runs that an operator must fix; "" for none."""
    return next((trouble.message for trouble in store.outbox.troubles() if trouble.about == "reconcile"), "")


def request_reconcile(
    store: Store, registry: Registry, dispatch: Dispatch, repositories: Sequence[str] = (), *, by: str = ""
) -> str:
    """Ask for a reconcile run of these repositories, or of all; return the reason that its record will show.

    Args:
        by: the interface through which the run is asked for; "" if unknown.

    Raises:
        ConfigurationError: no registry is configured.
    """
    # Reading the client raises ConfigurationError before anything is recorded.
    _ = registry.client
    reason = f"{MANUAL} ({by})" if by else MANUAL
    if repositories:
        store.reconcile_runs.request_repositories(repositories, reason)
    else:
        store.reconcile_runs.request(reason)
    dispatch.reconcile()
    return reason
