"""The tags of a repository, each with its verdict; and where a tag stood, from when to when."""

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
from service.reports.inventory import Listed, TagOrder
from service.web.api.door import door, refusals
from service.web.api.paging import Paged, SearchQuery, cursor_of, place_of
from service.web.api.repository import REGISTRY, UNKNOWN, RepositoryPath, TagPath
from service.web.models import Answer
from service.web.problems import Faulty
from service.wiring import Wiring

_MOST_LOOKED_INTO = 100
_NO_REGISTRY = (HTTPStatus.CONFLICT, "platforms were asked for, and no registry is configured")

Verdict = Literal["kept", "going", "waiting"]


class TagsQuery(SearchQuery):
    """Which tags, in which order."""

    sort: TagOrder = Field(default="-pushed", description="by what; - turns it round")
    platforms: bool = Field(
        default=False,
        description=f"ask the registry which platforms each is for; with a limit of {_MOST_LOOKED_INTO} at most",
    )


class ListedTag(Answer):
    """A tag, and what becomes of it."""

    name: str = Field(description="the tag")
    digest: str = Field(description="of the manifest it points at")
    size_bytes: int = Field(description="of the image in bytes, as far as the registry told; 0: it did not")
    platforms: tuple[str, ...] | None = Field(
        description="such as linux/arm64; empty: its manifest does not say; null: that was not asked for"
    )
    pushed_us: int | None = Field(description="its last push, µs since the epoch; null: nobody saw it")
    pulled_us: int | None = Field(description="its last pull, µs since the epoch; null: none was seen")
    actor: str = Field(description="who pushed it; empty: unknown")
    verdict: Verdict = Field(description="kept; going: to be deleted; waiting: going once its plan is approved")
    reason: str = Field(description="why, in words")
    rule: str | None = Field(description="the rule that decided; null: none did")
    until_us: int | None = Field(
        description="when time alone may turn a kept one round, µs since the epoch; null: it cannot"
    )
    held: str | None = Field(description="why the plan that would delete it waits for approval; null: none waits")

    @classmethod
    def of(cls, one: Listed, platforms: Mapping[str, tuple[str, ...]] | None) -> "ListedTag":
        tag = one.verdict.tag
        return cls(
            name=tag.name,
            digest=tag.digest,
            size_bytes=tag.size_bytes,
            platforms=None if platforms is None else platforms[tag.digest],
            pushed_us=tag.pushed_us,
            pulled_us=tag.pulled_us,
            actor=tag.actor,
            verdict="kept" if one.verdict.kept else "waiting" if one.held else "going",
            reason=one.verdict.reason,
            rule=one.verdict.rule,
            until_us=one.verdict.until_us,
            held=one.held,
        )


class Tags(Paged):
    """A page of the tags of a repository."""

    repository: str = Field(description="its name")
    dry_run: bool = Field(description="whether the policy only shows what would go: nothing is deleted")
    total: int = Field(description="how many are meant, on all pages")
    tags: tuple[ListedTag, ...]


class Standing(Answer):
    """A tag at one digest, from when to when."""

    digest: str = Field(description="of the manifest")
    media_type: str = Field(description="of the manifest; empty: nobody noted it")
    size_bytes: int = Field(description="of the image in bytes, as far as the registry told; 0: it did not")
    from_us: int | None = Field(description="since when, µs since the epoch; null: from before the record begins")
    to_us: int | None = Field(description="until when, µs since the epoch; null: it stands there, or nobody knows")
    how: Literal["push", "adopted", "restored", "healed", ""] = Field(
        description="what brought it there; adopted: it was found there; empty: that is not recorded"
    )
    by: str = Field(description="whose push it was; empty: unknown")
    useragent: str = Field(description="with which client; empty: unknown")
    pushed_us: int | None = Field(description="its last push while it stood there, µs since the epoch")
    pushes: int = Field(description="how many pushes of it were heard")
    ended: str = Field(description="why it stands there no longer, in words; empty: it does")
    ended_by: str = Field(description="who ended that; empty: unknown, or nobody")
    rule: str = Field(description="the rule of the policy that ended it; empty: none did")
    deleted: bool = Field(description="whether the tag went then, and did not only move on")


class TagHistory(Answer):
    """Where a tag stood, the latest first."""

    repository: str = Field(description="its name")
    tag: str = Field(description="the tag")
    history: tuple[Standing, ...]


def blueprints(wiring: Wiring, *, documented: bool) -> tuple[APIBlueprint, ...]:
    pages = door("tags", wiring, documented)

    @pages.get(
        "/repositories/<path:repository>/tags",
        responses={HTTPStatus.OK: Tags, **refusals([UNKNOWN, REGISTRY, _NO_REGISTRY])},
    )
    def tags(path: RepositoryPath, query: TagsQuery) -> Response:
        """The tags of a repository with their verdicts by the policy in force"""
        if query.platforms and query.limit > _MOST_LOOKED_INTO:
            raise Faulty([f"limit: at most {_MOST_LOOKED_INTO} with platforms, as each costs the registry requests"])
        repository = wiring.inventory.known(path.repository)
        after = place_of(query.cursor, query.sort, str if query.sort.endswith("name") else int)
        page = wiring.inventory.tags(repository, query.finding(), query.sort, after, query.limit)
        platforms = _platforms(wiring, repository, page) if query.platforms else None
        return Tags(
            next=cursor_of(page, query.sort),
            repository=repository,
            dry_run=wiring.outlook.is_dry(),
            total=page.total,
            tags=tuple(ListedTag.of(one, platforms) for one in page.rows),
        ).response()

    @pages.get(
        "/repositories/<path:repository>/tags/<tag>/history",
        responses={HTTPStatus.OK: TagHistory, **refusals([UNKNOWN])},
    )
    def tag_history(path: TagPath) -> Response:
        """At which digests a tag stood, from when to when, by whom, and why it left; also of one that is gone"""
        found = wiring.inventory.intervals(wiring.inventory.known(path.repository), path.tag)
        history = tuple(Standing.model_validate(asdict(one)) for one in found)
        return TagHistory(repository=path.repository, tag=path.tag, history=history).response()

    return (pages,)


def _platforms(wiring: Wiring, repository: str, page: Page[Listed]) -> Mapping[str, tuple[str, ...]]:
    try:
        return wiring.platforms.of(repository, (one.verdict.tag.digest for one in page.rows))
    except ConfigurationError as error:
        raise Conflict(str(error)) from error
