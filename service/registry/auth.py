"""Log in to a registry, with Basic or a Bearer token, as its WWW-Authenticate header demands."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from threading import Lock
from typing import TYPE_CHECKING, Any
from urllib.parse import SplitResult, urlsplit

import requests
import requests.auth

from service.domain.errors import AccessDenied, PushpruneError
from service.registry.docker_config import Credentials, DockerConfig
from service.registry.session import open_session
from service.registry.tokens import Challenge, Newest, TokenCache, basic_header

if TYPE_CHECKING:
    from werkzeug.datastructures import WWWAuthenticate


def build_auth(
    url: str,
    *,
    username: str | None,
    password: str | None,
    docker_config: Path | None,
    ca_file: Path | None = None,
    timeout_s: float = 10.0,
    token_server: str | None = None,
) -> RegistryAuth | None:
    """Build the login for a registry; None if no login is configured.

    Args:
        url: of the registry.
        username: with `password`, takes precedence over `docker_config`.
        password: see `username`.
        docker_config: a config.json, or the directory that contains it.
        ca_file: CA certificates of the token server.
        timeout_s: for the token server, and for a credential helper.
        token_server: the only server that receives the login; None: the server that the registry names.

    Raises:
        ConfigurationError: docker_config cannot be read.
    """
    if username is not None and password is not None:
        login = Credentials(username, password)
        return RegistryAuth(url, lambda: login, ca_file=ca_file, timeout_s=timeout_s, token_server=token_server)
    if docker_config is None:
        return None
    path = docker_config / "config.json" if docker_config.is_dir() else docker_config
    config = DockerConfig(path, urlsplit(url).netloc, timeout_s)
    config.check()
    return RegistryAuth(url, config.credentials, ca_file=ca_file, timeout_s=timeout_s, token_server=token_server)


class RegistryAuth(requests.auth.AuthBase):
    """The Authorization header for one registry, shared by threads. Requests to another host get none.

    After a 401 the login happens once and the request is sent once more; the second answer counts. Later requests of
    the same kind send the successful header at once: Basic, or a token for the scope that the registry named.

    Raises:
        AccessDenied: the token server refused.
        RegistryUnavailable: the token server did not answer.
    """

    def __init__(
        self,
        url: str,
        credentials: Callable[[], Credentials | None],
        *,
        ca_file: Path | None = None,
        timeout_s: float = 10.0,
        clock: Callable[[], float] = time.monotonic,
        token_server: str | None = None,
    ) -> None:
        """credentials: called whenever the registry refuses. clock: monotonic seconds. Others as `build_auth`."""
        self._origin = _origin(urlsplit(url))
        self._token_origin = _origin(urlsplit(token_server)) if token_server else None
        self._credentials = credentials
        self._tokens = TokenCache(open_session(url, ca_file=ca_file), credentials, timeout_s, clock)
        self._lock = Lock()
        self._basic: str | None = None
        self._challenges: Newest[tuple[str, str], Challenge] = Newest()

    def __call__(self, request: requests.PreparedRequest) -> requests.PreparedRequest:
        """Add the known authorization, and log in if the registry asks for it."""
        if self._is_ours(request):
            known = self._known_header(request)
            if known is not None:
                request.headers["Authorization"] = known
            request.register_hook("response", self._log_in_if_asked)  # type: ignore[no-untyped-call]
        return request

    def _known_header(self, request: requests.PreparedRequest) -> str | None:
        with self._lock:
            challenge = self._challenges.get(_kind_of(request))
        if challenge is None:
            return self._basic
        try:
            return self._tokens.header(challenge)
        except PushpruneError:
            # The registry may name another token server by now, so the next request asks it again.
            with self._lock:
                self._challenges.pop(_kind_of(request), None)
            raise

    def _log_in_if_asked(self, response: requests.Response, **kwargs: Any) -> requests.Response:
        request = response.request
        if response.status_code != 401 or not self._is_ours(request):
            return response
        # The body is read to its end, so that the connection can be used again.
        _ = response.content
        header = self._header_for(request, response)
        if header is None or header == request.headers.get("Authorization"):
            return response
        repeated = request.copy()
        repeated.headers["Authorization"] = header
        second: requests.Response = response.connection.send(repeated, **kwargs)
        second.history.append(response)
        second.request = repeated
        return second

    def _header_for(self, request: requests.PreparedRequest, refused: requests.Response) -> str | None:
        """The Authorization header that a refusal demands; None if no configured login fits."""
        asked = {challenge.type: challenge for challenge in _challenges(refused)}
        if "bearer" in asked:
            challenge = self._challenge(asked["bearer"])
            with self._lock:
                self._challenges[_kind_of(request)] = challenge
            return self._tokens.header(challenge, refused=request.headers.get("Authorization"))
        # A registry that has a token server does not need the password itself.
        takes_password = "basic" in asked and self._token_origin is None
        login = self._credentials() if takes_password else None
        if login is None or not login.username:
            return None
        self._basic = basic_header(login)
        return self._basic

    def _challenge(self, asked: WWWAuthenticate) -> Challenge:
        realm = asked.get("realm") or ""
        try:
            parts = urlsplit(realm)
        except ValueError:
            parts = urlsplit("")
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise AccessDenied("the registry asks for a token but names no token server: correct its auth.token.realm")
        if self._origin[0] == "https" and parts.scheme != "https":
            raise AccessDenied(
                f"the registry names the token server {parts.netloc} without TLS: its auth.token.realm must be https"
            )
        if self._token_origin and _origin(parts) != self._token_origin:
            raise AccessDenied(
                f"the registry names the token server {parts.netloc}, and registry.token_server allows the login to be "
                "sent to another one only: correct one of the two"
            )
        return Challenge(realm, asked.get("service") or "", asked.get("scope") or "")

    def _is_ours(self, request: requests.PreparedRequest) -> bool:
        return _origin(urlsplit(request.url or "")) == self._origin


def _challenges(response: requests.Response) -> list[WWWAuthenticate]:
    """The WWW-Authenticate headers, one by one."""
    # Imported here: werkzeug takes long to import, and the first request has no challenge yet.
    from werkzeug.datastructures import WWWAuthenticate

    # `response.headers` joins them with commas, which the parameters of a challenge also contain.
    raw = response.raw.headers.getlist("WWW-Authenticate")
    return [challenge for challenge in map(WWWAuthenticate.from_header, raw) if challenge is not None]


def _kind_of(request: requests.PreparedRequest) -> tuple[str, str]:
    """The kind of a request: its action and its repository. The registry demands the same scope for all of a kind."""
    path = urlsplit(request.url or "").path
    repository = path.rpartition("/manifests/")[0] or path.rpartition("/tags/")[0] or path
    return ("GET" if request.method == "HEAD" else request.method or "", repository)


def _origin(parts: SplitResult) -> tuple[str, str, int]:
    return (parts.scheme, parts.hostname or "", parts.port or (443 if parts.scheme == "https" else 80))
