"""Send requests to one registry and check its answers: the part of the client that every request shares."""

import re
import time
from collections.abc import Callable
from functools import cached_property
from pathlib import Path
from typing import Any

import requests
import requests.auth
from requests.hooks import default_hooks, dispatch_hook
from requests.structures import CaseInsensitiveDict

from service import tracing
from service.domain.errors import DeletesDisabled, RegistryUnavailable
from service.domain.oci.names import is_digest
from service.registry.answers import read_json, refusal, translated
from service.registry.session import USER_AGENT, agent_with, open_session

# A path of these characters alone needs no quoting.
_PLAIN = re.compile(r"[A-Za-z0-9/._:-]+", re.ASCII)
# Distribution 2.8 writes links in place: it answers 500 if it reads a link that a push is writing at this moment.
_PAUSES_S = (0.05, 0.2)


class RegistryTransport:
    """One keep-alive session with one registry, shared by threads.

    Only a GET or HEAD is sent again: on a kept-alive connection that the registry had closed, and after a 500.

    Every method raises:
        AccessDenied: 401 or 403.
        RegistryRefused: a permanent refusal.
        RegistryUnavailable: try again later. A timeout, a refused connection, 429, 5xx or a senseless answer.
    """

    def __init__(
        self,
        url: str,
        *,
        auth: requests.auth.AuthBase | None = None,
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
            ca_file: CA certificates in PEM form, instead of those of the system.
            timeout_s: for connecting, and for each wait for bytes.
            delete_timeout_s: the same for a DELETE, during which the registry reads every tag of the repository.
            parallel: requests at once, at most.
            instead: an alternative for the user, added to the error of a registry that does not delete.
            timed: called after each request with "<method> <status>" (or "<method> none") and its seconds.
            word: of this installation. Requests that change something have it in their User-Agent, so that pushprune
                recognizes their events. No other host receives the word: only GET and HEAD follow a redirect.

        Raises:
            ConfigurationError: a bad ca_file.
        """
        self.url = url.rstrip("/")
        self.where = f"the registry at {self.url}"
        self._timeout_s, self._instead, self._timed = timeout_s, instead, timed
        self._delete_timeout_s = delete_timeout_s
        self._word = word
        self._closed = False
        self._session = open_session(self.url, ca_file=ca_file, parallel=parallel, auth=auth)

    def close(self) -> None:
        """Send no further request: each raises RegistryUnavailable. Requests under way are finished."""
        self._closed = True

    def expect_object(self, response: requests.Response) -> dict[str, Any]:
        """Return the JSON object of a successful answer."""
        self.expect(response, 200)
        body = read_json(response)
        if not isinstance(body, dict):
            raise RegistryUnavailable(f"{self.where} did not answer {request_of(response)} with a JSON object")
        return body

    def expect(self, response: requests.Response, status: int) -> None:
        """Return if the answer has this status; otherwise raise the error that the answer means."""
        if response.status_code == status:
            return
        error = refusal(response, self.where, request_of(response))
        if isinstance(error, DeletesDisabled) and self._instead:
            raise DeletesDisabled(f"{error}; {self._instead}")
        raise error

    def digest_of(self, response: requests.Response) -> str:
        """Return the digest that the answer names."""
        digest = response.headers.get("Docker-Content-Digest", "")
        if not is_digest(digest):
            raise RegistryUnavailable(f"{self.where} named no digest in its answer to {request_of(response)}")
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
        stream: bool = False,
        timeout_s: float | None = None,
    ) -> requests.Response:
        """Send a request and return the response, whatever its status. The time it took is reported to `timed`."""
        is_look = method in ("GET", "HEAD")
        for pause_s in _PAUSES_S if is_look else ():
            response = self._send(method, path, headers, content, stream=stream, timeout_s=timeout_s)
            if response.status_code != 500:
                return response
            time.sleep(pause_s)
        return self._send(method, path, headers, content, stream=stream, timeout_s=timeout_s)

    def _send(
        self,
        method: str,
        path: str,
        headers: dict[str, str],
        content: bytes | None,
        *,
        stream: bool,
        timeout_s: float | None,
    ) -> requests.Response:
        status, is_look = "none", method in ("GET", "HEAD")
        if self._closed:
            raise RegistryUnavailable("the command was interrupted")
        named = {} if is_look else {"User-Agent": self._agent()}
        began_s, timeout_s = time.monotonic(), timeout_s or self._timeout_s
        try:
            with translated(self.where, timeout_s), tracing.request(method, self.url + path) as traced:
                request = self._prepared(method, path, {**named, **traced, **headers}, content)
                response = self._answer(
                    request, stream=stream, timeout=(min(timeout_s, self._timeout_s), timeout_s), is_look=is_look
                )
                status = str(response.status_code)
                tracing.answered(response.status_code)
                return response
        finally:
            self._timed(f"{method} {status}", time.monotonic() - began_s)

    @cached_property
    def _base(self) -> str:
        """The URL of the registry in the form in which it is sent. Raises requests.exceptions.InvalidURL."""
        prepared = requests.PreparedRequest()
        prepared.prepare_url(f"{self.url}/", None)
        return (prepared.url or "").rstrip("/")

    def _prepared(
        self, method: str, path: str, headers: dict[str, str], content: bytes | None
    ) -> requests.PreparedRequest:
        """Prepare a request as `requests.Request.prepare` does.

        That checks and quotes each URL again, and merges cookies and parameters: half of the time of a request.
        """
        prepared = requests.PreparedRequest()
        prepared.method, prepared.hooks = method, default_hooks()
        prepared.headers = CaseInsensitiveDict({**dict(self._session.headers), **headers})  # type: ignore[arg-type]
        if _PLAIN.fullmatch(path):
            prepared.url = self._base + path
        else:
            prepared.prepare_url(self._base + path, None)
        prepared.prepare_body(content, None)
        prepared.prepare_auth(self._session.auth)
        return prepared

    def _answer(
        self, request: requests.PreparedRequest, *, stream: bool, timeout: tuple[float, float], is_look: bool
    ) -> requests.Response:
        """Send a request as `requests.Session.send` does, without its cookies. Looks follow redirects."""
        session = self._session
        options: dict[str, Any] = {
            "stream": stream, "timeout": timeout, "verify": session.verify, "cert": session.cert,
            "proxies": session.proxies,
        }  # fmt: skip
        response: requests.Response = session.get_adapter(self.url).send(request, **options)
        response = dispatch_hook("response", request.hooks, response, **options)  # type: ignore[no-untyped-call]
        if is_look and response.is_redirect:
            request.prepare_cookies({})
            *_, response = session.resolve_redirects(response, request, **options)
        return response


def request_of(response: requests.Response) -> str:
    """The request of an answer, for messages."""
    return f"{response.request.method} {response.request.path_url}"
