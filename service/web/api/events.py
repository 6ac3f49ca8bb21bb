"""Recorded events of one repository, or of all repositories."""

import re
from http import HTTPStatus

from flask import Response
from flask_openapi.blueprint import APIBlueprint
from pydantic import Field

from service.domain.history.entry import Entry
from service.web.api.api_blueprint import api_blueprint, error_responses
from service.web.api.paging import Paged, PageQuery, id_of
from service.web.api.repository import UNKNOWN, RepositoryPath
from service.web.models import ApiAnswer
from service.wiring import Wiring

_ID = re.compile(r"\d{1,19}-\d{1,19}", re.ASCII)


class EventsQuery(PageQuery):
    """Filters and page of an event listing."""

    action: str = Field(
        default="", max_length=40, description="only events of this kind, such as push; empty: all kinds"
    )
    tag: str = Field(default="", max_length=128, description="only events of this tag; empty: all tags")


class RecordedEvent(ApiAnswer):
    """A recorded event of a tag or a manifest."""

    id: str = Field(description="id of the event: its arrival in ms since the epoch, a dash, and a number")
    at_us: int = Field(description="time of the event, µs since the epoch")
    action: str = Field(
        description="push, delete, adopted, vanished, pruned, still listed, rescued, healed, lost, restored or dated: "
        "see docs/redis-schema.md"
    )
    repository: str = Field(description="name of the repository")
    tag: str = Field(description="the tag; empty: the event is about a manifest without a tag")
    digest: str = Field(description="digest of the manifest; empty: not reported by the registry")
    media_type: str = Field(description="media type of the manifest, for pushes and imports; empty: not recorded")
    size_bytes: int = Field(description="of the image in bytes, as far as the registry reported it")
    actor: str = Field(description="the user; empty: unknown")
    useragent: str = Field(description="the client; empty: unknown")
    address: str = Field(description="the network address; empty: unknown")
    reason: str = Field(description="the reason, in words; empty: no reason, such as for a push by a user")
    rule: str = Field(description="the rule of the policy that decided; empty: none")

    @classmethod
    def of(cls, entry: Entry) -> "RecordedEvent":
        return cls(**{name: getattr(entry, name) for name in cls.model_fields})


class RecordedEvents(Paged):
    """A page of events, newest first."""

    events: tuple[RecordedEvent, ...]


def blueprints(wiring: Wiring, *, documented: bool) -> tuple[APIBlueprint, ...]:
    pages = api_blueprint("events", wiring, documented)

    @pages.get("/events", responses={HTTPStatus.OK: RecordedEvents})
    def events(query: EventsQuery) -> Response:
        """List the events of all repositories, newest first"""
        return _page(wiring, None, query).response()

    @pages.get(
        "/repositories/<path:repository>/events",
        responses={HTTPStatus.OK: RecordedEvents, **error_responses([UNKNOWN])},
    )
    def repository_events(path: RepositoryPath, query: EventsQuery) -> Response:
        """List the events of a repository, newest first"""
        return _page(wiring, wiring.inventory.known(path.repository), query).response()

    return (pages,)


def _page(wiring: Wiring, repository: str | None, query: EventsQuery) -> RecordedEvents:
    def wanted(entry: Entry) -> bool:
        return query.action in ("", entry.action) and query.tag in ("", entry.tag)

    before = id_of(query.cursor, lambda text: _ID.fullmatch(text) is not None)
    page = wiring.inventory.entries(repository, wanted, before, query.limit)
    return RecordedEvents(next=page.before, events=tuple(RecordedEvent.of(entry) for entry in page.entries))
