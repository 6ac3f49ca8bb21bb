"""Previews: the images that the current policy, or another policy, would delete now. They change nothing."""

from collections.abc import Iterable, Iterator
from http import HTTPStatus
from typing import Any

from flask import Response
from pydantic import Field, ValidationError
from pydantic_core import to_json

from service.answers.verdicts import Previews
from service.domain.policy.model import Policy
from service.domain.retention.preview import Preview
from service.reports.inventory import Inventory
from service.reports.verdicts import Verdicts
from service.settings import policy_faults
from service.web import trials
from service.web.api.api_blueprint import Api, error_responses
from service.web.api.repository import UNKNOWN, known
from service.web.models import ApiRequest, respond
from service.web.problems import InvalidRequest


class RepositoryQuery(ApiRequest):
    """The repositories to preview."""

    repository: tuple[str, ...] = Field(default=(), description="a repository; may be given several times; absent: all")


class PolicyPreviewRequest(ApiRequest):
    """A policy to preview, and the repositories."""

    policy: dict[str, Any] = Field(
        description="a whole policy, as GET /api/v1/policy/schema describes it",
        examples=[{"rules": [{"keep": {"last": 10}}]}],
    )
    repositories: tuple[str, ...] | None = Field(
        default=None, description="names of the repositories; absent: all", examples=[["shop/api"]]
    )


def add(api: Api, verdicts: Verdicts, inventory: Inventory) -> None:
    pages = api.resource("previews")
    answers = {HTTPStatus.OK: Previews, **error_responses([UNKNOWN])}

    @pages.get("/preview", responses=answers)
    def preview(query: RepositoryQuery) -> Response:
        """Preview what the current policy would delete now"""
        names = known(inventory, query.repository) or inventory.names()
        with trials.turn():
            return _previews(_previewed(verdicts, names), verdicts.is_dry())

    @pages.post("/preview", responses=answers)
    def preview_by_policy(body: PolicyPreviewRequest) -> Response:
        """Preview what another policy would delete now; this changes nothing"""
        trials.check_size(len(to_json(body.policy)))
        trials.check_patterns(body.policy)
        names = inventory.names() if body.repositories is None else known(inventory, body.repositories)
        with trials.turn():
            policy = _policy(body.policy)
            return _previews(_previewed(verdicts, names, policy), policy.dry_run)


def _policy(values: dict[str, Any]) -> Policy:
    """Return the policy in these values. Raises InvalidRequest if the policy is invalid."""
    try:
        return Policy.model_validate(values)
    except ValidationError as error:
        raise InvalidRequest.of(error, lambda _: policy_faults(values)) from error


def _previewed(verdicts: Verdicts, names: Iterable[str], policy: Policy | None = None) -> Iterator[Preview]:
    for name in trials.in_time(names):
        yield from verdicts.preview([name], policy)


def _previews(previews: Iterable[Preview], dry_run: bool) -> Response:
    return respond(Previews.of(previews, dry_run=dry_run))
