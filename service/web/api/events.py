"""What happened: to the tags of one repository, or of all."""

import re
from http import HTTPStatus

from flask import Response
from flask_openapi.blueprint import APIBlueprint
from pydantic import Field

from service.domain.history.entry import Entry
from service.web.api.door import door, refusals
from service.web.api.paging import Paged, PageQuery, id_of
from service.web.api.repository import UNKNOWN, RepositoryPath
from service.web.models import Answer
from service.wiring import Wiring

_ID = re.compile(r"\d{1,19}-\d{1,19}", re.ASCII)


class EventsQuery(PageQuery):
    """Which events."""

    action: str = Field(default="", max_length=40, description="only of this kind, such as push; empty: of all kinds")
    tag: str = Field(default="", max_length=128, description="only of this tag; empty: of all")


class Event(Answer):
    """Something that happened."""

    id: str = Field(description="of the entry: the ms of its arrival, and a number")
    at_us: int = Field(description="when it happened, µs since the epoch")
    action: str = Field(
        description="push, delete, adopted, vanished, pruned, still listed, rescued, healed, lost, restored or dated: "
        "see docs/redis-schema.md"
    )
    repository: str = Field(description="its name")
    tag: str = Field(description="the tag; empty: a manifest by its digest")
    digest: str = Field(description="of the manifest; empty: the registry did not tell")
    media_type: str = Field(description="of a manifest that was pushed or found; empty: nobody noted it")
    size_bytes: int = Field(description="of the image in bytes, as far as the registry told")
    actor: str = Field(description="who did it; empty: unknown")
    useragent: str = Field(description="with which client; empty: unknown")
    address: str = Field(description="from where; empty: unknown")
    reason: str = Field(description="why, in words; empty: somebody just did it")
    rule: str = Field(description="the rule of the policy that said so; empty: none did")

    @classmethod
    def of(cls, entry: Entry) -> "Event":
        return cls(**{name: getattr(entry, name) for name in cls.model_fields})


class Events(Paged):
    """A page of what happened, the newest first."""

    events: tuple[Event, ...]


def blueprints(wiring: Wiring, *, documented: bool) -> tuple[APIBlueprint, ...]:
    pages = door("events", wiring, documented)

    @pages.get("/events", responses={HTTPStatus.OK: Events})
    def events(query: EventsQuery) -> Response:
        """What happened to the tags of all repositories"""
        return _told(wiring, None, query).response()

    @pages.get("/repositories/<path:repository>/events", responses={HTTPStatus.OK: Events, **refusals([UNKNOWN])})
    def repository_events(path: RepositoryPath, query: EventsQuery) -> Response:
        """What happened to the tags of a repository"""
        return _told(wiring, wiring.inventory.known(path.repository), query).response()

    return (pages,)


def _told(wiring: Wiring, repository: str | None, query: EventsQuery) -> Events:
    def wanted(entry: Entry) -> bool:
        return query.action in ("", entry.action) and query.tag in ("", entry.tag)

    before = id_of(query.cursor, lambda text: _ID.fullmatch(text) is not None)
    told = wiring.inventory.told(repository, wanted, before, query.limit)
    return Events(next=told.before, events=tuple(Event.of(entry) for entry in told.entries))
