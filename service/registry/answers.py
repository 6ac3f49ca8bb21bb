"""Translate the answers of a registry, and missing answers, into the project's errors. This happens only here."""

import json
import re
import ssl
from collections.abc import Iterator
from contextlib import contextmanager
from http.client import InvalidURL
from typing import Any
from urllib.parse import quote

from urllib3.exceptions import InvalidHeader
from urllib3.util.retry import Retry

from service.domain.errors import (
    AccessDenied,
    DeletesDisabled,
    RegistryRefused,
    RegistryTooOld,
    RegistryUnavailable,
    WritesDisabled,
)
from service.registry.exchange import FAILURES, Answer, AnswerRefused, NoAnswer

GONE_CODES = frozenset({"MANIFEST_UNKNOWN", "NAME_UNKNOWN"})
# Only a registry of version 1 sends this header, with every answer.
VERSION_1 = "X-Docker-Registry-Version"
_CODES_LENGTH = 200
_CODE = re.compile(r"\w+", re.ASCII)
_PATH_LENGTH = 500
# Advice by OpenSSL's codes X509_V_ERR_…: dates, an unknown authority, another host name or address.
_RENEW = ": renew it there, or correct the clock here"
_TRUST = ": set registry.ca_file to its CA's certificate"
_RENAME = ": use a host name that it has"
_ADVICE = dict.fromkeys((9, 10), _RENEW) | dict.fromkeys(range(18, 22), _TRUST) | dict.fromkeys((62, 64), _RENAME)


@contextmanager
def translated(where: str, timeout_s: float) -> Iterator[None]:
    """Translate the errors of a request that is sent in the block.

    Args:
        where: the server, for the message.
        timeout_s: the timeout of the request, for the message.

    Raises:
        RegistryUnavailable: no complete answer arrived.
        RegistryRefused: the certificate is not trusted, or the address is not valid.
    """
    try:
        yield
    except AnswerRefused as error:
        raise RegistryUnavailable(f"{where} sent {error}: this is not the answer of a registry") from error
    except TimeoutError as error:
        raise RegistryUnavailable(f"{where} did not answer within {timeout_s:g} s") from error
    except ssl.SSLError as error:
        if failure := _certificate_failure(error):
            advice = _ADVICE.get(failure.verify_code, "")
            raise RegistryRefused(
                f"{where} shows a certificate that is not trusted here ({failure.verify_message}){advice}"
            ) from error
        raise RegistryUnavailable(
            f"{where} ended the TLS handshake: if it does not use TLS, its address must begin with http://"
        ) from error
    except InvalidURL as error:
        raise RegistryRefused(f"{where} does not have a valid address: correct registry.url") from error
    except FAILURES as error:
        raise RegistryUnavailable(f"{where} cannot be reached: {innermost(error)}") from error


def refusal(answer: Answer, where: str, request: str) -> Exception:
    """Return the error for an unexpected answer.

    Args:
        answer: of the server.
        where: the server, for the message.
        request: such as `DELETE /v2/shop/…`.
    """
    status = answer.status
    message = f"{where} answers {status} to {request}{_codes_of(answer)}"
    if status in (401, 403):
        return AccessDenied(f"{message}: check registry.username, registry.password and the rights of this login")
    if status == 405:
        return _not_allowed(answer, where, request)
    if status == 429 or status >= 500:
        # After a proxy's 502 or 504 the registry may still be working on the request.
        is_over = bool(error_codes(answer)) or status in (429, 503)
        return RegistryUnavailable(message, retry_after_s(answer), is_fault=status == 500, is_over=is_over)
    if 300 <= status < 400:
        return RegistryRefused(f"{message}, a redirect: set registry.url to the address of the registry itself")
    if status == 404 and answer.header(VERSION_1):
        return RegistryTooOld(where)
    if 400 <= status < 500 and error_codes(answer):
        return RegistryRefused(message)
    return RegistryUnavailable(f"{message}: this is not the answer of a registry")


