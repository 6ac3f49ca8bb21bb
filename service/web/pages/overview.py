"""The overview page: the current state, and recent activity."""

import time

from flask import Blueprint, Response, request

from service.collect.status import past
from service.doctor.health import system_health
from service.registry import Registry
from service.reports.activity import recent_activity
from service.reports.inventory import Inventory
from service.reports.usage import DiskUsage
from service.settings import PolicySource
from service.store import Store
from service.web.pages import rendering

NAME = "Overview"

# Period → its length and the step of its chart, in seconds.
_PERIODS = {"1h": (3600, 60), "24h": (86_400, 1800), "7d": (604_800, 10_800), "30d": (2_592_000, 43_200)}


def add(pages: Blueprint, store: Store, registry: Registry, policies: PolicySource, inventory: Inventory) -> None:
    disk_usage = DiskUsage(inventory)

    @pages.get("/")
    def overview() -> Response:
        return rendering.page("overview.html", periods=tuple(_PERIODS), period=_period())

    @pages.get("/panels/overview/now")
    def overview_now() -> Response:
        now, policy = system_health(store, registry, policies), policies.current()
        _, totals = past(store, 1)
        return rendering.panel(
            "overview_now.html",
            "Current state",
            reading=now.reading,
            registry=now.registry,
            holds=len(now.holds),
            troubles=now.troubles,
            totals=totals,
            trashed=now.restorable,
            gate=now.gate.state if now.gate else "open",
            collection=now.collection or "none running",
            dry_run=bool(policy and policy.dry_run),
            no_policy=now.policy == "none",
        )

    @pages.get("/panels/overview/size")
    def overview_size() -> Response:
        return rendering.panel("overview_size.html", "Storage used", usage=disk_usage.current())

    @pages.get("/panels/overview/past")
    def overview_past() -> Response:
        length_s, step_s = _PERIODS[_period()]
        activity = recent_activity(store, length_s * 1000, step_s * 1000, time.time_ns() // 1_000_000)
        return rendering.panel("overview_past.html", "Recent activity", activity=activity, step_s=step_s)


def _period() -> str:
    asked = request.args.get("period", "")
    return asked if asked in _PERIODS else "24h"
