"""Comparing the history with the registry: how that goes and went, and having it done."""

from dataclasses import asdict
from http import HTTPStatus

from flask import Response
from flask_openapi.blueprint import APIBlueprint
from pydantic import Field
from werkzeug.exceptions import Conflict

from service.domain.errors import ConfigurationError
from service.reconcile.status import ask, overview
from service.settings.kinds import RepositoryName
from service.web.api.door import door, refusals
from service.web.models import Answer, Asked
from service.wiring import Wiring

_NONE = (HTTPStatus.CONFLICT, "no registry is configured")


class WalkUnder(Answer):
    """The one under way."""

    reason: str = Field(description="why it was wanted")
    since_ms: int = Field(description="its start, ms since the epoch")
    whole: bool = Field(description="whether it is over all repositories")
    listed: bool = Field(description="whether all of them are known by now")
    todo: int = Field(description="repositories that are still to be compared")
    repositories: int = Field(description="those that were")
    tags: int = Field(description="their tags")
    changed: int = Field(description="in how many of these the history differed")
    failed: int = Field(description="repositories that could not be compared")
    message: str = Field(description="the last failure, in one sentence")


class WalkLast(Answer):
    """The one that ended last."""

    at_ms: int = Field(description="its end, ms since the epoch")
    took_ms: int = Field(description="how long it took")
    reason: str = Field(description="why it was wanted")
    whole: bool = Field(description="whether it was over all repositories")
    repositories: int = Field(description="those that were compared")
    tags: int = Field(description="their tags")
    changed: int = Field(description="in how many of these the history differed")
    failed: int = Field(description="repositories that could not be compared")
    catalog: str = Field(description="why only known and configured repositories were; empty: the catalog was read")
    message: str = Field(description="the last failure, in one sentence")


class Reconciliation(Answer):
    """All that is known of comparisons with the registry."""

    under: WalkUnder | None = Field(description="the one under way; null: there is none")
    wanted: str | None = Field(description="why everything is to be compared; null: it is not")
    last: WalkLast | None = Field(description="the one that ended last; null: none ever did")
    next_ms: int | None = Field(
        description="when reconcile.schedule has it done, ms since the epoch; null: no schedule"
    )


class ReconciliationWish(Asked):
    """What to compare."""

    repositories: tuple[RepositoryName, ...] = Field(default=(), max_length=1000, description="none: all of them")


class ReconciliationAsked(Answer):
    """It is asked for; a worker does it as soon as it can. What is recorded bears this reason."""

    reason: str = Field(description="of the comparison that will be recorded")


def blueprints(wiring: Wiring, *, documented: bool) -> tuple[APIBlueprint, ...]:
    pages = door("reconciliation", wiring, documented, post="admin")

    @pages.get("/reconciliation", responses={HTTPStatus.OK: Reconciliation})
    def reconciliation() -> Response:
        """The comparison with the registry that is under way, the last one, and when the next comes"""
        return Reconciliation.model_validate(asdict(overview(wiring))).response()

    @pages.post("/reconciliation", responses={HTTPStatus.OK: ReconciliationAsked, **refusals([_NONE])})
    def reconcile(body: ReconciliationWish) -> Response:
        """Have repositories, or all of them, compared with the registry now"""
        try:
            return ReconciliationAsked(reason=ask(wiring, body.repositories, by="API")).response()
        except ConfigurationError as error:
            raise Conflict(str(error)) from error

    return (pages,)
