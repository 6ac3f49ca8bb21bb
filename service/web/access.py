"""Access rights: the tokens, compared in constant time."""

import hashlib
import hmac
from collections.abc import Mapping
from functools import cache
from http import HTTPStatus
from math import ceil
from typing import Literal
from urllib.parse import urlsplit

from flask import Flask, Response, current_app, request
from werkzeug.wrappers import Request

from service.settings import Settings
from service.settings.kinds import is_loopback
from service.web.attempts import Attempts
from service.web.problems import problem

Right = Literal["read", "admin"]
_GUESSES = "pushprune guesses"

_OPENED_BY: Mapping[Right, tuple[str, ...]] = {"read": ("read", "admin"), "admin": ("admin",)}
_WRONG_NOTIFY = "the notify token is missing or wrong: send the header `Authorization: Bearer <tokens.notify>`"
# The registry sends its events with this type, and a version and `+json` after it.
_EVENTS_TYPE = "application/vnd.docker.distribution.events."
# Containers reach the machine that they run on by these names (Docker Desktop, Podman). No public name ends like them.
_NAMES_OF_THIS_MACHINE = frozenset({"host.docker.internal", "gateway.docker.internal", "host.containers.internal"})
_UNSET: Mapping[Right, str] = {
    "read": "neither tokens.read nor tokens.admin is set, so access is disabled: set tokens.read",
    "admin": "tokens.admin is not set, so changes are disabled: set tokens.admin",
}
_WRONG: Mapping[Right, str] = {
    "read": "the token is missing or wrong: send the header `Authorization: Bearer <tokens.read>`",
    "admin": "the token is missing or wrong: send the header `Authorization: Bearer <tokens.admin>`",
}
_TOO_LITTLE: Mapping[Right, str] = {
    "read": "the notify token may only post notifications: send tokens.read or tokens.admin",
    "admin": "this token is read-only: send tokens.admin",
}


def register(app: Flask) -> None:
    """Slow down guesses at tokens.read and tokens.admin: after ten wrong ones an address is answered once a second."""
    app.extensions[_GUESSES] = Attempts(pause_s=1.0)


def _too_many_guesses() -> Response | None:
    wait_s = _guesses().wait_s(request.remote_addr or "") if _sent_token(request) else 0.0
    if not wait_s:
        return None
    detail = "too many wrong tokens came from this address: for one minute, one request per second is answered"
    return problem(HTTPStatus.TOO_MANY_REQUESTS, detail, Retry_After=str(ceil(wait_s)))


def _guesses() -> Attempts:
    attempts: Attempts = current_app.extensions[_GUESSES]
    return attempts


def _count_guess() -> None:
    if _sent_token(request):
        _guesses().failed(request.remote_addr or "")


def _sent_token(sent: Request) -> str:
    return _token_of(sent.headers.get("Authorization", ""))


def _token_of(authorization: str) -> str:
    return authorization.removeprefix("Bearer ").strip()


def notify_refusal(settings: Settings, sent: Request) -> Response | None:
    """Return the answer that refuses the request, or None if the request may post notifications.

    If no token is set at all, every program on this machine may post: the settings then allow only a loopback address
    to listen on. A web page of another site, open in a browser on this machine, may not. A registry may, by any host
    name: a refusal would block its queue for ever (safety rule 10).
    """
    tokens = _tokens(settings)
    if not tokens:
        return _cross_origin_refusal(sent, "notify") if is_cross_origin(sent) and not _is_registry(sent) else None
    if "notify" not in tokens:
        return _unauthorized("tokens.notify is not set, so notifications are rejected: set tokens.notify")
    if "notify" in _carried(tokens, sent):
        return None
    return _unauthorized(_WRONG_NOTIFY)


def may_notify(settings: Settings, authorization: str) -> bool:
    """Return True if a request with this Authorization header may post notifications, as far as tokens decide it."""
    tokens = _tokens(settings)
    return not tokens or "notify" in _names(tokens, authorization)


def refusal(settings: Settings, right: Right) -> Response | None:
    """Return the answer that refuses the request, or None if the request has the right.

    The answer is 401 for a missing or wrong token, and 403 for a token without this right. If no token is set at all,
    every program on this machine may do everything. A web page of another site, open in a browser here, may not.
    """
    tokens = _tokens(settings)
    if not tokens:
        return _cross_origin_refusal(request, "read and tokens.admin") if is_cross_origin(request) else None
    if too_many := _too_many_guesses():
        return too_many
    opening, carried = _OPENED_BY[right], _carried(tokens, request)
    if not carried.isdisjoint(opening):
        return None
    unset = None if any(name in tokens for name in opening) else _UNSET[right]
    if carried:
        return problem(HTTPStatus.FORBIDDEN, unset or _TOO_LITTLE[right])
    _count_guess()
    return _unauthorized(unset or _WRONG[right])


