"""The door of the API: behind the same prefix, every resource asks for a token and refuses in the same words."""

from collections.abc import Iterable
from http import HTTPStatus
from typing import Any

from flask import Response, request
from flask_openapi.blueprint import APIBlueprint

from service.web.access import Right, refusal
from service.web.models import Problem
from service.web.problems import problem
from service.wiring import Wiring

_ALWAYS = {
    HTTPStatus.UNAUTHORIZED: "the token is missing or wrong",
    HTTPStatus.FORBIDDEN: "the token may not do this",
    HTTPStatus.UNPROCESSABLE_ENTITY: "the request is not what is described here",
    HTTPStatus.SERVICE_UNAVAILABLE: "Redis is away: try again later",
}
_MANY = {HTTPStatus.TOO_MANY_REQUESTS: "more changes than api.changes_per_minute: Retry-After says when to come back"}

_LOOKS = ("GET", "HEAD", "OPTIONS")


def door(name: str, wiring: Wiring, documented: bool, right: Right = "read", post: Right | None = None) -> APIBlueprint:
    """An empty blueprint under /api/v1 whose token is looked at before anything else of a request.

    name: of the resource, unlike any other; the part before a dash is the heading it stands under in the document.
    documented: whether it is to stand in the document, which takes longer to write than all else takes to build.
    post: what changes by POST and DELETE need, where that differs: two blueprints of one path would hide each other in
    the document.
    """
    pages = APIBlueprint(
        name,
        __name__,
        url_prefix="/api/v1",
        abp_tags=[{"name": name.partition("-")[0]}],
        abp_security=[{"token": []}],
        abp_responses=refusals((_ALWAYS | (_MANY if "admin" in (right, post) else {})).items()),
        doc_ui=documented,
        operation_id_callback=_operation_id,
    )

    def let_in() -> Response | None:
        needed = post if post and request.method not in _LOOKS else right
        return refusal(wiring.settings, needed) or (_too_many(wiring) if _changes(needed) else None)

    pages.before_request(let_in)
    pages.after_request(_unless_known)
    return pages


def refusals(meanings: Iterable[tuple[HTTPStatus, str]]) -> dict[str | int | HTTPStatus, Any]:
    """These refusals as OpenAPI describes them. meanings: each status with what it means."""
    schema = {"schema": {"$ref": f"#/components/schemas/{Problem.__name__}"}}
    content = {"application/problem+json": schema}
    return {status: {"description": meaning, "content": content} for status, meaning in meanings}


def _changes(needed: Right) -> bool:
    return needed == "admin" and request.method not in _LOOKS


def _too_many(wiring: Wiring) -> Response | None:
    """The answer to one change too many. One that is not counted was not made."""
    wait_s = wiring.changes.wait_s()
    if not wait_s:
        return None
    most = wiring.settings.api.changes_per_minute
    said = f"more than {most} changes in a minute (api.changes_per_minute): come back in {wait_s} s"
    return problem(HTTPStatus.TOO_MANY_REQUESTS, said, Retry_After=str(wait_s))


def _unless_known(response: Response) -> Response:
    """What is looked at bears an ETag, and is not sent to whoever has it already (RFC 9110, 13.1.2)."""
    if request.method in ("GET", "HEAD") and response.status_code == HTTPStatus.OK:
        response.add_etag()
        response.cache_control.private = response.cache_control.no_cache = True
        response.make_conditional(request)
    return response


def _operation_id(*, name: str, path: str, method: str) -> str:
    """The name of the function behind it."""
    return name
