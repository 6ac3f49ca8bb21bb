"""The tags of a repository with their verdicts, and the history of a tag."""

from collections.abc import Mapping
from dataclasses import asdict
from http import HTTPStatus
from typing import Literal

from flask import Response
from flask_openapi.blueprint import APIBlueprint
from pydantic import Field
from werkzeug.exceptions import Conflict

from service.domain.errors import ConfigurationError
from service.domain.page import Page
from service.reports.inventory import TagOrder, TagVerdict
from service.web.api.api_blueprint import api_blueprint, error_responses
from service.web.api.paging import Paged, SearchQuery, cursor_of, place_of
from service.web.api.repository import REGISTRY, UNKNOWN, RepositoryPath, TagPath
from service.web.models import ApiAnswer
from service.web.problems import InvalidRequest
from service.wiring import Wiring

_MOST_LOOKED_INTO = 100
_NO_REGISTRY = (HTTPStatus.CONFLICT, "platforms were requested, but no registry is configured")

Verdict = Literal["kept", "going", "waiting"]


class TagsQuery(SearchQuery):
    """Search, order and page of a tag listing."""

    sort: TagOrder = Field(default="-pushed", description="sort field; prefix with - for descending order")
    platforms: bool = Field(
        default=False,
        description=f"also list the platforms of each image; slower, and the limit must not exceed {_MOST_LOOKED_INTO}",
    )


class ListedTag(ApiAnswer):
    """A tag and its retention status."""

    name: str = Field(description="the tag")
    digest: str = Field(description="digest of the manifest that the tag points at")
    size_bytes: int = Field(
        description="size of the image in bytes, as far as the registry reported it; 0: not reported"
    )
    platforms: tuple[str, ...] | None = Field(
        description="such as linux/arm64; empty: not in the manifest; null: not requested"
    )
    pushed_us: int | None = Field(description="last push, µs since the epoch; null: unknown")
    pulled_us: int | None = Field(description="last pull, µs since the epoch; null: no pull was recorded")
    actor: str = Field(description="the user who pushed the tag; empty: unknown")
    verdict: Verdict = Field(description="kept; going: to be deleted; waiting: to be deleted once its plan is approved")
    reason: str = Field(description="the reason, in words")
    rule: str | None = Field(description="the rule that decided; null: none")
    until_us: int | None = Field(
        description="when a kept tag may expire by time alone, µs since the epoch; null: it does not expire by time"
    )
    held: str | None = Field(description="why the plan that deletes the tag waits for approval; null: no plan waits")

    @classmethod
    def of(cls, listed: TagVerdict, platforms: Mapping[str, tuple[str, ...]] | None) -> "ListedTag":
        tag = listed.verdict.tag
        return cls(
            name=tag.name,
            digest=tag.digest,
            size_bytes=tag.size_bytes,
            platforms=None if platforms is None else platforms[tag.digest],
            pushed_us=tag.pushed_us,
            pulled_us=tag.pulled_us,
            actor=tag.actor,
            verdict="kept" if listed.verdict.kept else "waiting" if listed.held else "going",
            reason=listed.verdict.reason,
            rule=listed.verdict.rule,
            until_us=listed.verdict.until_us,
            held=listed.held,
        )


class Tags(Paged):
    """A page of the tags of a repository."""

    repository: str = Field(description="name of the repository")
    dry_run: bool = Field(description="true if the policy is a dry run: nothing is deleted")
    total: int = Field(description="total number of matches on all pages")
    tags: tuple[ListedTag, ...]


class TagInterval(ApiAnswer):
    """A period during which a tag pointed at one digest."""

    digest: str = Field(description="digest of the manifest")
    media_type: str = Field(description="media type of the manifest; empty: not recorded")
    size_bytes: int = Field(
        description="size of the image in bytes, as far as the registry reported it; 0: not reported"
    )
    from_us: int | None = Field(description="start, µs since the epoch; null: before the recorded history begins")
    to_us: int | None = Field(
        description="end, µs since the epoch; null: the tag still points there, or the end is unknown"
    )
    how: Literal["push", "adopted", "restored", "healed", ""] = Field(
        description="how the period began; adopted: imported from the registry; empty: not recorded"
    )
    by: str = Field(description="the user who pushed; empty: unknown")
    useragent: str = Field(description="the client that pushed; empty: unknown")
    pushed_us: int | None = Field(description="last push in this period, µs since the epoch")
    pushes: int = Field(description="number of recorded pushes in this period")
    ended: str = Field(description="why the period ended, in words; empty: the tag still points there")
    ended_by: str = Field(description="the user who ended the period; empty: unknown, or no user")
    rule: str = Field(description="the rule of the policy that ended the period; empty: none")
    deleted: bool = Field(description="true if the tag was deleted then; false if it only moved to another digest")


class TagHistory(ApiAnswer):
    """The history of a tag, latest period first."""

    repository: str = Field(description="name of the repository")
    tag: str = Field(description="the tag")
    history: tuple[TagInterval, ...]


def blueprints(wiring: Wiring, *, documented: bool) -> tuple[APIBlueprint, ...]:
    pages = api_blueprint("tags", wiring, documented)

    @pages.get(
        "/repositories/<path:repository>/tags",
        responses={HTTPStatus.OK: Tags, **error_responses([UNKNOWN, REGISTRY, _NO_REGISTRY])},
    )
    def tags(path: RepositoryPath, query: TagsQuery) -> Response:
        """List the tags of a repository with their verdicts by the current policy"""
        if query.platforms and query.limit > _MOST_LOOKED_INTO:
            raise InvalidRequest(
                [f"limit: at most {_MOST_LOOKED_INTO} with platforms, because each tag needs requests to the registry"]
            )
        repository = wiring.inventory.known(path.repository)
        after = place_of(query.cursor, query.sort, str if query.sort.endswith("name") else int)
        page = wiring.inventory.tags(repository, query.finding(), query.sort, after, query.limit)
        platforms = _platforms(wiring, repository, page) if query.platforms else None
        return Tags(
            next=cursor_of(page, query.sort),
            repository=repository,
            dry_run=wiring.verdicts.is_dry(),
            total=page.total,
            tags=tuple(ListedTag.of(listed, platforms) for listed in page.rows),
        ).response()

    @pages.get(
        "/repositories/<path:repository>/tags/<tag>/history",
        responses={HTTPStatus.OK: TagHistory, **error_responses([UNKNOWN])},
    )
    def tag_history(path: TagPath) -> Response:
        """Return the history of a tag, also of a deleted tag"""
        intervals = wiring.inventory.intervals(wiring.inventory.known(path.repository), path.tag)
        history = tuple(TagInterval.model_validate(asdict(interval)) for interval in intervals)
        return TagHistory(repository=path.repository, tag=path.tag, history=history).response()

    return (pages,)


def _platforms(wiring: Wiring, repository: str, page: Page[TagVerdict]) -> Mapping[str, tuple[str, ...]]:
    try:
        return wiring.platforms.of(repository, (listed.verdict.tag.digest for listed in page.rows))
    except ConfigurationError as error:
        raise Conflict(str(error)) from error
