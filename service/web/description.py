"""Additions to the OpenAPI document: conditional answers, and the routes outside the API."""

from collections.abc import Iterable
from http import HTTPStatus
from typing import Any

from service.web.api.api_blueprint import ALWAYS, error_responses

_PREVIEW = "/api/v1/preview"
_HEADER = {"schema": {"type": "string"}}
_UNCHANGED = {"description": "not modified: the client has this version already", "headers": {"ETag": _HEADER}}
_AWAY, _STRANGER, _TOO_LITTLE = (
    (status, ALWAYS[status])
    for status in (HTTPStatus.SERVICE_UNAVAILABLE, HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN)
)
_BODY = (
    (HTTPStatus.BAD_REQUEST, "the body is not JSON"),
    (HTTPStatus.REQUEST_ENTITY_TOO_LARGE, "the body is larger than 4 MiB"),
)
_ENVELOPES = tuple(f"application/vnd.docker.distribution.events.{version}+json" for version in ("v1", "v2"))


def described(document: dict[str, Any]) -> dict[str, Any]:
    """Add the answers that every query of the API can give, the token of each, and the routes outside the API."""
    # Relative to the address of the document, so that it is right behind a proxy as well.
    document["servers"] = [{"url": "./"}]
    for path, operations in document["paths"].items():
        for method, operation in operations.items():
            operation["x-right"] = "read" if method == "get" or path == _PREVIEW else "admin"
            if "requestBody" in operation:
                operation["responses"] = _refused(_BODY) | operation["responses"]
        look = operations.get("get")
        if look and path.startswith("/api/"):
            look["responses"]["200"]["headers"] = {"ETag": _HEADER}
            look["responses"]["304"] = _UNCHANGED
    document["paths"] |= _others()
    return document


def _others() -> dict[str, Any]:
    take = _route("Receive the registry's notifications", "recorded", tag="registry", right="notify", refused=(
        (HTTPStatus.BAD_REQUEST, "the body is not an envelope of notifications"), _STRANGER,
        (HTTPStatus.REQUEST_ENTITY_TOO_LARGE, "the body is too large"), _AWAY,
    ))  # fmt: skip
    take["responses"]["202"] = {"description": "recorded, except events that could not be understood"}
    take["requestBody"] = {"required": True, "content": {kind: {"schema": {}} for kind in _ENVELOPES}}
    live = _route("Check that this process answers", "it answers")
    ready = _route(
        "Check that events can be recorded, and list all problems", "they can; `status` says ready or degraded"
    )
    ready["responses"]["503"] = {"description": "no event can be recorded: Redis is not available or refuses writes"}
    figures = _route(
        "Return the metrics for Prometheus", "the metrics", right="read", refused=(_STRANGER, _TOO_LITTLE, _AWAY)
    )
    this, page = _route("Return this document", "the document"), _route("Return this document for people", "a page")
    looks = {
        "/livez": live, "/readyz": ready, "/metrics": figures, "/openapi.json": this, "/docs": page,
    }  # fmt: skip
    return {"/notifications": {"post": take}} | {path: {"get": route} for path, route in looks.items()}


def _route(
    summary: str,
    done: str,
    *,
    tag: str = "service",
    right: str = "",
    refused: Iterable[tuple[HTTPStatus, str]] = (),
) -> dict[str, Any]:
    """Return one operation of the document.

    Args:
        done: the meaning of a 200.
        right: the token that the operation needs; "" for none.
        refused: the statuses of error_responses, each with its meaning.
    """
    return {
        "tags": [tag],
        "summary": summary,
        "security": [{"token": []}] if right else [],
        "x-right": right,
        "responses": {"200": {"description": done}} | _refused(refused),
    }


def _refused(meanings: Iterable[tuple[HTTPStatus, str]]) -> dict[str, Any]:
    return {str(int(status)): answer for status, answer in error_responses(meanings).items()}
