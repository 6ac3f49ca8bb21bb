"""Translate the answers of a registry, and missing answers, into the project's errors. This happens only here."""

import ssl
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import requests
from urllib3.exceptions import HTTPError, InvalidHeader, ReadTimeoutError
from urllib3.util.retry import Retry

from service.domain.errors import (
    AccessDenied,
    DeletesDisabled,
    RegistryRefused,
    RegistryTooOld,
    RegistryUnavailable,
    WritesDisabled,
)
from service.registry.session import AnswerTooLarge

GONE_CODES = frozenset({"MANIFEST_UNKNOWN", "NAME_UNKNOWN"})
# Only a registry of version 1 sends this header, with every answer.
VERSION_1 = "X-Docker-Registry-Version"
_CODES_LENGTH = 200


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
    except AnswerTooLarge as error:
        raise RegistryUnavailable(f"{where} sent {error}: this is not the answer of a registry") from error
    except (requests.Timeout, ReadTimeoutError) as error:
        raise RegistryUnavailable(f"{where} did not answer within {timeout_s:g} s") from error
    except requests.exceptions.SSLError as error:
        if is_certificate_failure(error):
            raise RegistryRefused(
                f"{where} shows a certificate that is not trusted here: set registry.ca_file to its CA's certificate"
            ) from error
        raise RegistryUnavailable(
            f"{where} ended the TLS handshake: if it does not use TLS, its address must begin with http://"
        ) from error
    except requests.exceptions.InvalidURL as error:
        raise RegistryRefused(f"{where} does not have a valid address: correct registry.url") from error
    except (requests.RequestException, HTTPError, ValueError) as error:
        # requests raises ValueError for a redirect whose Location is not a URL.
        raise RegistryUnavailable(f"{where} cannot be reached: {innermost(error)}") from error


def refusal(response: requests.Response, where: str, request: str) -> Exception:
    """Return the error for an unexpected answer.

    Args:
        response: the answer.
        where: the server, for the message.
        request: such as `DELETE /v2/shop/…`.
    """
    status = response.status_code
    message = f"{where} answers {status} to {request}{_codes_of(response)}"
    if status in (401, 403):
        return AccessDenied(f"{message}: check registry.username, registry.password and the rights of this login")
    if status == 405:
        return _not_allowed(response, where, request)
    if status == 429 or status >= 500:
        # After a proxy's 502 or 504 the registry may still be working on the request.
        is_over = bool(error_codes(response)) or status in (429, 503)
        return RegistryUnavailable(message, retry_after_s(response), is_fault=status == 500, is_over=is_over)
    if 300 <= status < 400:
        return RegistryRefused(f"{message}, a redirect: set registry.url to the address of the registry itself")
    if status == 404 and VERSION_1 in response.headers:
        return RegistryTooOld(where)
    if 400 <= status < 500 and error_codes(response):
        return RegistryRefused(message)
    return RegistryUnavailable(f"{message}: this is not the answer of a registry")


def is_gone(response: requests.Response) -> bool:
    """True if the registry itself answered 404; False for the page of a proxy, or at a wrong address."""
    if response.status_code != 404:
        return False
    # The answer to a HEAD has no body, so only the content type shows that it comes from a registry.
    if response.request.method == "HEAD":
        return response.headers.get("Content-Type", "").startswith("application/json")
    return not GONE_CODES.isdisjoint(error_codes(response))


def error_codes(response: requests.Response) -> tuple[str, ...]:
    """The codes of a registry's error body, `{"errors": [{"code": …}]}`; () for any other body."""
    body = read_json(response)
    errors = body.get("errors") if isinstance(body, dict) else None
    if not isinstance(errors, list):
        return ()
    return tuple(error["code"] for error in errors if isinstance(error, dict) and isinstance(error.get("code"), str))


def read_json(response: requests.Response) -> Any:
    """The body as JSON; None if it is not JSON."""
    try:
        return response.json()
    except (ValueError, RecursionError):
        return None


def retry_after_s(response: requests.Response) -> float | None:
    """The seconds of the Retry-After header, which may be a number or a date; None if it is missing or not valid."""
    value = response.headers.get("Retry-After")
    if value is None:
        return None
    try:
        return Retry().parse_retry_after(value)
    except (InvalidHeader, ValueError, OverflowError):
        return None


def _not_allowed(response: requests.Response, where: str, request: str) -> RegistryRefused:
    """The error for a 405: deletes are disabled, or the whole registry is read-only."""
    deletes = response.request.method == "DELETE"
    if deletes and "UNSUPPORTED" in error_codes(response):
        return DeletesDisabled(
            f"{where} has deletes disabled: set `storage: delete: enabled: true` in the registry's config.yml, "
            "or REGISTRY_STORAGE_DELETE_ENABLED=true in its environment, and restart it"
        )
    message = (
        f"{where} is read-only (it answers 405 to {request}): "
        "remove `storage: maintenance: readonly` from the registry's config.yml and restart it"
    )
    return DeletesDisabled(message) if deletes else WritesDisabled(message)


def _codes_of(response: requests.Response) -> str:
    codes = ", ".join(error_codes(response))[:_CODES_LENGTH]
    return f" ({codes})" if codes else ""


def is_certificate_failure(error: BaseException | None) -> bool:
    """True if a certificate was not trusted."""
    return any(isinstance(cause, ssl.SSLCertVerificationError) for cause in _causes(error))


def innermost(error: BaseException) -> str:
    """Return the words of the error of the socket behind an error of HTTP, which shows no URL."""
    causes = [cause for cause in _causes(error) if isinstance(cause, OSError) and cause.strerror]
    return str(causes[-1].strerror) if causes else type(error).__name__


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
