"""The common part of all API resources: prefix, token check, rate limit, ETags and error responses."""

from collections.abc import Iterable
from http import HTTPStatus
from typing import Any

from flask import Response, request
from flask_openapi.blueprint import APIBlueprint

from service.settings import Settings
from service.store import Store
from service.web.access import Right, refusal
from service.web.models import Problem
from service.web.problems import problem

ALWAYS = {
    HTTPStatus.UNAUTHORIZED: "the token is missing or wrong",
    HTTPStatus.FORBIDDEN: "the token lacks the right to do this",
    HTTPStatus.TOO_MANY_REQUESTS: "too many wrong tokens came from this address: try again after Retry-After",
    HTTPStatus.UNPROCESSABLE_ENTITY: "the request does not match this description",
    HTTPStatus.SERVICE_UNAVAILABLE: "Redis is not available: try again later",
}
_MANY = {
    HTTPStatus.TOO_MANY_REQUESTS: "more changes than api.changes_per_minute, or too many wrong tokens: see Retry-After"
}

_SAFE_METHODS = ("GET", "HEAD", "OPTIONS")


class Api:
    """The resources of the API, which each file of this folder adds.

    Attributes:
        resources: the blueprints, in the order in which they were added.
    """

    def __init__(self, store: Store, settings: Settings, *, documented: bool) -> None:
        """Begin without a resource.

        documented: describe the resources in the OpenAPI document. That takes longer than building everything else.
        """
        self._store, self._settings, self._documented = store, settings, documented
        self.resources: list[APIBlueprint] = []

    def resource(self, name: str, right: Right = "read", post: Right | None = None) -> APIBlueprint:
        """Add an empty blueprint under /api/v1 that checks the token before it handles a request, and return it.

        Args:
            name: a unique name. The part before a dash is the heading of the resource in the OpenAPI document.
            post: the right that changes (POST, DELETE) need, if it differs. A second blueprint for the changes would
                not do: two blueprints of one path hide each other in the OpenAPI document.
        """
        pages = APIBlueprint(
            name,
            __name__,
            url_prefix="/api/v1",
            abp_tags=[{"name": name.partition("-")[0]}],
            abp_security=[{"token": []}],
            abp_responses=error_responses((ALWAYS | (_MANY if "admin" in (right, post) else {})).items()),
            doc_ui=self._documented,
            operation_id_callback=_operation_id,
        )

        def let_in() -> Response | None:
            is_change = request.method not in _SAFE_METHODS
            needed = post if post and is_change else right
            refused = refusal(self._settings, needed)
            return refused or (_too_many(self._store, self._settings) if needed == "admin" and is_change else None)

        pages.before_request(let_in)
        pages.after_request(_unless_known)
        self.resources.append(pages)
        return pages


def error_responses(meanings: Iterable[tuple[HTTPStatus, str]]) -> dict[str | int | HTTPStatus, Any]:
    """Return OpenAPI responses for these errors, given as pairs of status and meaning."""
    schema = {"schema": {"$ref": f"#/components/schemas/{Problem.__name__}"}}
    content = {"application/problem+json": schema}
    return {status: {"description": meaning, "content": content} for status, meaning in meanings}


def _too_many(store: Store, settings: Settings) -> Response | None:
    """Return the error response if the rate limit of changes is reached, else None. Rejected changes do not count."""
    wait_s = store.change_limit.wait_s()
    if not wait_s:
        return None
    most = settings.api.changes_per_minute
    message = f"more than {most} changes in a minute (api.changes_per_minute): try again in {wait_s} s"
    return problem(HTTPStatus.TOO_MANY_REQUESTS, message, Retry_After=str(wait_s))


def _unless_known(response: Response) -> Response:
    """Add an ETag to successful reads, and answer 304 if the client already has this version (RFC 9110, 13.1.2)."""
    if request.method in ("GET", "HEAD") and response.status_code == HTTPStatus.OK:
        response.add_etag()
        response.cache_control.private = response.cache_control.no_cache = True
        response.make_conditional(request)
    return response


def _operation_id(*, name: str, path: str, method: str) -> str:
    return name
