"""The overview page: the current state, and recent activity."""

import time
from collections.abc import Iterator
from dataclasses import dataclass

from flask import Blueprint, Response, request

from service.domain.collection.run import Run
from service.domain.history.entry import EventCount
from service.health import system_health
from service.prune.approvals import waiting
from service.registry import Registry
from service.reports.inventory import Inventory
from service.reports.usage import DiskUsage
from service.settings import PolicySource
from service.store import Store
from service.web.pages import rendering

NAME = "Overview"

# Period → its length and the step of its chart, in seconds.
_PERIODS = {"1h": (3600, 60), "24h": (86_400, 1800), "7d": (604_800, 10_800), "30d": (2_592_000, 43_200)}
_RUNS = 1000


@dataclass(frozen=True, slots=True)
class ChartStep:
    """The activity of one step of the chart.

    Attributes:
        at_ms: start of the step, ms since the epoch.
        reclaimed_bytes: freed by collections that ended in this step.
    """

    at_ms: int
    pushes: int
    deletes: int
    reclaimed_bytes: int


def add(pages: Blueprint, store: Store, registry: Registry, policies: PolicySource, inventory: Inventory) -> None:
    disk_usage = DiskUsage(store.history, inventory.catalog)

    @pages.get("/")
    def overview() -> Response:
        return rendering.page("overview.html", periods=tuple(_PERIODS), period=_period())

    @pages.get("/panels/overview/now")
    def overview_now() -> Response:
        now, policy = system_health(store, registry, policies), policies.current()
        under, standing = store.collections.progress(), store.gate.state()
        return rendering.panel(
            "overview_now.html",
            "Current state",
            reading=now.reading,
            registry=now.registry,
            holds=sum(1 for held in waiting(store) if held.rejection is None),
            troubles=now.troubles,
            totals=store.collections.totals(),
            trashed=store.stats.trashed(),
            gate=standing.state if standing else "open",
            collection=under.stage if under else "none running",
            dry_run=bool(policy and policy.dry_run),
            no_policy=policy is None and policies.complaint is None,
        )

    @pages.get("/panels/overview/size")
    def overview_size() -> Response:
        return rendering.panel("overview_size.html", "Storage used", usage=disk_usage.current())

    @pages.get("/panels/overview/past")
    def overview_past() -> Response:
        length_s, step_s = _PERIODS[_period()]
        now_ms, step_ms = time.time_ns() // 1_000_000, step_s * 1000
        since_ms = (now_ms - length_s * 1000) // step_ms * step_ms
        tally = store.event_counts.since(since_ms, step_ms)
        rows = tuple(_steps(tally, store.collections.runs(_RUNS), range(since_ms, now_ms + 1, step_ms)))
        return rendering.panel(
            "overview_past.html", "Recent activity", rows=rows, step_s=step_s, is_whole=tally.is_whole
        )


def _period() -> str:
    asked = request.args.get("period", "")
    return asked if asked in _PERIODS else "24h"


def _steps(tally: EventCount, runs: tuple[Run, ...], begins: range) -> Iterator[ChartStep]:
    reclaimed: dict[int, int] = {}
    for run in runs:
        at_ms = run.ended_ms // begins.step * begins.step
        if run.result == "done":
            reclaimed[at_ms] = reclaimed.get(at_ms, 0) + (run.bytes_freed or 0)
    for at_ms in begins:
        counts = tally.counts.get(at_ms, {})
        yield ChartStep(
            at_ms,
            counts.get("push", 0),
            counts.get("pruned", 0) + counts.get("still listed", 0),
            reclaimed.get(at_ms, 0),
        )
