"""Translates what a registry answers, or fails to answer, into the error tree: once, here."""

import ssl
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import requests
from urllib3.exceptions import HTTPError, InvalidHeader
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
VERSION_1 = "X-Docker-Registry-Version"  # only a registry of version 1 says which it is, with every answer
_SAID_AT_MOST = 200


@contextmanager
def translated(where: str, timeout_s: float) -> Iterator[None]:
    """RegistryUnavailable for whatever keeps an answer from arriving whole, RegistryRefused for a bad certificate.

    where: who was asked, for the message.
    """
    try:
        yield
    except AnswerTooLarge as error:
        raise RegistryUnavailable(f"{where} sent {error}: this is not a registry's answer") from error
    except requests.Timeout as error:
        raise RegistryUnavailable(f"{where} did not answer within {timeout_s:g} s") from error
    except requests.exceptions.SSLError as error:
        if _is_certificate_failure(error):
            raise RegistryRefused(
                f"{where} shows a certificate that is not trusted here: set registry.ca_file to its CA's certificate"
            ) from error
        raise RegistryUnavailable(
            f"{where} broke off the TLS handshake: if it speaks no TLS, its address begins with http://"
        ) from error
    except requests.exceptions.InvalidURL as error:
        raise RegistryRefused(f"{where} is not an address that can be asked: correct registry.url") from error
    except (requests.RequestException, HTTPError, ValueError) as error:  # ValueError: a Location that is no URL
        raise RegistryUnavailable(f"{where} cannot be reached: {_innermost(error)}") from error


def refusal(response: requests.Response, where: str, what: str) -> Exception:
    """The error for an answer that is none of those hoped for; what: the request, such as `DELETE /v2/shop/…`."""
    status = response.status_code
    said = f"{where} answers {status} to {what}{_in_its_words(response)}"
    if status in (401, 403):
        return AccessDenied(f"{said}: check registry.username, registry.password and the rights they give")
    if status == 405:
        return _not_allowed(response, where, what)
    if status == 429 or status >= 500:
        is_over = bool(error_codes(response)) or status in (429, 503)
        return RegistryUnavailable(said, retry_after_s(response), is_fault=status == 500, is_over=is_over)
    if 300 <= status < 400:
        return RegistryRefused(f"{said}, a redirect: set registry.url to the address it really listens on")
    if status == 404 and VERSION_1 in response.headers:
        return RegistryTooOld(where)
    if 400 <= status < 500 and error_codes(response):
        return RegistryRefused(said)
    return RegistryUnavailable(f"{said}: this is not a registry's answer")


def is_gone(response: requests.Response) -> bool:
    """Whether a 404 is the registry's own word that this does not exist, and not a proxy's page or a wrong address.

    A HEAD has no body: there the registry's JSON content type has to do.
    """
    if response.status_code != 404:
        return False
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
    """The body as JSON; None where it is none."""
    try:
        return response.json()
    except (ValueError, RecursionError):
        return None


def retry_after_s(response: requests.Response) -> float | None:
    """What Retry-After asks for, in seconds; both of its forms, seconds and a date, are understood."""
    value = response.headers.get("Retry-After")
    if value is None:
        return None
    try:
        return Retry().parse_retry_after(value)
    except (InvalidHeader, ValueError, OverflowError):
        return None


def _not_allowed(response: requests.Response, where: str, what: str) -> RegistryRefused:
    deletes = response.request.method == "DELETE"
    if deletes and "UNSUPPORTED" in error_codes(response):
        return DeletesDisabled(
            f"{where} has deletes switched off: set `storage: delete: enabled: true` in the registry's config.yml, "
            "or REGISTRY_STORAGE_DELETE_ENABLED=true in its environment, and restart it"
        )
    said = (
        f"{where} is read-only, it answers 405 to {what}: "
        "take `storage: maintenance: readonly` out of the registry's config.yml and restart it"
    )
    return DeletesDisabled(said) if deletes else WritesDisabled(said)


def _in_its_words(response: requests.Response) -> str:
    codes = ", ".join(error_codes(response))[:_SAID_AT_MOST]
    return f" ({codes})" if codes else ""


def _is_certificate_failure(error: BaseException | None) -> bool:
    return any(isinstance(cause, ssl.SSLCertVerificationError) for cause in _causes(error))


def _innermost(error: BaseException) -> str:
    causes = [cause for cause in _causes(error) if isinstance(cause, OSError) and cause.strerror]
    return str(causes[-1].strerror) if causes else type(error).__name__


def _causes(error: BaseException | None) -> Iterator[BaseException]:
    """The error and all that led to it: urllib3 hides the socket's own error in `reason` and in args."""
    seen: set[int] = set()
    waiting: list[object] = [error]
    while waiting:
        cause = waiting.pop()
        if not isinstance(cause, BaseException) or id(cause) in seen:
            continue
        seen.add(id(cause))
        yield cause
        waiting += [cause.__cause__, cause.__context__, getattr(cause, "reason", None), *cause.args]
