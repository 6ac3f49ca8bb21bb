"""The figures of the first page: how much there is, what waits, what is wrong."""

from http import HTTPStatus

from flask import Response
from flask_openapi.blueprint import APIBlueprint
from pydantic import Field

from service.health import system_health
from service.web.api.door import door
from service.web.models import Answer
from service.wiring import Wiring


class Trouble(Answer):
    """Something that an operator must mend."""

    about: str = Field(description="what it is about, such as a queue and a repository")
    message: str = Field(description="what is wrong, and what mends it")
    at_ms: int = Field(description="since when, ms since the epoch")


class Overview(Answer):
    """All of it at one moment."""

    repositories: int = Field(description="those anything is known of")
    tags: int = Field(description="live tags of all of them")
    doomed: int = Field(description="images and tags that are to be deleted next")
    held: int = Field(description="plans that wait for approval")
    trashed: int = Field(description="deletions that can still be undone")
    events: dict[str, int] = Field(
        description="since the beginning, by what was counted: push, pull, delete, duplicate, rejected, deleted, "
        "untagged, healed, lost, restored and others"
    )
    last_event_ms: int | None = Field(description="when the history grew last, ms since the epoch; null: never")
    due: int = Field(description="repositories that wait to be planned")
    deleting: int = Field(description="repositories with something to delete")
    healing: int = Field(description="repositories where something must be looked at")
    oldest_s: float = Field(description="since how many seconds the most overdue of these waits")
    workers: int = Field(description="those that gave a sign of life within 10 s")
    queues: dict[str, int] = Field(description="workers that consume each queue of messages that needs one")
    registry: bool | None = Field(description="true while the registry answers and lets us in; null: not known")
    policy: str = Field(description="in force, none, or why what stands in its place cannot be obeyed")
    dry_run: bool = Field(description="whether the policy only shows what would go: nothing is deleted")
    collection: str | None = Field(description="what the collection under way is at; null: none is")
    reconciled_ms: int | None = Field(
        description="when the history was compared with the registry last, ms since the epoch; null: never"
    )
    troubles: tuple[Trouble, ...] = Field(description="what must be mended")


def blueprints(wiring: Wiring, *, documented: bool) -> tuple[APIBlueprint, ...]:
    pages = door("overview", wiring, documented)

    @pages.get("/overview", responses={HTTPStatus.OK: Overview})
    def overview() -> Response:
        """How much there is, what waits, and what is wrong"""
        return _overview(wiring).response()

    return (pages,)


def _overview(wiring: Wiring) -> Overview:
    now, shelves = system_health(wiring), wiring.inventory.catalog.shelves(wiring.history.repositories())
    reading = now.reading
    under, last, policy = wiring.garbage.under_way(), wiring.walks.last(), wiring.policies.current()
    return Overview(
        repositories=len(shelves),
        tags=sum(shelf.tags for shelf in shelves),
        doomed=sum(shelf.doomed for shelf in shelves),
        held=len(wiring.history.holds([shelf.repository for shelf in shelves])),
        trashed=wiring.figures.trashed(),
        events={name: n for name, n in reading.counters.items() if not name.startswith("rule ")},
        last_event_ms=reading.last_event_ms,
        due=reading.waiting["due"],
        deleting=reading.waiting["doomed"],
        healing=reading.waiting["healing"],
        oldest_s=round(reading.oldest_s, 3),
        workers=reading.workers,
        queues=now.queues,
        registry=now.registry,
        policy=wiring.policies.complaint or ("in force" if policy else "none"),
        dry_run=wiring.outlook.is_dry(),
        collection=under.stage if under else None,
        reconciled_ms=last.at_ms if last else None,
        troubles=tuple(
            Trouble(about=trouble.about, message=trouble.message, at_ms=trouble.at_ms) for trouble in now.troubles
        ),
    )
