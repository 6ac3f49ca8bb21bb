"""Reconcile runs, which compare the history with the registry: the current run, the last run, requesting a run."""

from http import HTTPStatus

from flask import Response
from pydantic import Field

from service.answers.base import ApiAnswer
from service.answers.operations import Reconciliation
from service.dispatch import Dispatch
from service.reconcile.status import overview, request_reconcile
from service.registry import Registry
from service.settings import Settings
from service.settings.kinds import RepositoryName
from service.store import Store
from service.web.api.api_blueprint import Api, error_responses
from service.web.models import ApiRequest, respond

_NONE = (HTTPStatus.CONFLICT, "no registry is configured")


class ReconcileRequest(ApiRequest):
    """The repositories to compare with the registry."""

    repositories: tuple[RepositoryName, ...] = Field(
        default=(), max_length=1000, description="names of the repositories; empty: all", examples=[["shop/api"]]
    )


class QueuedReconcile(ApiAnswer):
    """The requested reconcile run. A worker starts it as soon as possible; the recorded run has this reason."""

    reason: str = Field(description="reason of the run that will be recorded")


def add(api: Api, store: Store, registry: Registry, settings: Settings, dispatch: Dispatch) -> None:
    pages = api.resource("reconciliation", post="admin")

    @pages.get("/reconciliation", responses={HTTPStatus.OK: Reconciliation})
    def reconciliation() -> Response:
        """Return the current reconcile run, the last run, and the time of the next run"""
        return respond(Reconciliation.model_validate(overview(store, registry, settings)))

    @pages.post("/reconciliation", responses={HTTPStatus.OK: QueuedReconcile, **error_responses([_NONE])})
    def reconcile(body: ReconcileRequest) -> Response:
        """Compare some repositories, or all, with the registry now"""
        reason = request_reconcile(store, registry, dispatch, body.repositories, by="API")
        return respond(QueuedReconcile(reason=reason))
