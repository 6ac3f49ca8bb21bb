"""Additions to the OpenAPI document: conditional answers, and the routes outside the API."""

from collections.abc import Iterable
from http import HTTPStatus
from typing import Any

from service.web.api.api_blueprint import error_responses

_HEADER = {"schema": {"type": "string"}}
_UNCHANGED = {"description": "it is what If-None-Match names", "headers": {"ETag": _HEADER}}
_AWAY = (HTTPStatus.SERVICE_UNAVAILABLE, "Redis is not available: try again later")
_STRANGER = (HTTPStatus.UNAUTHORIZED, "the token is missing or wrong")
_TOO_LITTLE = (HTTPStatus.FORBIDDEN, "the token lacks the right to do this")
_BODY = (
    (HTTPStatus.BAD_REQUEST, "the body is not JSON"),
    (HTTPStatus.REQUEST_ENTITY_TOO_LARGE, "the body is larger than 4 MiB"),
)
_ENVELOPES = tuple(f"application/vnd.docker.distribution.events.{version}+json" for version in ("v1", "v2"))


def described(document: dict[str, Any]) -> dict[str, Any]:
    """Add the answers that every query of the API can give, and the routes outside the API."""
    for path, operations in document["paths"].items():
        for operation in operations.values():
            if "requestBody" in operation:
                operation["responses"] = _refused(_BODY) | operation["responses"]
        look = operations.get("get")
        if look and path.startswith("/api/"):
            look["responses"]["200"]["headers"] = {"ETag": _HEADER}
            look["responses"]["304"] = _UNCHANGED
    document["paths"] |= _others()
    return document


def _others() -> dict[str, Any]:
    take = _route("Takes the registry's notifications", "recorded", tag="registry", token=True, refused=(
        (HTTPStatus.BAD_REQUEST, "it is no envelope"), _STRANGER,
        (HTTPStatus.REQUEST_ENTITY_TOO_LARGE, "it is too large"), _AWAY,
    ))  # fmt: skip
    take["responses"]["202"] = {"description": "recorded, but for what could not be understood"}
    take["requestBody"] = {"required": True, "content": {kind: {"schema": {"type": "object"}} for kind in _ENVELOPES}}
    live = _route("This process answers", "it does")
    ready = _route("Events can be recorded, and everything that is wrong", "they can; status says ready or degraded")
    ready["responses"]["503"] = {"description": "no event can be recorded: Redis is away or refuses writes"}
    figures = _route("Figures for Prometheus", "the figures", token=True, refused=(_STRANGER, _TOO_LITTLE, _AWAY))
    this, page = _route("This document", "the document"), _route("This document for people", "a page")
    looks = {
        "/livez": live, "/readyz": ready, "/metrics": figures, "/openapi.json": this, "/docs": page,
    }  # fmt: skip
    return {"/notifications": {"post": take}} | {path: {"get": route} for path, route in looks.items()}


def _route(
    summary: str,
    done: str,
    *,
    tag: str = "service",
    token: bool = False,
    refused: Iterable[tuple[HTTPStatus, str]] = (),
) -> dict[str, Any]:
    """Return one operation of the document.

    Args:
        summary: the purpose of the operation.
        done: the meaning of a 200.
        tag: the group of the operation.
        token: True if the operation needs a token.
        refused: the statuses of error_responses, each with its meaning.
    """
    return {
        "tags": [tag],
        "summary": summary,
        "security": [{"token": []}] if token else [],
        "responses": {"200": {"description": done}} | _refused(refused),
    }


def _refused(meanings: Iterable[tuple[HTTPStatus, str]]) -> dict[str, Any]:
    return {str(int(status)): answer for status, answer in error_responses(meanings).items()}
