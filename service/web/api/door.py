"""The door of the API: behind the same prefix, every resource asks for a token and refuses in the same words."""

from collections.abc import Iterable
from http import HTTPStatus
from typing import Any

from flask import request
from flask_openapi.blueprint import APIBlueprint

from service.web.access import Right, refusal
from service.web.models import Problem
from service.wiring import Wiring

_ALWAYS = {
    HTTPStatus.UNAUTHORIZED: "the token is missing or wrong",
    HTTPStatus.FORBIDDEN: "the token may not do this",
    HTTPStatus.UNPROCESSABLE_ENTITY: "the request is not what is described here",
    HTTPStatus.SERVICE_UNAVAILABLE: "Redis is away: try again later",
}


def door(name: str, wiring: Wiring, right: Right = "read", post: Right | None = None) -> APIBlueprint:
    """An empty blueprint under /api/v1 whose token is looked at before anything else of a request.

    name: of the resource, unlike any other; the part before a dash is the heading it stands under in the document.
    post: what posting needs, where that differs: two blueprints of one path would hide each other in the document.
    """
    pages = APIBlueprint(
        name,
        __name__,
        url_prefix="/api/v1",
        abp_tags=[{"name": name.partition("-")[0]}],
        abp_security=[{"token": []}],
        abp_responses=refusals(_ALWAYS.items()),
        operation_id_callback=_operation_id,
    )
    pages.before_request(lambda: refusal(wiring.settings, post if post and request.method == "POST" else right))
    return pages


def refusals(meanings: Iterable[tuple[HTTPStatus, str]]) -> dict[str | int | HTTPStatus, Any]:
    """These refusals as OpenAPI describes them. meanings: each status with what it means."""
    schema = {"schema": {"$ref": f"#/components/schemas/{Problem.__name__}"}}
    content = {"application/problem+json": schema}
    return {status: {"description": meaning, "content": content} for status, meaning in meanings}


def _operation_id(*, name: str, path: str, method: str) -> str:
    """The name of the function behind it."""
    return name
