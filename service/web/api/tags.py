"""The tags of a repository with their verdicts, and the history of a tag."""

from http import HTTPStatus

from flask import Response
from pydantic import Field

from service.answers.history import TagHistory, TagInterval
from service.answers.verdicts import VerdictAnswer
from service.reports.tag_listing import TagOrder, TagStatus
from service.web.api.api_blueprint import Api, error_responses
from service.web.api.paging import Paged, SearchQuery, cursor_of, place_of
from service.web.api.repository import REGISTRY, UNKNOWN, RepositoryPath, TagPath
from service.web.models import respond
from service.web.problems import InvalidRequest
from service.wiring import Wiring

_MOST_LOOKED_INTO = 100
_NO_REGISTRY = (HTTPStatus.CONFLICT, "platforms were requested, but no registry is configured")


class TagsQuery(SearchQuery):
    """Search, order and page of a tag listing."""

    sort: TagOrder = Field(
        default="-pushed",
        description="sort field; prefix with - for descending order; expires: the next deletion first",
    )
    status: TagStatus | None = Field(
        default=None,
        description="only tags that are kept (keep), to be deleted (delete), to be deleted once a plan is approved "
        "(held), or that have a signature (signed); absent: all",
    )
    platforms: bool = Field(
        default=False,
        description=f"also list the platforms of each image; slower, and the limit must not exceed {_MOST_LOOKED_INTO}",
    )


class Tags(Paged):
    """A page of the tags of a repository."""

    repository: str = Field(description="name of the repository")
    dry_run: bool = Field(description="true if the policy is a dry run: nothing is deleted")
    total: int = Field(description="total number of matches on all pages")
    tags: tuple[VerdictAnswer, ...] = Field(description="the tags with their verdicts")


def add(api: Api, wiring: Wiring) -> None:
    pages = api.resource("tags")

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
        listing = wiring.inventory.listing(repository)
        page = listing.page(query.finding(), query.sort, after, query.limit, status=query.status)
        digests = [row.verdict.tag.digest for row in page.rows] if query.platforms else []
        platforms = wiring.platforms.of(repository, digests)
        rows = (
            VerdictAnswer.of(repository, row.verdict, row.held, platforms=platforms.get(row.verdict.tag.digest))
            for row in page.rows
        )
        answer = Tags(
            next=cursor_of(page, query.sort),
            repository=repository,
            dry_run=wiring.verdicts.is_dry(),
            total=page.total,
            tags=tuple(rows),
        )
        return respond(answer)

    @pages.get(
        "/repositories/<path:repository>/tags/<tag>/history",
        responses={HTTPStatus.OK: TagHistory, **error_responses([UNKNOWN])},
    )
    def tag_history(path: TagPath) -> Response:
        """Return the history of a tag, also of a deleted tag"""
        intervals = wiring.inventory.intervals(wiring.inventory.known(path.repository), path.tag)
        history = tuple(map(TagInterval.model_validate, intervals))
        return respond(TagHistory(repository=path.repository, tag=path.tag, history=history))