def sees_details(settings: Settings) -> bool:
    """Return True if the request may see the details of /readyz, not only the status."""
    tokens = _tokens(settings)
    if not tokens:
        return not is_cross_origin(request)
    # The details in the answer show if a token is right, so guesses are slowed down here, too.
    if _too_many_guesses():
        return False
    carried = _carried(tokens, request)
    if not carried:
        _count_guess()
    return not carried.isdisjoint(_OPENED_BY["read"])


def is_open(settings: Settings) -> bool:
    """True if no token is set at all: then every program on this machine may do everything, and no other client."""
    return not _tokens(settings)


def unset(settings: Settings) -> str | None:
    """Return the reason why no user can sign in, or None if users can."""
    tokens = _tokens(settings)
    return None if not tokens or {"read", "admin"} & tokens.keys() else _UNSET["read"]


def right_of(settings: Settings, token: str) -> Right | None:
    """Return the right that this token gives; None if the token is neither tokens.read nor tokens.admin."""
    known = _tokens(settings)
    # Every token is compared, also after a match: the time of the answer must not show which token matched.
    given = {name for name, secret in known.items() if hmac.compare_digest(token.encode(), secret)}
    return "admin" if "admin" in given else "read" if "read" in given else None


def is_given(settings: Settings, right: str) -> bool:
    """True if a token for this right is set.

    A session signed with `key_of` may claim only such a right. If one of the two tokens is not set, a user who knows
    the other token can compute the key, and sign a session with the missing right.
    """
    return right in _OPENED_BY and right in _tokens(settings)


def key_of(settings: Settings, use: str) -> bytes:
    """Return a key derived from the tokens: the same in every process, and a new key once a token changes."""
    tokens = _tokens(settings)
    # With its length before each token, two different pairs of tokens never give the same key.
    lengths_and_tokens = b"".join(
        len(secret).to_bytes(8) + secret for secret in (tokens.get("read", b""), tokens.get("admin", b""))
    )
    return hmac.digest(_hardened(lengths_and_tokens), use.encode(), "sha256")


@cache
def _hardened(secret: bytes) -> bytes:
    """Return a key from the secret by scrypt, which takes 16 MiB of memory."""
    # Any client gets signed cookies and can guess tokens offline: scrypt makes each guess expensive.
    return hashlib.scrypt(secret, salt=b"pushprune", n=2**14, r=8, p=1)


def _tokens(settings: Settings) -> dict[str, bytes]:
    tokens = settings.tokens
    secrets = {"notify": tokens.notify, "read": tokens.read, "admin": tokens.admin}
    return {name: secret.get_secret_value().encode() for name, secret in secrets.items() if secret is not None}


def _carried(tokens: Mapping[str, bytes], sent: Request) -> frozenset[str]:
    """The names of the tokens that the request carries: more than one if the same token is set for two names."""
    return _names(tokens, sent.headers.get("Authorization", ""))


def _names(tokens: Mapping[str, bytes], authorization: str) -> frozenset[str]:
    given = _token_of(authorization).encode()
    # Every token is compared, also after a match: the time of the answer must not show which token matched.
    return frozenset([name for name, secret in tokens.items() if hmac.compare_digest(given, secret)])


def is_cross_origin(sent: Request) -> bool:
    """True if a page of another site sent the request.

    Such a page sends it across origins, or by a host name of its own that resolves to this machine.
    """
    origin = sent.headers.get("Origin")
    if origin is not None and origin.partition("://")[2] != sent.host:
        return True
    # With a GET for an image or a script, a browser sends this header, but no Origin.
    if sent.headers.get("Sec-Fetch-Site", "none") not in ("none", "same-origin"):
        return True
    # By DNS rebinding a page of another site becomes same-origin, but the Host header still has its name.
    try:
        host = urlsplit(f"//{sent.host}").hostname or ""
    except ValueError:
        return True
    return not (is_loopback(host) or host in _NAMES_OF_THIS_MACHINE)


def _is_registry(sent: Request) -> bool:
    """True if no browser can have sent the request.

    With every POST, a browser sends the header Origin (Fetch standard, 3.2), and newer ones also Sec-Fetch-Site. An
    old browser without Origin cannot send the content type of events from a page of another site.
    """
    is_browser = "Origin" in sent.headers or "Sec-Fetch-Site" in sent.headers
    return not is_browser and (sent.content_type or "").startswith(_EVENTS_TYPE)


def _cross_origin_refusal(sent: Request, tokens: str) -> Response:
    sender = sent.headers.get("Origin") or sent.host
    detail = (
        "no token is set, so only programs on this machine have access, and this request comes from or names "
        f"{sender[:100]!r}: send it to localhost, or set tokens.{tokens}"
    )
    return problem(HTTPStatus.FORBIDDEN, detail)


def _unauthorized(detail: str) -> Response:
    return problem(HTTPStatus.UNAUTHORIZED, detail, WWW_Authenticate='Bearer realm="pushprune"')
