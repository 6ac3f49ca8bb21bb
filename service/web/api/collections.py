"""Garbage collections: past runs, the current run, and requesting a run."""

from http import HTTPStatus

from flask import Response
from pydantic import AwareDatetime, Field, StrictBool
from werkzeug.exceptions import NotFound

from service.answers.base import ApiAnswer
from service.answers.operations import CollectionLog, CollectionOverview
from service.collect.status import (
    at_stake,
    cancel,
    latest_recorded,
    overview,
    recorded,
    request_collection,
    request_undeletion,
)
from service.dispatch import Dispatch
from service.domain.policy.units import Duration
from service.registry import Registry
from service.settings import Settings
from service.store import Store
from service.web.api.api_blueprint import Api, error_responses
from service.web.models import ApiRequest, respond

_NOT_QUEUED = (HTTPStatus.CONFLICT, "no collection is queued, or it is already deleting blobs")
_NO_LOG = (HTTPStatus.NOT_FOUND, "no such collection is recorded")
_NONE = (HTTPStatus.CONFLICT, "no collector is configured, or it cannot have this grace")
_NO_QUARANTINE = (HTTPStatus.CONFLICT, "there is no quarantine, or a digest is none")


class LogQuery(ApiRequest):
    """The collection whose output is read."""

    started_at: AwareDatetime | None = Field(
        default=None, description="start of the collection, as in `runs`; absent: the latest one that has an output"
    )


class CollectionRequest(ApiRequest):
    """A request for a collection."""

    dry_run: StrictBool = Field(default=False, description="only report what would be deleted", examples=[True])
    grace: Duration | None = Field(
        default=None,
        description="for a full disk: the grace of this online collection, 15m at least, instead of gc.grace and "
        "gc.quarantine; such as 15m",
    )


class UndeletionRequest(ApiRequest):
    """A request to bring data back from quarantine."""

    digests: tuple[str, ...] = Field(
        default=(),
        max_length=1000,
        description="the blobs; none: what manifests need and do not have",
        examples=[["sha256:" + "0" * 64]],
    )


class QueuedUndeletion(ApiAnswer):
    """The queued undeletion. A worker runs it as soon as possible; the note of the recorded run says what came back."""

    reason: str = Field(description="reason of the run that will be recorded")


class QueuedCollection(ApiAnswer):
    """The queued collection. A worker runs it as soon as possible; the recorded run has this reason."""

    reason: str = Field(description="reason of the run that will be recorded")
    dry_run: bool = Field(description="true if nothing will be deleted")
    permanent: int = Field(description="deletions that this collection makes permanent, at most; 0 for a dry run")


class CancelledCollection(ApiAnswer):
    """The collection that was cancelled."""

    reason: str = Field(description="why it was requested")


def add(api: Api, store: Store, registry: Registry, settings: Settings, dispatch: Dispatch) -> None:
    pages = api.resource("collections", post="admin")

    @pages.get("/collections", responses={HTTPStatus.OK: CollectionOverview})
    def collections() -> Response:
        """List past collections, the running collection, and what the next collection waits for"""
        return respond(CollectionOverview.model_validate(overview(store, registry, settings.gc)))

    @pages.get("/collections/log", responses={HTTPStatus.OK: CollectionLog, **error_responses([_NO_LOG])})
    def collection_log(query: LogQuery) -> Response:
        """Return the output of a past collection"""
        if query.started_at is None:
            run = latest_recorded(store)
        else:
            run = recorded(store, round(query.started_at.timestamp() * 1000))
        if run is None:
            raise NotFound("no such collection is recorded; GET /api/v1/collections lists them")
        return respond(CollectionLog.model_validate({"started_at": run.run.started_ms, "lines": run.lines()}))

    @pages.post("/collections", responses={HTTPStatus.OK: QueuedCollection, **error_responses([_NONE])})
    def collect(body: CollectionRequest) -> Response:
        """Run a collection now, regardless of gc.window and gc.min_interval, or only a dry run"""
        reason = request_collection(store, registry, dispatch, dry_run=body.dry_run, grace_s=body.grace, by="API")
        permanent = 0 if body.dry_run else at_stake(store, settings.gc)
        return respond(QueuedCollection(reason=reason, dry_run=body.dry_run, permanent=permanent))

    @pages.post(
        "/collections/undeletions", responses={HTTPStatus.OK: QueuedUndeletion, **error_responses([_NO_QUARANTINE])}
    )
    def undelete(body: UndeletionRequest) -> Response:
        """Bring data back from the quarantine of online collections"""
        return respond(QueuedUndeletion(reason=request_undeletion(store, registry, dispatch, body.digests, "API")))

    @pages.delete("/collections", responses={HTTPStatus.OK: CancelledCollection, **error_responses([_NOT_QUEUED])})
    def cancel_collection() -> Response:
        """Cancel the queued collection, unless it is already deleting blobs"""
        return respond(CancelledCollection(reason=cancel(store)))
