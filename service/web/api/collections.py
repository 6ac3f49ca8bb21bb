"""Garbage collections: past runs, the current run, and requesting a run."""

from dataclasses import asdict
from http import HTTPStatus

from flask import Response
from flask_openapi.blueprint import APIBlueprint
from pydantic import Field, StrictBool
from werkzeug.exceptions import Conflict

from service.collect.status import ask, at_stake, cancel, overview
from service.domain.errors import ConfigurationError, NotWaiting
from service.web.api.api_blueprint import api_blueprint, error_responses
from service.web.models import ApiAnswer, ApiRequest
from service.wiring import Wiring

_NOT_QUEUED = (HTTPStatus.CONFLICT, "no collection is queued, or it is already deleting blobs")
_NONE = (HTTPStatus.CONFLICT, "no collector is configured")


class CollectionRun(ApiAnswer):
    """A collection that ended. Times are ms since the epoch."""

    started_ms: int = Field(description="its start")
    ended_ms: int = Field(description="its end")
    result: str = Field(description="done, failed, put off, or dry run")
    reason: str = Field(description="why it was requested")
    exit_code: int | None = Field(description="of garbage-collect; null: garbage-collect was not run")
    marked: int = Field(description="blobs in use")
    blobs: int = Field(description="blobs that were deleted, or in a dry run would be")
    manifests: int = Field(description="manifests that were deleted, or in a dry run would be")
    bytes_freed: int | None = Field(description="bytes freed by deleting these blobs; null: unknown")
    unsized: int = Field(description="number of deleted blobs of unknown size, which bytes_freed leaves out")
    final: int = Field(description="deletions that this run made permanent")
    checked: int = Field(description="manifests pushed during the run whose blobs were verified")
    closed_ms: int = Field(description="for how long the write gate was closed, ms")
    gate: str = Field(description="how pushes were blocked during the run: none, proxy, readonly")
    message: str = Field(description="what went wrong, in one sentence")
    note: str = Field(description="further remarks, such as what was not protected")


class RunningCollection(ApiAnswer):
    """The collection that is running."""

    stage: str = Field(description="the current stage, in words")
    since_ms: int = Field(description="start of this stage, ms since the epoch")
    started_ms: int = Field(description="its start, ms since the epoch")
    reason: str = Field(description="why it was requested")


class PostponedCollection(ApiAnswer):
    """The reason why the requested collection has not started yet."""

    message: str = Field(description="the last reason, in one sentence")
    since_ms: int = Field(description="since when the collection waits, ms since the epoch")
    at_ms: int = Field(description="when this reason was last found, ms since the epoch")
    times: int = Field(description="how often this reason was found")


class CollectionGate(ApiAnswer):
    """The write gate while it is not open."""

    state: str = Field(description="draining: pushes that already began may finish; closed: every write waits")
    since_ms: int = Field(description="start of the draining, ms since the epoch")
    reason: str = Field(description="why the collection was requested, or what keeps the gate closed")


class CollectionOverview(ApiAnswer):
    """All that is known of collections."""

    under: RunningCollection | None = Field(description="the running collection; null: none is running")
    wanted: str | None = Field(description="why a collection is requested; null: none is requested")
    waits: PostponedCollection | None = Field(description="what the requested collection waits for; null: nothing")
    next_ms: int | None = Field(description="next run by gc.schedule, ms since the epoch; null: no schedule")
    gate: CollectionGate | None = Field(description="the write gate; null: the gate is open")
    permanent: int = Field(description="deletions that the next collection makes permanent")
    runs: tuple[CollectionRun, ...] = Field(description="past runs, newest first")


class CollectionRequest(ApiRequest):
    """A request for a collection."""

    dry_run: StrictBool = Field(default=False, description="only report what would be deleted")


class QueuedCollection(ApiAnswer):
    """The queued collection. A worker runs it as soon as possible; the recorded run has this reason."""

    reason: str = Field(description="reason of the run that will be recorded")
    dry_run: bool = Field(description="true if nothing will be deleted")
    permanent: int = Field(description="deletions that this collection makes permanent; 0 for a dry run")


class CancelledCollection(ApiAnswer):
    """The collection that was cancelled."""

    reason: str = Field(description="why it was requested")


def blueprints(wiring: Wiring, *, documented: bool) -> tuple[APIBlueprint, ...]:
    pages = api_blueprint("collections", wiring, documented, post="admin")

    @pages.get("/collections", responses={HTTPStatus.OK: CollectionOverview})
    def collections() -> Response:
        """List past collections, the running collection, and what the next collection waits for"""
        return CollectionOverview.model_validate(asdict(overview(wiring))).response()

    @pages.post("/collections", responses={HTTPStatus.OK: QueuedCollection, **error_responses([_NONE])})
    def collect(body: CollectionRequest) -> Response:
        """Run a collection now, regardless of gc.window and gc.min_interval, or only a dry run"""
        reason = _asked(wiring, body.dry_run)
        permanent = 0 if body.dry_run else at_stake(wiring)
        return QueuedCollection(reason=reason, dry_run=body.dry_run, permanent=permanent).response()

    @pages.delete("/collections", responses={HTTPStatus.OK: CancelledCollection, **error_responses([_NOT_QUEUED])})
    def cancel_collection() -> Response:
        """Cancel the queued collection, unless it is already deleting blobs"""
        try:
            return CancelledCollection(reason=cancel(wiring)).response()
        except NotWaiting as error:
            raise Conflict(str(error)) from error

    return (pages,)


def _asked(wiring: Wiring, dry_run: bool) -> str:
    try:
        return ask(wiring, dry_run=dry_run, by="API")
    except ConfigurationError as error:
        raise Conflict(str(error)) from error
