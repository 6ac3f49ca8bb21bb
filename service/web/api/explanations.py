"""Explanations: the reason why each tag is kept or deleted."""

from collections.abc import Callable
from http import HTTPStatus

from flask import Response
from pydantic import Field

from service.answers.base import ApiAnswer
from service.answers.verdicts import ExplainedTag
from service.domain.errors import NoSuchTag
from service.domain.retention.explanation import Explanation
from service.domain.timestamps import rfc3339
from service.reports.inventory import Inventory
from service.reports.missing_tag import describe_missing_tag
from service.reports.verdicts import Verdicts
from service.restore.restore import Restore
from service.settings import Settings
from service.web.api.api_blueprint import Api, error_responses
from service.web.api.repository import UNKNOWN, RepositoryPath, known
from service.web.models import ApiRequest, respond


class TagQuery(ApiRequest):
    """The tags to explain."""

    tag: tuple[str, ...] = Field(
        default=(), description="a tag; may be given several times; absent: all tags", examples=[["v7"]]
    )


class Explanations(ApiAnswer):
    """The explained tags of a repository, newest push first."""

    repository: str = Field(description="name of the repository")
    dry_run: bool = Field(description="true if the policy is a dry run: nothing is deleted")
    tags: tuple[ExplainedTag, ...] = Field(description="the tags")


def add(api: Api, verdicts: Verdicts, inventory: Inventory, restore: Restore, settings: Settings) -> None:
    pages = api.resource("explanations")
    entries = settings.history.repository_entries

    def missing(repository: str, tag: str) -> NoSuchTag:
        deleted = restore.deleted(repository)
        sentence = describe_missing_tag(inventory, deleted, repository, tag, entries, rfc3339)
        return NoSuchTag(sentence or f"there is no tag {tag!r} in {repository!r}")

    @pages.get(
        "/repositories/<path:repository>/explain",
        responses={HTTPStatus.OK: Explanations, **error_responses([UNKNOWN])},
    )
    def explain(path: RepositoryPath, query: TagQuery) -> Response:
        """Explain why each tag is kept or deleted by the current policy"""
        explained = _explained(verdicts, inventory, path.repository, query.tag, missing)
        tags = tuple(ExplainedTag.explained(path.repository, explanation) for explanation in explained)
        return respond(Explanations(repository=path.repository, dry_run=verdicts.is_dry(), tags=tags))


def _explained(
    verdicts: Verdicts,
    inventory: Inventory,
    repository: str,
    names: tuple[str, ...],
    missing: Callable[[str, str], NoSuchTag],
) -> tuple[Explanation, ...]:
    """Return the explanations of the named tags, or of all tags if `names` is empty.

    Raises:
        NoSuchRepository: nothing is known about the repository.
        NoSuchTag: a named tag does not exist.
    """
    explained = verdicts.explain(repository, names or None)
    existing = {explanation.verdict.tag.name for explanation in explained}
    if not existing:
        known(inventory, [repository])
    for name in names:
        if name not in existing:
            raise missing(repository, name)
    return explained
