"""Errors as RFC 9457 `application/problem+json`: one sentence that says what to do, never a traceback."""

from collections.abc import Callable, Collection, Mapping, Sequence
from http import HTTPStatus

from flask import Flask, Response, json, request
from pydantic import ValidationError
from werkzeug.exceptions import HTTPException, MethodNotAllowed, NotFound, RequestEntityTooLarge

from service.domain.errors import (
    ConfigurationError,
    MalformedNotification,
    NoSuchName,
    NotDeletable,
    NotRestorable,
    NotWaiting,
    RegistryRefused,
    RegistryUnavailable,
    StoreUnavailable,
    TooManyEvents,
)
from service.log import log
from service.web.trials import RETRY_S, Busy, TooLarge

MAX_BODY_BYTES = 4 * 1024 * 1024
# A notification repeats the references of a manifest, which has 4 MiB at most, with indentation and with six bytes for
# each "<". Distribution makes 58 MiB of the worst manifest. Its User-Agent, of 1 MiB at most, becomes 6 MiB.
MAX_NOTIFICATION_BYTES = 80 * 1024 * 1024
MOST_FAULTS = 200
TOO_LARGE = "a body of more than 4 MiB, or 80 MiB of notifications, is not accepted"


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
            sentences: describes the faults; not called for more than MOST_FAULTS faults.
        """
        count = error.error_count()
        return cls([f"it has {count} faults, too many to name"] if count > MOST_FAULTS else sentences(error))


def problem(status: HTTPStatus, detail: str, faults: Sequence[str] = (), **headers: str) -> Response:
    """Return a problem document.

    Args:
        faults: one sentence for each fault of the request, if there are any.
        headers: additional headers, with `_` in their names instead of `-`.
    """
    body = {"type": "about:blank", "title": status.phrase, "status": status.value, "detail": detail}
    more = {"faults": list(faults)} if faults else {}
    response = Response(json.dumps(body | more), status.value, mimetype="application/problem+json")
    for name, value in headers.items():
        response.headers[name.replace("_", "-")] = value
    return response


# The status of each error whose message says all. Subclasses have the status of their base.
_STATUS: Mapping[type[Exception], HTTPStatus] = {
    ConfigurationError: HTTPStatus.CONFLICT,
    NotDeletable: HTTPStatus.CONFLICT,
    NotRestorable: HTTPStatus.CONFLICT,
    NotWaiting: HTTPStatus.CONFLICT,
    NoSuchName: HTTPStatus.NOT_FOUND,
    MalformedNotification: HTTPStatus.BAD_REQUEST,
    TooManyEvents: HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
    TooLarge: HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
    RegistryRefused: HTTPStatus.BAD_GATEWAY,
    RegistryUnavailable: HTTPStatus.BAD_GATEWAY,
    StoreUnavailable: HTTPStatus.SERVICE_UNAVAILABLE,
    Busy: HTTPStatus.SERVICE_UNAVAILABLE,
}


def status_of(error: Exception) -> HTTPStatus | None:
    """Return the status of an error whose message says all; None for other errors."""
    return next((_STATUS[kind] for kind in type(error).__mro__ if kind in _STATUS), None)


def register(app: Flask) -> None:
    """Turn every error into a problem document, once, at the edge."""
    app.register_error_handler(Exception, answer_to)
    app.register_error_handler(NotFound, no_such_operation)
    app.register_error_handler(MethodNotAllowed, no_such_operation)


def answer_to(error: Exception) -> Response:
    """Return the problem document of an error."""
    if status := status_of(error):
        wait_s = RETRY_S if isinstance(error, Busy) else 1
        retry = {"Retry_After": str(wait_s)} if status == HTTPStatus.SERVICE_UNAVAILABLE else {}
        return problem(status, str(error), **retry)
    if isinstance(error, InvalidRequest):
        first, *others = error.faults
        detail = f"{first} (and {len(others)} more)" if others else first
        return problem(HTTPStatus.UNPROCESSABLE_ENTITY, detail, error.faults)
    if isinstance(error, RequestEntityTooLarge):
        return problem(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, TOO_LARGE)
    if isinstance(error, HTTPException):
        return problem(HTTPStatus(error.code or 500), error.description or error.name)
    return problem(HTTPStatus.INTERNAL_SERVER_ERROR, fault(error))


def no_such_operation(error: HTTPException) -> Response:
    """Answer a request for which there is no route, or none with its method."""
    if request.url_rule is not None:
        return answer_to(error)
    operation = f"{request.method} {request.path}"
    if methods := getattr(error, "valid_methods", None):
        return wrong_method(operation, methods)
    return problem(HTTPStatus.NOT_FOUND, f"{operation} does not exist. GET /docs lists every operation.")


def wrong_method(operation: str, methods: Collection[str]) -> Response:
    """Answer a request with a method that its path does not have. methods: those that it has."""
    named = ", ".join(sorted({*methods} - {"HEAD", "OPTIONS"}))
    detail = f"{operation} does not exist; this path has {named}. GET /docs lists every operation."
    return problem(HTTPStatus.METHOD_NOT_ALLOWED, detail, Allow=", ".join(sorted(methods)))


def fault(error: Exception) -> str:
    """Log an unexpected error; return the sentence for the client, without details of the error."""
    log.error("a request failed", error=repr(error), exc_info=error)
    return "internal error of pushprune; see its log"
