"""Errors as RFC 9457 `application/problem+json`: one sentence that says what to do, never a traceback."""

from collections.abc import Callable, Collection, Sequence
from http import HTTPStatus
from typing import Any

from flask import Flask, Response, json, request
from pydantic import ValidationError
from werkzeug.exceptions import HTTPException, MethodNotAllowed, NotFound, RequestEntityTooLarge

from service.domain.errors import (
    MalformedNotification,
    NoSuchRepository,
    NoSuchTag,
    NotRestorable,
    RegistryRefused,
    RegistryUnavailable,
    StoreUnavailable,
    TooManyEvents,
)
from service.log import log
from service.web.trials import RETRY_S, Busy, TooLarge

MAX_BODY_BYTES = 4 * 1024 * 1024
MOST_FAULTS = 200
TOO_LARGE = "a body of more than 4 MiB is not accepted"


class InvalidRequest(Exception):
    """A request with faults.

    Attributes:
        faults: one sentence for each fault; the sentence names the key.
    """

    def __init__(self, faults: Sequence[str]) -> None:
        super().__init__("; ".join(faults))
        self.faults = tuple(faults)

    @classmethod
    def of(cls, error: ValidationError, sentences: Callable[[ValidationError], Sequence[str]]) -> "InvalidRequest":
        """Return the faults that a validation found.

        Args:
            error: the result of the validation.
            sentences: describes the faults; not called for more than MOST_FAULTS faults.
        """
        count = error.error_count()
        return cls([f"it has {count} faults, too many to name"] if count > MOST_FAULTS else sentences(error))


def problem(status: HTTPStatus, detail: str, faults: Sequence[str] = (), **headers: str) -> Response:
    """Return a problem document.

    Args:
        status: the status of the answer.
        detail: one sentence that says what to do.
        faults: one sentence for each fault of the request, if there are any.
        headers: additional headers, with `_` in their names instead of `-`.
    """
    body = {"type": "about:blank", "title": status.phrase, "status": status.value, "detail": detail}
    more = {"faults": list(faults)} if faults else {}
    response = Response(json.dumps(body | more), status.value, mimetype="application/problem+json")
    for name, value in headers.items():
        response.headers[name.replace("_", "-")] = value
    return response


def register(app: Flask) -> None:
    """Turn every error into a problem document, once, at the edge."""
    for kind, answer in _answers().items():
        app.register_error_handler(kind, answer)
    app.register_error_handler(NotFound, no_such_operation)
    app.register_error_handler(MethodNotAllowed, no_such_operation)


def answer_to(error: Exception) -> Response:
    """Return the problem document of an error outside of a Flask application."""
    answers = _answers()
    return next(answers[kind] for kind in type(error).__mro__ if kind in answers)(error)


def _answers() -> dict[type[Exception], Callable[[Any], Response]]:
    return {
        MalformedNotification: _malformed,
        NoSuchRepository: _unknown,
        NotRestorable: _conflict,
        RegistryRefused: _registry,
        RegistryUnavailable: _registry,
        NoSuchTag: _unknown,
        InvalidRequest: _faulty,
        Busy: _busy,
        TooLarge: _too_large_policy,
        StoreUnavailable: _unavailable,
        RequestEntityTooLarge: _too_large,
        HTTPException: _http,
        Exception: _unexpected,
    }


def _malformed(error: MalformedNotification) -> Response:
    flood = isinstance(error, TooManyEvents)
    return problem(HTTPStatus.REQUEST_ENTITY_TOO_LARGE if flood else HTTPStatus.BAD_REQUEST, str(error))


def _unknown(error: NoSuchRepository | NoSuchTag) -> Response:
    return problem(HTTPStatus.NOT_FOUND, str(error))


def _conflict(error: NotRestorable) -> Response:
    return problem(HTTPStatus.CONFLICT, str(error))


def _registry(error: RegistryRefused | RegistryUnavailable) -> Response:
    return problem(HTTPStatus.BAD_GATEWAY, str(error))


def _faulty(error: InvalidRequest) -> Response:
    first, *others = error.faults
    detail = f"{first} (and {len(others)} more)" if others else first
    return problem(HTTPStatus.UNPROCESSABLE_ENTITY, detail, error.faults)


def _unavailable(error: StoreUnavailable) -> Response:
    return problem(HTTPStatus.SERVICE_UNAVAILABLE, str(error), Retry_After="1")


def _busy(error: Busy) -> Response:
    return problem(HTTPStatus.SERVICE_UNAVAILABLE, str(error), Retry_After=str(RETRY_S))


def _too_large_policy(error: TooLarge) -> Response:
    return problem(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, str(error))


def _too_large(error: RequestEntityTooLarge) -> Response:
    return problem(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, TOO_LARGE)


def _http(error: HTTPException) -> Response:
    return problem(HTTPStatus(error.code or 500), error.description or error.name)


def no_such_operation(error: HTTPException) -> Response:
    """Answer a request for which there is no route, or none with its method."""
    if request.url_rule is not None:
        return _http(error)
    operation = f"{request.method} {request.path}"
    if methods := getattr(error, "valid_methods", None):
        return wrong_method(operation, methods)
    return problem(HTTPStatus.NOT_FOUND, f"{operation} does not exist. GET /docs lists every operation.")


def wrong_method(operation: str, methods: Collection[str]) -> Response:
    """Answer a request with a method that its path does not have. methods: those that it has."""
    named = ", ".join(sorted({*methods} - {"HEAD", "OPTIONS"}))
    detail = f"{operation} does not exist; this path has {named}. GET /docs lists every operation."
    return problem(HTTPStatus.METHOD_NOT_ALLOWED, detail, Allow=", ".join(sorted(methods)))


def _unexpected(error: Exception) -> Response:
    return problem(HTTPStatus.INTERNAL_SERVER_ERROR, fault(error))


def fault(error: Exception) -> str:
    """Log an unexpected error; return the sentence for the client, without details of the error."""
    log.error("a request failed", error=repr(error), exc_info=error)
    return "internal error of pushprune; see its log"
