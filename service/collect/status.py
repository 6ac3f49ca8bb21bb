"""Asking for a garbage collection, and what is known of those that ran, of the one under way and of the next."""

from dataclasses import dataclass
from datetime import UTC, datetime

from service.domain.collection.run import BY_HAND, CHECKING, SWEEPING, Run, Under, Wait, is_by_hand
from service.domain.errors import ConfigurationError, NotWaiting
from service.schedule import next_run, too_early
from service.wiring import Wiring


@dataclass(frozen=True, slots=True)
class Held:
    """A write gate that is not open. state: draining or closed, since when it drains (ms); reason: why that is so."""

    state: str
    since_ms: int
    reason: str


@dataclass(frozen=True, slots=True)
class Overview:
    """Collections at one moment. runs: the newest first; under: the one under way.

    wanted: why one is wanted; waits: what keeps it; next_ms: when the schedule has one made; gate: None while it is
    open. permanent: deletions that the next one makes permanent.
    """

    under: Under | None
    wanted: str | None
    waits: Wait | None
    next_ms: int | None
    gate: Held | None
    permanent: int
    runs: tuple[Run, ...]


def overview(wiring: Wiring, runs: int = 20) -> Overview:
    """What there is to know. Raises StoreUnavailable when Redis is away."""
    garbage, wanted, held = wiring.garbage, wiring.garbage.wanted(), wiring.gate.standing()
    return Overview(
        under=garbage.under_way(),
        wanted=wanted,
        waits=garbage.waits() if wanted else None,
        next_ms=next_ms(wiring),
        gate=Held(held.state, held.since_ms, held.reason) if held else None,
        permanent=wiring.figures.trashed(),
        runs=garbage.runs(runs),
    )


def permanent(count: int) -> str:
    """Say what a collection does to deletions that can still be undone."""
    return f"{count} {'deletion becomes' if count == 1 else 'deletions become'} permanent"


def next_ms(wiring: Wiring) -> int | None:
    """When the schedule has the next one made (ms); None where nothing says when."""
    comes = next_run(wiring.settings.gc, datetime.now(UTC)) if wiring.collector else None
    return round(comes.timestamp() * 1000) if comes else None


def ask(wiring: Wiring, *, dry_run: bool, by: str = "") -> str:
    """Has a worker make a collection now, or only a dry run of one; returns the reason that its record will show.

    by: through what it was asked for. Raises ConfigurationError where no collector is configured.
    """
    if wiring.collector is None:
        raise ConfigurationError("gc.command is not set: set it to the registry's garbage-collect command")
    reason = f"{BY_HAND} ({by})" if by else BY_HAND
    if dry_run:
        reason = f"a dry run {reason}"
        wiring.garbage.request_rehearsal(reason)
    else:
        wiring.garbage.request(reason)
    wiring.dispatch.collect()
    return reason


def cancel(wiring: Wiring) -> str:
    """Drop the queued collection, so that no deletion becomes permanent by it; returns why it was wanted.

    Raises:
        NotWaiting: none is queued, or it is sweeping already.
    """
    under = wiring.garbage.under_way()
    if under and under.stage in (SWEEPING, CHECKING):
        raise NotWaiting(f"the collection is {under.stage} already, and cannot be cancelled any more")
    reason = wiring.garbage.cancel()
    if reason is None:
        raise NotWaiting("no collection is queued")
    return reason


def why_not_yet(wiring: Wiring, reason: str) -> str | None:
    """Why the collection that is wanted for this reason may not begin yet; who asks by hand may at any time."""
    if is_by_hand(reason):
        return None
    return too_early(wiring.settings.gc, datetime.now(UTC), wiring.garbage.totals().done_ms)
