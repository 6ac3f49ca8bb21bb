"""Send requests to one registry and check its answers: the part of the client that every request shares."""

import time
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any
from urllib.parse import urljoin

from service import tracing
from service.domain.errors import DeletesDisabled, RegistryUnavailable
from service.domain.oci.names import is_digest
from service.registry.answers import read_json, refusal, request_of, translated
from service.registry.auth import RegistryAuth
from service.registry.exchange import SAFE_METHODS, USER_AGENT, Answer, Request, Sender, agent_with
from service.registry.session import HttpSession

# Distribution 2.8 writes links in place: it answers 500 if it reads a link that a push is writing at this moment.
_PAUSES_S = (0.05, 0.2)
_REDIRECTS = frozenset({301, 302, 303, 307, 308})
_MOST_REDIRECTS = 10


class RegistryTransport:
    """One keep-alive session with one registry, shared by threads.

    Only a GET or HEAD is sent again: on a kept-alive connection that the registry had closed, and after a 500.

    Every method raises:
        AccessDenied: 401 or 403.
        RegistryRefused: a permanent refusal.
        RegistryUnavailable: try again later. A timeout, a refused connection, 429, 5xx or a senseless answer.

    Attributes:
        sender: the session; tests put another way to the registry in its place.
    """

    # The User-Agent of a request that changes nothing.
    _look_agent = USER_AGENT

    def __init__(
        self,
        url: str,
        *,
        auth: RegistryAuth | None = None,
        ca_file: Path | None = None,
        timeout_s: float = 10.0,
        delete_timeout_s: float = 300.0,
        parallel: int = 4,
        instead: str = "",
        timed: Callable[[str, float], object] = lambda *_: None,
        word: Callable[[], str] | None = None,
    ) -> None:
        """Open the session; nothing is sent yet.

        Args:
            url: of the registry.
            auth: the login.
            ca_file: CA certificates in PEM form, instead of the usual ones.
            timeout_s: for connecting, and for each wait for bytes.
            delete_timeout_s: the same for a DELETE, during which the registry reads every tag of the repository.
            parallel: requests at once, at most.
            instead: an alternative for the user, added to the error of a registry that does not delete.
            timed: called after each request with "<method> <status>" (or "<method> none") and its seconds.
            word: returns the word that identifies this installation. Requests that change something have it in their
                User-Agent, so that pushprune recognizes their events. No other host receives the word: only GET and
                HEAD follow a redirect.

        Raises:
            ConfigurationError: a bad ca_file.
        """
        self.url = url.rstrip("/")
        self.where = f"the registry at {self.url}"
        self.sender: Sender = HttpSession(self.url, ca_file=ca_file, connect_s=timeout_s, parallel=parallel)
        self._auth, self._timeout_s, self._instead, self._timed = auth, timeout_s, instead, timed
        self._delete_timeout_s = delete_timeout_s
        self._word = word
        self._closed = False

    def close(self) -> None:
        """Send no further request: each raises RegistryUnavailable. Requests under way are finished."""
        self._closed = True

    def expect_object(self, answer: Answer) -> dict[str, Any]:
        """Return the JSON object of a successful answer."""
        self.expect(answer, 200)
        body = read_json(answer)
        if not isinstance(body, dict):
            raise RegistryUnavailable(f"{self.where} did not answer {request_of(answer)} with a JSON object")
        return body

    def expect(self, answer: Answer, status: int) -> None:
        """Return if the answer has this status; otherwise raise the error that the answer means."""
        if answer.status == status:
            return
        error = refusal(answer, self.where, request_of(answer))
        if isinstance(error, DeletesDisabled) and self._instead:
            raise DeletesDisabled(f"{error}; {self._instead}")
        raise error

    def digest_of(self, answer: Answer) -> str:
        """Return the digest that the answer names."""
        digest = answer.header("Docker-Content-Digest")
        if not is_digest(digest):
            raise RegistryUnavailable(f"{self.where} named no digest in its answer to {request_of(answer)}")
        return digest

    def _agent(self) -> str:
        """The User-Agent of a request that changes something."""
        return agent_with(self._word()) if self._word else USER_AGENT

    def send(
        self,
        method: str,
        path: str,
        headers: dict[str, str],
        content: bytes | None = None,
        *,
        timeout_s: float | None = None,
        most_bytes: int | None = None,
    ) -> Answer:
        """Send a request and return the answer, whatever its status. The time it took is reported to `timed`.

        A successful answer whose body is larger than most_bytes counts as malformed (RegistryUnavailable).
        """
        request = Request(method, self.url + path, headers, content)
        for pause_s in _PAUSES_S if method in SAFE_METHODS else ():
            answer = self._send(request, timeout_s or self._timeout_s, most_bytes)
            if answer.status != 500:
                return answer
            time.sleep(pause_s)
        return self._send(request, timeout_s or self._timeout_s, most_bytes)

    def _send(self, request: Request, timeout_s: float, most_bytes: int | None) -> Answer:
        status, method = "none", request.method
        if self._closed:
            raise RegistryUnavailable("the command was interrupted")
        agent = self._look_agent if method in SAFE_METHODS else self._agent()
        began_s = time.monotonic()
        try:
            with translated(self.where, timeout_s), tracing.request(method, request.url) as traced:
                request = request.having(**{"User-Agent": agent}, **traced)
                answer = self._answer(request, partial(self.sender.send, timeout_s=timeout_s, most_bytes=most_bytes))
                status = str(answer.status)
                tracing.answered(answer.status)
                return answer
        finally:
            self._timed(f"{method} {status}", time.monotonic() - began_s)

    def _answer(self, request: Request, send: Callable[[Request], Answer]) -> Answer:
        """Send a request, log in if the registry asks for it, and follow the redirects of a GET or HEAD."""
        for _ in range(_MOST_REDIRECTS):
            answer = self._auth.send(request, send) if self._auth else send(request)
            if answer.status not in _REDIRECTS or request.method not in SAFE_METHODS:
                break
            url = urljoin(request.url, answer.header("Location")).partition("#")[0]
            if url == request.url or not url.lower().startswith(("http://", "https://")):
                break
            request = replace(request, url=url)
        return answer
