"""The overview page: what needs an operator, a few figures, and the storage, pushes and deletions over time."""

from http import HTTPStatus

from flask import Blueprint, Response, request, url_for

from service.clock import now_ms
from service.collect.status import next_ms
from service.collect.status import overview as collection_status
from service.doctor.components import OpenProblem, without_redis
from service.doctor.components import open_problems as list_problems
from service.doctor.health import check_recording, system_health
from service.domain.errors import StoreUnavailable
from service.registry import Registry
from service.reports.activity import freed_since, recent_activity
from service.reports.inventory import Inventory
from service.reports.usage import current_usage, usage_series
from service.restore.restore import Restore
from service.settings import PolicySource, Settings
from service.store import Store
from service.web import charts
from service.web.pages import rendering

NAME = "Overview"

_DAY_S = 86_400
# Period → its length and the step of its bars, in seconds.
_PERIODS = {"24h": (_DAY_S, 1800), "7d": (7 * _DAY_S, 10_800), "30d": (30 * _DAY_S, 43_200)}
_POINTS = 96
_DELETIONS = 6
_SHORTEST_MS = 60_000
# Component → the page where its problems are solved, and the words of the link.
_PAGES = {
    "approvals": ("pages.approvals", "", "Review"),
    "policy": ("pages.policy", "", "Open the policy"),
    "collection": ("pages.collection", "", "Open collections"),
    "gate": ("pages.collection", "", "Open collections"),
    "deletions": ("pages.activity", "troubles", "Show problems"),
}


def add(
    pages: Blueprint,
    store: Store,
    registry: Registry,
    policies: PolicySource,
    inventory: Inventory,
    settings: Settings,
    restore: Restore,
) -> None:
    @pages.get("/")
    def overview() -> Response:
        return rendering.page("overview.html", periods=tuple(_PERIODS), period=_period())

    @pages.get("/panels/overview/now")
    def overview_now() -> Response:
        try:
            check_recording(store)
            now, policy = system_health(store, registry, policies), policies.current()
            problems = [(problem, _place(problem)) for problem in list_problems(store, now)]
        except StoreUnavailable as error:
            return _without_redis(error)
        return rendering.panel(
            "overview_now.html",
            "Current state",
            now=now,
            problems=problems,
            dry_run=bool(policy and policy.dry_run),
        )

    @pages.get("/panels/overview/figures")
    def overview_figures() -> Response:
        at_ms = now_ms()
        week, (length_s, step_s) = 7 * _DAY_S * 1000, _PERIODS["24h"]
        day = recent_activity(store, length_s * 1000, step_s * 1000, at_ms)
        series = usage_series(store, week, at_ms, _POINTS)
        return rendering.panel(
            "overview_figures.html",
            "Figures",
            usage=current_usage(store),
            change_bytes=series.change_bytes,
            # The records of a new installation do not cover a week.
            change_s=_rounded_s((at_ms - series.at_ms[0]) // 1000) if series.at_ms else 0,
            freed_bytes=freed_since(store, at_ms - week),
            deletes=sum(step.deletes for step in day.steps),
            pushes=sum(step.pushes for step in day.steps),
            totals=inventory.totals(),
            collection=_collection(store, registry, settings),
            next_ms=next_ms(registry, settings.gc),
        )

    @pages.get("/panels/overview/storage")
    def overview_storage() -> Response:
        series = usage_series(store, _PERIODS[_period()][0] * 1000, now_ms(), _POINTS)
        axis = charts.scale(max(series.sizes_bytes, default=0))
        # In the first minute of an installation there is nothing to compare.
        is_drawn = len(series.at_ms) > 1 and series.at_ms[-1] - series.at_ms[0] >= _SHORTEST_MS
        return rendering.panel(
            "overview_storage.html",
            "Storage used",
            series_of=series,
            axis=axis,
            paths=charts.bands(series.at_ms, [band.sizes_bytes for band in series.bands], axis) if is_drawn else (),
            zones=charts.zones(series.at_ms) if is_drawn else (),
            moments=charts.moments(series.at_ms[0], series.at_ms[-1]) if is_drawn else (),
            unit=charts.unit(series.at_ms[0], series.at_ms[-1]) if is_drawn else "",
        )

    @pages.get("/panels/overview/past")
    def overview_past() -> Response:
        length_s, step_s = _PERIODS[_period()]
        activity = recent_activity(store, length_s * 1000, step_s * 1000, now_ms())
        steps = activity.steps
        series = [[step.pushes for step in steps], [step.deletes for step in steps]]
        axis = charts.scale(max(map(max, series)))
        return rendering.panel(
            "overview_past.html",
            "Pushes and deletions",
            activity=activity,
            step_s=step_s,
            axis=axis,
            columns=tuple(zip(steps, charts.columns(series, axis), strict=True)),
            is_empty=not any(step.pushes or step.deletes or step.collections for step in steps),
            moments=charts.moments(steps[0].at_ms, steps[-1].at_ms + step_s * 1000),
            unit="time" if _period() == "24h" else "day",
        )

    @pages.get("/panels/overview/deletions")
    def overview_deletions() -> Response:
        return rendering.panel("overview_deletions.html", "Latest deletions", deletions=restore.latest(_DELETIONS))

    @pages.get("/panels/overview/next")
    def overview_next() -> Response:
        policy = policies.current()
        is_dry = bool(policy and policy.dry_run)
        rows = () if is_dry else inventory.repositories.next_deletions(_DELETIONS)
        return rendering.panel(
            "overview_next.html", "Next deletions", rows=rows, is_dry=is_dry, has_policy=policy is not None
        )


def _without_redis(error: StoreUnavailable) -> Response:
    """Return the panel while Redis does not answer: it is one problem, and the others are not known."""
    failed, *_ = without_redis(str(error))
    problem = OpenProblem(failed.name, failed.name, "error", failed.message, 0)
    response = rendering.panel("overview_now.html", "Current state", problems=[(problem, _place(problem))], now=None)
    response.status_code = HTTPStatus.SERVICE_UNAVAILABLE
    return response


def _place(problem: OpenProblem) -> tuple[str, str]:
    """Return the address of the page where a problem is solved, and the words of the link to it."""
    kind, _, subject = problem.subject.partition(" ")
    repository, _, tag = subject.partition(":")
    if kind == "lost" and tag:
        return url_for("pages.tag", repository=repository, tag=tag), "Open the tag"
    if kind in ("due", "doomed") and subject:
        return url_for("pages.repository", repository=subject), "Open the repository"
    if problem.subject == "rejected events":
        return url_for("pages.activity", _anchor="rejected"), "Show the events"
    if problem.subject == "check":
        return url_for("pages.health", _anchor="diagnostics"), "Show the check"
    page, anchor, words = _PAGES.get(problem.component, ("pages.health", "", "Open health"))
    return url_for(page, _anchor=anchor or None), words


def _collection(store: Store, registry: Registry, settings: Settings) -> str:
    """Return the state of collections in words; "" if none runs and none is queued."""
    status = collection_status(store, registry, settings.gc, runs=1)
    if status.running:
        return status.running.stage
    return "queued" if status.queued else ""


def _rounded_s(length_s: int) -> int:
    """Return a length of time in whole days, hours or minutes, so that it reads 7d and not 166h."""
    unit_s = next((unit_s for unit_s in (_DAY_S, 3600) if length_s >= 2 * unit_s), 60)
    return max(1, round(length_s / unit_s)) * unit_s


def _period() -> str:
    asked = request.args.get("period", "")
    return asked if asked in _PERIODS else "24h"
