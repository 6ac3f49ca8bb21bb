"""Errors as RFC 9457 `application/problem+json`: one sentence that says what to do, never a traceback."""

from http import HTTPStatus

from flask import Flask, Response, json
from werkzeug.exceptions import HTTPException, RequestEntityTooLarge

from service.domain.errors import MalformedNotification, StoreUnavailable, TooManyEvents
from service.log import log


def problem(status: HTTPStatus, detail: str, **headers: str) -> Response:
    """A problem document. headers: extra response headers, `_` for `-` in their names."""
    body = {"type": "about:blank", "title": status.phrase, "status": status.value, "detail": detail}
    response = Response(json.dumps(body), status.value, mimetype="application/problem+json")
    for name, value in headers.items():
        response.headers[name.replace("_", "-")] = value
    return response


def register(app: Flask) -> None:
    """Translates every error at the edge, once."""
    app.register_error_handler(MalformedNotification, _malformed)
    app.register_error_handler(StoreUnavailable, _unavailable)
    app.register_error_handler(RequestEntityTooLarge, _too_large)
    app.register_error_handler(HTTPException, _http)
    app.register_error_handler(Exception, _unexpected)


def _malformed(error: MalformedNotification) -> Response:
    flood = isinstance(error, TooManyEvents)
    return problem(HTTPStatus.REQUEST_ENTITY_TOO_LARGE if flood else HTTPStatus.BAD_REQUEST, str(error))


def _unavailable(error: StoreUnavailable) -> Response:
    return problem(HTTPStatus.SERVICE_UNAVAILABLE, str(error), Retry_After="1")


def _too_large(error: RequestEntityTooLarge) -> Response:
    return problem(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, "a notification of more than 4 MiB is not accepted")


def _http(error: HTTPException) -> Response:
    response = problem(HTTPStatus(error.code or 500), error.description or error.name)
    if allowed := getattr(error, "valid_methods", None):
        response.headers["Allow"] = ", ".join(sorted(allowed))
    return response


def _unexpected(error: Exception) -> Response:
    log.error("a request failed", error=repr(error), exc_info=error)
    return problem(HTTPStatus.INTERNAL_SERVER_ERROR, "this is a fault in pushprune; its log says more")
