"""Fetch bearer tokens from the registry's token server, and keep each until shortly before it expires."""

import base64
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass, field
from threading import Lock
from typing import Generic, TypeVar
from urllib.parse import urlencode, urlsplit

from service.domain.errors import AccessDenied
from service.registry.answers import read_json, refusal, translated
from service.registry.docker_config import Credentials
from service.registry.exchange import Answer, Request, Sender

Key = TypeVar("Key")
Value = TypeVar("Value")

# There is one entry per repository and kind of access.
_REMEMBERED = 1024
# Distribution's token specification: a token without expires_in is valid for 60 s.
_DEFAULT_LIFE_S = 60.0
# A token is fetched again after this time, even if it is valid for longer.
_LONGEST_LIFE_S = 24 * 3600.0
_CLIENT_ID = "pushprune"


class Newest(OrderedDict[Key, Value], Generic[Key, Value]):
    """A dictionary that keeps only the entries that were set last."""

    def __setitem__(self, key: Key, value: Value) -> None:
        super().__setitem__(key, value)
        self.move_to_end(key)
        while len(self) > _REMEMBERED:
            self.popitem(last=False)


@dataclass(frozen=True, slots=True)
class Challenge:
    """The parameters of a token request, from the registry's WWW-Authenticate header. realm: a URL."""

    realm: str
    service: str
    scope: str


@dataclass(frozen=True, slots=True)
class Token:
    """A bearer token.

    Attributes:
        value: for the Authorization header.
        until: the time, by the clock of the cache (s), from which a new token is fetched.
    """

    value: str = field(repr=False)
    until: float


@dataclass(slots=True)
class _Slot:
    """The token of one challenge. Threads that need it at the same time wait for a single fetch."""

    token: Token | None = None
    lock: Lock = field(default_factory=Lock)


class TokenCache:
    """The tokens of one registry, by challenge; shared by threads."""

    def __init__(
        self,
        sender: Sender,
        credentials: Callable[[], Credentials | None],
        timeout_s: float,
        clock: Callable[[], float],
    ) -> None:
        """credentials: called at every fetch; None means an anonymous token. clock: monotonic seconds."""
        self._sender = sender
        self._credentials = credentials
        self._timeout_s = timeout_s
        self._clock = clock
        self._lock = Lock()
        self._slots: Newest[Challenge, _Slot] = Newest()

    def header(self, challenge: Challenge, refused: str | None = None) -> str:
        """Return the Authorization header for a challenge.

        Args:
            challenge: of the registry.
            refused: the header that the registry has just refused; its token is not used again.

        Raises:
            AccessDenied: the token server refused.
            RegistryUnavailable: the token server did not answer.
        """
        with self._lock:
            slot = self._slots.get(challenge) or _Slot()
            self._slots[challenge] = slot
        with slot.lock:
            token = slot.token
            if token is None or self._clock() >= token.until or refused == f"Bearer {token.value}":
                token = slot.token = self._fetch(challenge)
            return f"Bearer {token.value}"

    def _fetch(self, challenge: Challenge) -> Token:
        asked_at = self._clock()
        where = f"the token server at {urlsplit(challenge.realm).netloc}"
        login = self._credentials()
        with translated(where, self._timeout_s):
            if login is not None and login.identity_token:
                request = _refresh(challenge, login.identity_token)
            else:
                request = _log_in(challenge, login)
            answer = self._sender.send(request, timeout_s=self._timeout_s)
        value, life_s = _granted(answer, where)
        # Renewed a little early, so that a token does not expire on its way to the registry.
        return Token(value, asked_at + life_s - min(10.0, life_s / 5))


def _log_in(challenge: Challenge, login: Credentials | None) -> Request:
    """Return the request for a token, with the login of a user or, without one, anonymous."""
    asked = [("service", challenge.service), ("client_id", _CLIENT_ID)]
    asked += [("scope", scope) for scope in challenge.scope.split()]
    url = f"{challenge.realm}{'&' if '?' in challenge.realm else '?'}{urlencode(asked)}"
    request = Request("GET", url)
    return request.having(Authorization=basic_header(login)) if login else request


def _refresh(challenge: Challenge, identity_token: str) -> Request:
    """The OAuth2 form of the token request, the only form that accepts an identity token."""
    form = {"service": challenge.service, "client_id": _CLIENT_ID, "scope": challenge.scope}
    form |= {"grant_type": "refresh_token", "refresh_token": identity_token}
    headers = {"Content-Type": "application/x-www-form-urlencoded"}
    return Request("POST", challenge.realm, headers, urlencode(form).encode())


def basic_header(login: Credentials) -> str:
    """The Authorization header of RFC 7617, in UTF-8."""
    return "Basic " + base64.b64encode(f"{login.username}:{login.password}".encode()).decode()


def _granted(answer: Answer, where: str) -> tuple[str, float]:
    """The token in an answer, and its lifetime in seconds."""
    if answer.status != 200:
        raise refusal(answer, where, "a request for a token")
    body = read_json(answer)
    body = body if isinstance(body, dict) else {}
    value = body.get("token") or body.get("access_token")
    if not isinstance(value, str) or not value.isascii() or not value.isprintable():
        raise AccessDenied(f"{where} answers without a token")
    life_s = body.get("expires_in")
    if not isinstance(life_s, int | float) or not life_s > 0:
        life_s = _DEFAULT_LIFE_S
    return value, float(min(life_s, _LONGEST_LIFE_S))
