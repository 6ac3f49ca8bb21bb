"""Reconcile runs, which compare the history with the registry: the current run, the last run, requesting a run."""

from dataclasses import asdict
from http import HTTPStatus

from flask import Response
from flask_openapi.blueprint import APIBlueprint
from pydantic import Field
from werkzeug.exceptions import Conflict

from service.domain.errors import ConfigurationError
from service.reconcile.status import ask, overview
from service.settings.kinds import RepositoryName
from service.web.api.api_blueprint import api_blueprint, error_responses
from service.web.models import ApiAnswer, ApiRequest
from service.wiring import Wiring

_NONE = (HTTPStatus.CONFLICT, "no registry is configured")


class RunningReconcile(ApiAnswer):
    """The current reconcile run."""

    reason: str = Field(description="why the run was requested")
    since_ms: int = Field(description="start of the run, ms since the epoch")
    whole: bool = Field(description="true if the run covers all repositories")
    listed: bool = Field(description="true if all repositories are listed already")
    todo: int = Field(description="repositories still to be compared")
    repositories: int = Field(description="repositories that were compared")
    tags: int = Field(description="tags of the compared repositories")
    changed: int = Field(description="number of compared repositories whose history differed")
    failed: int = Field(description="repositories that could not be compared")
    message: str = Field(description="the last failure, in one sentence")


class LastReconcile(ApiAnswer):
    """The last reconcile run that ended."""

    at_ms: int = Field(description="end of the run, ms since the epoch")
    took_ms: int = Field(description="duration of the run, ms")
    reason: str = Field(description="why the run was requested")
    whole: bool = Field(description="true if the run covered all repositories")
    repositories: int = Field(description="repositories that were compared")
    tags: int = Field(description="tags of the compared repositories")
    changed: int = Field(description="number of compared repositories whose history differed")
    failed: int = Field(description="repositories that could not be compared")
    catalog: str = Field(
        description="why only known and configured repositories were compared; empty: the registry's catalog was read"
    )
    message: str = Field(description="the last failure, in one sentence")


class Reconciliation(ApiAnswer):
    """The state of the reconcile runs."""

    under: RunningReconcile | None = Field(description="the current run; null: none is running")
    wanted: str | None = Field(description="why a run over all repositories is requested; null: none is requested")
    last: LastReconcile | None = Field(description="the last run that ended; null: none yet")
    next_ms: int | None = Field(description="next run by reconcile.schedule, ms since the epoch; null: no schedule")


class ReconcileRequest(ApiRequest):
    """The repositories to compare with the registry."""

    repositories: tuple[RepositoryName, ...] = Field(
        default=(), max_length=1000, description="names of the repositories; empty: all"
    )


class QueuedReconcile(ApiAnswer):
    """The requested reconcile run. A worker starts it as soon as possible; the recorded run has this reason."""

    reason: str = Field(description="reason of the run that will be recorded")


def blueprints(wiring: Wiring, *, documented: bool) -> tuple[APIBlueprint, ...]:
    pages = api_blueprint("reconciliation", wiring, documented, post="admin")

    @pages.get("/reconciliation", responses={HTTPStatus.OK: Reconciliation})
    def reconciliation() -> Response:
        """Return the current reconcile run, the last run, and the time of the next run"""
        return Reconciliation.model_validate(asdict(overview(wiring))).response()

    @pages.post("/reconciliation", responses={HTTPStatus.OK: QueuedReconcile, **error_responses([_NONE])})
    def reconcile(body: ReconcileRequest) -> Response:
        """Compare some repositories, or all, with the registry now"""
        try:
            return QueuedReconcile(reason=ask(wiring, body.repositories, by="API")).response()
        except ConfigurationError as error:
            raise Conflict(str(error)) from error

    return (pages,)
