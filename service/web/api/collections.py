"""Garbage collections: those that ran, the one under way, and having one made."""

from dataclasses import asdict
from http import HTTPStatus

from flask import Response
from flask_openapi.blueprint import APIBlueprint
from pydantic import Field, StrictBool
from werkzeug.exceptions import Conflict

from service.collect.status import ask, cancel, overview
from service.domain.errors import ConfigurationError, NotWaiting
from service.web.api.door import door, refusals
from service.web.models import Answer, Asked
from service.wiring import Wiring

_NOT_QUEUED = (HTTPStatus.CONFLICT, "no collection is queued, or it sweeps already")
_NONE = (HTTPStatus.CONFLICT, "no collector is configured")


class CollectionRun(Answer):
    """How one went. Times are ms since the epoch."""

    started_ms: int = Field(description="its start")
    ended_ms: int = Field(description="its end")
    result: str = Field(description="done, failed, put off, or dry run")
    reason: str = Field(description="why it was wanted")
    exit_code: int | None = Field(description="of garbage-collect; null: it did not come to that")
    marked: int = Field(description="blobs that were marked")
    blobs: int = Field(description="blobs that were swept, or in a dry run would be")
    manifests: int = Field(description="manifests that were")
    bytes_freed: int | None = Field(description="bytes that they took; null: nothing is known of it")
    unsized: int = Field(description="of how many blobs the size is not known: it is more by these")
    final: int = Field(description="deletions that can no longer be undone since")
    checked: int = Field(description="manifests pushed meanwhile that were looked at, blob by blob")
    closed_ms: int = Field(description="for how long the write gate was closed")
    gate: str = Field(description="what kept others from pushing meanwhile: none, proxy, readonly")
    message: str = Field(description="what went wrong, in one sentence")
    note: str = Field(description="what else is to be known, such as what was not protected")


class CollectionUnder(Answer):
    """The one under way."""

    stage: str = Field(description="what it is at, in words")
    since_ms: int = Field(description="since when, ms since the epoch")
    started_ms: int = Field(description="its start, ms since the epoch")
    reason: str = Field(description="why it was wanted")


class CollectionWait(Answer):
    """Why the wanted one is not made yet."""

    message: str = Field(description="the last reason, in one sentence")
    since_ms: int = Field(description="since when it waits, ms since the epoch")
    at_ms: int = Field(description="when that was last found, ms since the epoch")
    times: int = Field(description="how often it was found")


class CollectionGate(Answer):
    """The write gate while it is not open."""

    state: str = Field(description="draining: pushes under way go on; closed: every write waits")
    since_ms: int = Field(description="since when it drains, ms since the epoch")
    reason: str = Field(description="why that collection was wanted, or what keeps it closed")


class CollectionOverview(Answer):
    """All that is known of collections."""

    under: CollectionUnder | None = Field(description="the one under way; null: there is none")
    wanted: str | None = Field(description="why one is wanted; null: none is")
    waits: CollectionWait | None = Field(description="what keeps the wanted one; null: nothing")
    next_ms: int | None = Field(description="when gc.schedule has one made, ms since the epoch; null: no schedule")
    gate: CollectionGate | None = Field(description="the write gate; null: it is open")
    permanent: int = Field(description="deletions that the next one makes permanent")
    runs: tuple[CollectionRun, ...] = Field(description="the newest first")


class CollectionWish(Asked):
    """What to have made."""

    dry_run: StrictBool = Field(default=False, description="only say what would be swept")


class CollectionAsked(Answer):
    """It is queued: a worker makes it as soon as it can, and tries again until then. Its run bears this reason."""

    reason: str = Field(description="of the run that will be recorded")
    dry_run: bool = Field(description="whether nothing will be swept")
    permanent: int = Field(description="deletions that it makes permanent; 0 for a dry run")


class CollectionCancelled(Answer):
    """The queued collection is not made."""

    reason: str = Field(description="why it was wanted")


def blueprints(wiring: Wiring, *, documented: bool) -> tuple[APIBlueprint, ...]:
    pages = door("collections", wiring, documented, post="admin")

    @pages.get("/collections", responses={HTTPStatus.OK: CollectionOverview})
    def collections() -> Response:
        """The collections that ran, the one under way, and what the next waits for"""
        return CollectionOverview.model_validate(asdict(overview(wiring))).response()

    @pages.post("/collections", responses={HTTPStatus.OK: CollectionAsked, **refusals([_NONE])})
    def collect(body: CollectionWish) -> Response:
        """Have a collection made now, whatever gc.window and gc.min_interval say, or only a dry run"""
        reason = _asked(wiring, body.dry_run)
        permanent = 0 if body.dry_run else wiring.figures.trashed()
        return CollectionAsked(reason=reason, dry_run=body.dry_run, permanent=permanent).response()

    @pages.delete("/collections", responses={HTTPStatus.OK: CollectionCancelled, **refusals([_NOT_QUEUED])})
    def cancel_collection() -> Response:
        """Cancel the collection that is queued and does not sweep yet"""
        try:
            return CollectionCancelled(reason=cancel(wiring)).response()
        except NotWaiting as error:
            raise Conflict(str(error)) from error

    return (pages,)


def _asked(wiring: Wiring, dry_run: bool) -> str:
    try:
        return ask(wiring, dry_run=dry_run, by="API")
    except ConfigurationError as error:
        raise Conflict(str(error)) from error
