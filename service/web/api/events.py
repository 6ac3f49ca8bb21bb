"""Recorded events of one repository, or of all repositories."""

import re
from http import HTTPStatus

from flask import Response
from pydantic import Field

from service.answers.history import RecordedEvent
from service.domain.history.entry import Entry
from service.domain.oci.names import digest_prefix
from service.reports.inventory import Inventory
from service.web.api.api_blueprint import Api, error_responses
from service.web.api.paging import Paged, PageQuery, id_of
from service.web.api.repository import UNKNOWN, RepositoryPath
from service.web.models import respond
from service.web.problems import InvalidRequest

_ID = re.compile(r"\d{1,19}-\d{1,19}", re.ASCII)


class EventsQuery(PageQuery):
    """Filters and page of an event listing."""

    action: str = Field(
        default="", max_length=40, description="only events of this kind, such as push; empty: all kinds"
    )
    tag: str = Field(default="", max_length=128, description="only events of this tag; empty: all tags")
    digest: str = Field(
        default="",
        max_length=200,
        description="only events of digests that begin so, with or without sha256:, 8 characters at least; empty: all",
    )


class RecordedEvents(Paged):
    """A page of events, newest first."""

    events: tuple[RecordedEvent, ...] = Field(description="the events")
    older_dropped: bool = Field(description="true on the last page if events before it were recorded and dropped since")


def add(api: Api, inventory: Inventory) -> None:
    pages = api.resource("events")

    @pages.get("/events", responses={HTTPStatus.OK: RecordedEvents})
    def events(query: EventsQuery) -> Response:
        """List the events of all repositories, newest first"""
        return respond(_page(inventory, None, query))

    @pages.get(
        "/repositories/<path:repository>/events",
        responses={HTTPStatus.OK: RecordedEvents, **error_responses([UNKNOWN])},
    )
    def repository_events(path: RepositoryPath, query: EventsQuery) -> Response:
        """List the events of a repository, newest first"""
        return respond(_page(inventory, inventory.known(path.repository), query))


def _page(inventory: Inventory, repository: str | None, query: EventsQuery) -> RecordedEvents:
    digest = digest_prefix(query.digest)
    if query.digest and not digest:
        raise InvalidRequest(["digest: write at least its first 8 characters, such as sha256:ab12cd34"])

    def wanted(entry: Entry) -> bool:
        is_named = query.action in ("", entry.action) and query.tag in ("", entry.tag)
        return is_named and entry.digest.startswith(digest)

    before = id_of(query.cursor, lambda text: _ID.fullmatch(text) is not None)
    page = inventory.entries(repository, wanted, before, query.limit)
    events = tuple(map(RecordedEvent.model_validate, page.entries))
    return RecordedEvents(next=page.before, events=events, older_dropped=bool(page.dropped))
