"""The health page: the components, queues, findings of the doctor, reconcile runs, and the effective configuration."""

from http import HTTPStatus
from threading import Lock

from flask import Blueprint, Response

from service import __version__
from service.clock import now_ms
from service.collect.status import past
from service.doctor import examine, open_case
from service.doctor.components import components, without_redis
from service.doctor.health import (
    check_recording,
    keep_report,
    known_workers,
    last_report,
    queued_messages,
    system_health,
)
from service.domain.errors import ConfigurationError, StoreUnavailable
from service.domain.finding import Finding, worst
from service.reconcile.status import overview, request_reconcile
from service.settings import Settings
from service.settings.masking import masked
from service.web.pages import rendering
from service.web.pages.text import as_yaml
from service.wiring import Wiring

NAME = "Health"

_PATIENCE_S = 10.0
_SILENT_MS = 10_000
_OLD_MS = 86_400_000


def add(pages: Blueprint, wiring: Wiring) -> None:
    looking = Lock()

    @pages.get("/health")
    def health() -> Response:
        return rendering.page("health.html", written=_effective(wiring.settings), version=__version__)

    @pages.get("/panels/health/now")
    def health_now() -> Response:
        """Show the components. While Redis does not answer, the panel says so within a moment."""
        try:
            check_recording(wiring.store)
            now = system_health(wiring.store, wiring.registry, wiring.policies)
            states = components(now, last_report(wiring.store))
        except StoreUnavailable as error:
            response = rendering.panel("health_now.html", "Components", components=without_redis(str(error)))
            response.status_code = HTTPStatus.SERVICE_UNAVAILABLE
            return response
        return rendering.panel("health_now.html", "Components", components=states)

    @pages.get("/panels/health/queues")
    def health_queues() -> Response:
        now = system_health(wiring.store, wiring.registry, wiring.policies)
        _, totals = past(wiring.store, 1)
        return rendering.panel(
            "health_queues.html",
            "Queues and workers",
            reading=now.reading,
            consumers=now.queues,
            messages=queued_messages(wiring.store, wiring.settings.redis.prefix),
            signs=known_workers(wiring.store),
            silent_before_ms=now.reading.now_ms - _SILENT_MS,
            totals=totals,
            trashed=now.restorable,
        )

    @pages.get("/panels/health/reconcile")
    def health_reconcile() -> Response:
        return rendering.panel(
            "health_reconcile.html",
            "Reconcile runs",
            seen=overview(wiring.store, wiring.registry, wiring.settings),
            has_registry=wiring.registry.is_configured,
        )

    @pages.post("/health/compare")
    def compare() -> Response:
        reason = request_reconcile(wiring.store, wiring.registry, wiring.dispatch, by=rendering.current_visitor().name)
        return rendering.redirect_back(f"All repositories are compared with the registry: {reason}")

    @pages.get("/panels/health/found")
    def health_found() -> Response:
        report = last_report(wiring.store)
        return _found(report.findings, report.at_ms, report.by) if report else _found()

    @pages.post("/panels/health/doctor")
    def health_doctor() -> Response:
        """Run the doctor. It pushes a probe into a repository of its own, and deletes it again."""
        if not looking.acquire(blocking=False):
            raise ConfigurationError("the check is already running: wait until it has finished")
        try:
            findings = tuple(examine(open_case(wiring, patience_s=_PATIENCE_S)))
        finally:
            looking.release()
        user = rendering.current_visitor().name
        return _found(keep_report(wiring.store, findings, user), now_ms(), user)


def _found(findings: tuple[Finding, ...] = (), at_ms: int = 0, by: str = "") -> Response:
    is_old = at_ms < now_ms() - _OLD_MS
    values = {"findings": findings, "at_ms": at_ms, "by": by, "worst": worst(findings), "is_old": is_old}
    return rendering.panel("health_doctor.html", "Diagnostics", **values)


def _effective(settings: Settings) -> str:
    """Return the effective settings as YAML, with secrets masked. The policy has a page of its own."""
    values = settings.model_dump(mode="json", exclude={"policy"}, exclude_none=True)
    return as_yaml(masked(values))
