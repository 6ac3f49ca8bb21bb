"""Log in to a registry, with Basic or a Bearer token, as its WWW-Authenticate header demands."""

from __future__ import annotations

import time
from collections.abc import Callable
from http.client import InvalidURL
from pathlib import Path
from threading import Lock
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from service.domain.errors import AccessDenied, PushpruneError
from service.registry.docker_config import Credentials, DockerConfig
from service.registry.exchange import Answer, Request, server_of
from service.registry.session import HttpSession
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


class RegistryAuth:
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
        self._server = server_of(url)
        self._token_server = server_of(token_server) if token_server else None
        self._credentials = credentials
        self._tokens = TokenCache(HttpSession(url, ca_file=ca_file), credentials, timeout_s, clock)
        self._lock = Lock()
        self._basic: str | None = None
        self._challenges: Newest[tuple[str, str], Challenge] = Newest()

    def send(self, request: Request, send: Callable[[Request], Answer]) -> Answer:
        """Send a request with the known authorization, and once more if the registry asks for another."""
        if server_of(request.url) != self._server:
            return send(request)
        known = self._known_header(request)
        answer = send(request.having(Authorization=known) if known else request)
        header = self._header_for(answer, known) if answer.status == 401 else None
        return answer if header in (None, known) else send(request.having(Authorization=header))

    def _known_header(self, request: Request) -> str | None:
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

    def _header_for(self, refusal: Answer, known: str | None) -> str | None:
        """The Authorization header that a refusal demands; None if no configured login fits.

        known: the header that was refused.
        """
        asked = {challenge.type: challenge for challenge in _challenges(refusal)}
        if "bearer" in asked:
            challenge = self._challenge(asked["bearer"])
            with self._lock:
                self._challenges[_kind_of(refusal.request)] = challenge
            return self._tokens.header(challenge, refused=known)
        # A registry that has a token server does not need the password itself.
        takes_password = "basic" in asked and self._token_server is None
        login = self._credentials() if takes_password else None
        if login is None or not login.username:
            return None
        self._basic = basic_header(login)
        return self._basic

    def _challenge(self, asked: WWWAuthenticate) -> Challenge:
        realm = asked.get("realm") or ""
        try:
            server = server_of(realm)
        except InvalidURL as error:
            raise AccessDenied(
                "the registry asks for a token but names no token server: correct its auth.token.realm"
            ) from error
        name = urlsplit(realm).netloc
        if self._server[0] == "https" and server[0] != "https":
            raise AccessDenied(
                f"the registry names the token server {name} without TLS: its auth.token.realm must be https"
            )
        if self._token_server and server != self._token_server:
            raise AccessDenied(
                f"the login was not sent to the token server {name}, which the registry names: registry.token_server "
                "allows another one only; if you trust this server, name it there, else correct the registry's "
                "auth.token.realm"
            )
        return Challenge(realm, asked.get("service") or "", asked.get("scope") or "")


def _challenges(refusal: Answer) -> list[WWWAuthenticate]:
    """The WWW-Authenticate headers, one by one."""
    # Imported here: werkzeug takes long to import, and the first request has no challenge yet.
    from werkzeug.datastructures import WWWAuthenticate

    values = refusal.headers.get("www-authenticate", ())
    return [challenge for challenge in map(WWWAuthenticate.from_header, values) if challenge is not None]


def _kind_of(request: Request) -> tuple[str, str]:
    """The kind of a request: its action and its repository. The registry demands the same scope for all of a kind."""
    path = urlsplit(request.url).path
    repository = path.rpartition("/manifests/")[0] or path.rpartition("/tags/")[0] or path
    return ("GET" if request.method == "HEAD" else request.method, repository)