def request_of(answer: Answer) -> str:
    """The request of an answer, for messages: without the query, in which a redirect to a bucket has its signature."""
    path = quote(answer.request.path.partition("?")[0], safe="/:@%")
    return f"{answer.request.method} {path[:_PATH_LENGTH]}"


def is_gone(answer: Answer) -> bool:
    """True if the registry itself answered 404; False for the page of a proxy, or at a wrong address."""
    if answer.status != 404:
        return False
    # The answer to a HEAD has no body, so only the content type shows that it comes from a registry.
    if answer.request.method == "HEAD":
        return answer.header("Content-Type").startswith("application/json")
    return not GONE_CODES.isdisjoint(error_codes(answer))


def error_codes(answer: Answer) -> tuple[str, ...]:
    """The codes of a registry's error body, `{"errors": [{"code": …}]}`; () for any other body."""
    body = read_json(answer)
    errors = body.get("errors") if isinstance(body, dict) else None
    if not isinstance(errors, list):
        return ()
    codes = (error.get("code") for error in errors if isinstance(error, dict))
    # Messages show the codes: another text than a code could control a terminal, or be no text that can be stored.
    return tuple(code for code in codes if isinstance(code, str) and _CODE.fullmatch(code))


def read_json(answer: Answer) -> Any:
    """The body as JSON; None if it is not JSON."""
    try:
        return json.loads(answer.content)
    except (ValueError, RecursionError):
        return None


def retry_after_s(answer: Answer) -> float | None:
    """The seconds of the Retry-After header, which may be a number or a date; None if it is missing or not valid."""
    try:
        return Retry().parse_retry_after(answer.header("Retry-After"))
    except (InvalidHeader, ValueError, OverflowError):
        return None


def _not_allowed(answer: Answer, where: str, request: str) -> RegistryRefused:
    """The error for a 405: deletes are disabled, or the whole registry is read-only."""
    deletes = answer.request.method == "DELETE"
    if deletes and "UNSUPPORTED" in error_codes(answer):
        return DeletesDisabled(
            f"{where} has deletes disabled: set `storage: delete: enabled: true` in the registry's config.yml, "
            "or REGISTRY_STORAGE_DELETE_ENABLED=true in its environment, and restart it"
        )
    message = (
        f"{where} is read-only (it answers 405 to {request}): "
        "remove `storage: maintenance: readonly` from the registry's config.yml and restart it"
    )
    return DeletesDisabled(message) if deletes else WritesDisabled(message)


def _codes_of(answer: Answer) -> str:
    codes = ", ".join(error_codes(answer))[:_CODES_LENGTH]
    return f" ({codes})" if codes else ""


def is_certificate_failure(error: BaseException | None) -> bool:
    """True if a certificate was not trusted."""
    return _certificate_failure(error) is not None


def innermost(error: BaseException) -> str:
    """Return the text of pushprune's own error, or of the socket error behind an HTTP error: they show no URL."""
    if isinstance(error, NoAnswer):
        return str(error)
    words = [cause.strerror or str(cause) for cause in _causes(error) if isinstance(cause, OSError)]
    return next(filter(None, reversed(words)), type(error).__name__)


def _certificate_failure(error: BaseException | None) -> ssl.SSLCertVerificationError | None:
    """Return OpenSSL's refusal of a certificate; None if that is not the cause of this error."""
    return next((cause for cause in _causes(error) if isinstance(cause, ssl.SSLCertVerificationError)), None)


def _causes(error: BaseException | None) -> Iterator[BaseException]:
    """Yield the error and all errors that led to it."""
    seen: set[int] = set()
    # urllib3 hides the error of the socket in `reason` and in `args`.
    waiting: list[object] = [error]
    while waiting:
        cause = waiting.pop()
        if not isinstance(cause, BaseException) or id(cause) in seen:
            continue
        seen.add(id(cause))
        yield cause
        waiting += [cause.__cause__, cause.__context__, getattr(cause, "reason", None), *cause.args]
