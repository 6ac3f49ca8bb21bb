"""Who may do what: tokens, compared in constant time."""

import hashlib
import hmac
from collections.abc import Mapping
from functools import cache
from http import HTTPStatus
from math import ceil
from typing import Literal
from urllib.parse import urlsplit

from flask import Flask, Response, current_app, request

from service.settings import Settings
from service.settings.kinds import is_loopback
from service.web.attempts import Attempts
from service.web.problems import problem

Right = Literal["read", "admin"]
_GUESSES = "pushprune guesses"

_OPENED_BY: Mapping[Right, tuple[str, ...]] = {"read": ("read", "admin"), "admin": ("admin",)}
_WRONG_NOTIFY = "the notify token is missing or wrong: send the header `Authorization: Bearer <tokens.notify>`"
_FOREIGN = "without tokens only programs on this machine may ask: set tokens.read and tokens.admin"
_UNSET: Mapping[Right, str] = {
    "read": "neither tokens.read nor tokens.admin is set, so nobody may look: set tokens.read",
    "admin": "tokens.admin is not set, so nobody may change anything: set it",
}
_WRONG: Mapping[Right, str] = {
    "read": "the token is missing or wrong: send the header `Authorization: Bearer <tokens.read>`",
    "admin": "the token is missing or wrong: send the header `Authorization: Bearer <tokens.admin>`",
}
_TOO_LITTLE: Mapping[Right, str] = {
    "read": "the notify token may only post notifications: send tokens.read or tokens.admin",
    "admin": "this token may not change anything: send tokens.admin",
}


def register(app: Flask) -> None:
    """Slow down guesses at tokens.read and tokens.admin: after ten wrong tokens an address is heard once a second."""
    app.extensions[_GUESSES] = Attempts(pause_s=1.0)


def _too_many_guesses() -> Response | None:
    wait_s = _guesses().wait_s(request.remote_addr or "") if _sent_token() else 0.0
    if not wait_s:
        return None
    detail = "too many wrong tokens came from this address: until a minute is over, it is heard once a second"
    return problem(HTTPStatus.TOO_MANY_REQUESTS, detail, Retry_After=str(ceil(wait_s)))


def _guesses() -> Attempts:
    attempts: Attempts = current_app.extensions[_GUESSES]
    return attempts


def _count_guess() -> None:
    if _sent_token():
        _guesses().failed(request.remote_addr or "")


def _sent_token() -> str:
    return request.headers.get("Authorization", "").removeprefix("Bearer ").strip()


def notify_refusal(settings: Settings) -> Response | None:
    """None when the request may post notifications, else the answer that refuses it.

    With no token at all every program on this machine may post, as the service then listens on loopback only (settings
    see to it), but no web page from elsewhere through a browser on this machine.
    """
    tokens = _tokens(settings)
    if not tokens:
        return problem(HTTPStatus.FORBIDDEN, _FOREIGN) if is_foreign() else None
    if "notify" not in tokens:
        return _unauthorized("tokens.notify is not set, so nobody may post notifications: set it")
    if "notify" in _carried(tokens):
        return None
    return _unauthorized(_WRONG_NOTIFY)


def refusal(settings: Settings, right: Right) -> Response | None:
    """None when the request may look (`read`) or change something (`admin`), else the answer that refuses it.

    401 for a token that is missing or wrong, 403 for one that may do less. With no token at all every program on this
    machine may do everything, but no web page from elsewhere through the browser of somebody here.
    """
    tokens = _tokens(settings)
    if not tokens:
        return problem(HTTPStatus.FORBIDDEN, _FOREIGN) if is_foreign() else None
    if too_many := _too_many_guesses():
        return too_many
    opening, carried = _OPENED_BY[right], _carried(tokens)
    if not carried.isdisjoint(opening):
        return None
    unset = None if any(name in tokens for name in opening) else _UNSET[right]
    if carried:
        return problem(HTTPStatus.FORBIDDEN, unset or _TOO_LITTLE[right])
    _count_guess()
    return _unauthorized(unset or _WRONG[right])


def sees_details(settings: Settings) -> bool:
    """Return True if the request may see what /readyz says beyond the status."""
    tokens = _tokens(settings)
    if not tokens:
        return not is_foreign()
    # An answer with or without details tells a right token from a wrong one.
    if _too_many_guesses():
        return False
    carried = _carried(tokens)
    if not carried:
        _count_guess()
    return not carried.isdisjoint(_OPENED_BY["read"])


def is_open(settings: Settings) -> bool:
    """Whether no token is set at all: every program on this machine may do everything then, and nobody else."""
    return not _tokens(settings)


def unset(settings: Settings) -> str | None:
    """The sentence that says why nobody can sign in, or None."""
    tokens = _tokens(settings)
    return None if not tokens or {"read", "admin"} & tokens.keys() else _UNSET["read"]


def right_of(settings: Settings, token: str) -> Right | None:
    """What somebody with this token may do; None where it is neither of the two. Each is compared, always."""
    known = _tokens(settings)
    given = {name for name, secret in known.items() if hmac.compare_digest(token.encode(), secret)}
    return "admin" if "admin" in given else "read" if "read" in given else None


def is_given(settings: Settings, right: str) -> bool:
    """Whether there is a token for this right. What is signed by `key_of` claims no other: where a token is not set,
    those who know the rest can make that key.
    """
    return right in _OPENED_BY and right in _tokens(settings)


def key_of(settings: Settings, use: str) -> bytes:
    """A key that only those who know the tokens can make: the same in every process, another once a token changes."""
    tokens = _tokens(settings)
    told = b"".join(len(secret).to_bytes(8) + secret for secret in (tokens.get("read", b""), tokens.get("admin", b"")))
    return hmac.digest(_hardened(told), use.encode(), "sha256")


@cache
def _hardened(told: bytes) -> bytes:
    """Strangers see what is signed: a guess at the tokens costs them what this costs (16 MiB each)."""
    return hashlib.scrypt(told, salt=b"pushprune", n=2**14, r=8, p=1)


def _tokens(settings: Settings) -> dict[str, bytes]:
    """The tokens that are set, by name."""
    of = settings.tokens
    secrets = {"notify": of.notify, "read": of.read, "admin": of.admin}
    return {name: secret.get_secret_value().encode() for name, secret in secrets.items() if secret is not None}


def _carried(tokens: Mapping[str, bytes]) -> frozenset[str]:
    """The names of the tokens that the request carries: two names may have one token. Each is compared, always."""
    given = _sent_token().encode()
    return frozenset([name for name, secret in tokens.items() if hmac.compare_digest(given, secret)])


def is_foreign() -> bool:
    """Return True if a page from elsewhere asks: across origins, or under a name of its own that leads here."""
    origin = request.headers.get("Origin")
    if origin is not None and origin.partition("://")[2] != request.host:
        return True
    # A browser sends no Origin with a GET for an image or a script, but says this.
    if request.headers.get("Sec-Fetch-Site", "none") not in ("none", "same-origin"):
        return True
    try:
        return not is_loopback(urlsplit(f"//{request.host}").hostname or "")
    except ValueError:
        return True


def _unauthorized(detail: str) -> Response:
    return problem(HTTPStatus.UNAUTHORIZED, detail, WWW_Authenticate='Bearer realm="pushprune"')
