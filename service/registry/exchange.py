"""One request to a server, its answer, and the errors of an answer that did not arrive: plain values."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from http.client import HTTPException, InvalidURL
from typing import Protocol
from urllib.parse import urlsplit

from service import __version__

USER_AGENT = f"pushprune/{__version__}"
# Requests with these methods change nothing: only they are repeated, and only their redirects are followed.
SAFE_METHODS = frozenset({"GET", "HEAD"})
_PORTS = {"http": 80, "https": 443}
_ORIGIN = re.compile(r"https?://[^/?#]*", re.IGNORECASE)


def agent_with(word: str, probe: str = "") -> str:
    """Return the User-Agent of a request that changes something. Its event is recognized by the word."""
    return f"{USER_AGENT} ({word}; probe {probe})" if probe else f"{USER_AGENT} ({word})"


@dataclass(frozen=True, slots=True)
class Request:
    """A request. headers may hold a login, so they are not printed."""

    method: str
    url: str
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    content: bytes | None = field(default=None, repr=False)

    @property
    def path(self) -> str:
        """The path, with the query."""
        return split_url(self.url)[1]

    def having(self, **headers: str) -> "Request":
        """Return the request with more headers."""
        return Request(self.method, self.url, {**self.headers, **headers}, self.content)


@dataclass(frozen=True, slots=True)
class Answer:
    """A complete answer, as a value; `response.Response` is one that is still being read.

    Attributes:
        headers: the values of each header, by its name in lower case.
        content: the body.
    """

    request: Request
    status: int
    headers: Mapping[str, tuple[str, ...]]
    content: bytes

    def header(self, name: str) -> str:
        """Return the value of a header; "" if the answer does not have it."""
        return ", ".join(self.headers.get(name.lower(), ()))


class Sender(Protocol):
    """A way to send requests. Tests replace the network by another sender."""

    def send(self, request: Request, *, timeout_s: float, most_bytes: int | None = None) -> Answer:
        """Send a request and return the answer, whatever its status.

        Args:
            request: to send.
            timeout_s: for each wait for bytes.
            most_bytes: the largest body of a successful answer that is accepted; None: 64 MiB; 0: no body is read, not
                even that of an error.

        Raises:
            OSError, HTTPException, ValueError: no complete answer arrived in time.
        """
        ...


# OSError: the network or TLS failed. HTTPException: the answer breaks HTTP. ValueError: the request cannot be sent.
FAILURES = (OSError, HTTPException, ValueError)


class NoAnswer(HTTPException):
    """No whole answer arrived. The text is for the user, and shows no URL."""


class ConnectionLost(NoAnswer):
    """The connection ended before the head of the answer arrived."""


class BodyLost(NoAnswer):
    """The head of the answer arrived, and its body did not."""


class AnswerRefused(HTTPException):
    """The answer breaks a rule of HTTP, or would fill the memory: no registry sends such an answer."""


class AnswerTooLarge(AnswerRefused):
    """The body is larger than the caller allows."""


class AnswerCompressed(AnswerRefused):
    """The body of a successful answer is compressed although the request did not allow that."""


def split_url(url: str) -> tuple[str, str]:
    """Split a URL into its origin, such as https://registry:5000, and the path with the query. Raises InvalidURL."""
    origin = _ORIGIN.match(url)
    if origin is None:
        raise InvalidURL(f"{url} is not a URL of HTTP")
    target = url[origin.end() :]
    return origin[0], target if target.startswith("/") else f"/{target}"


def server_of(url: str) -> tuple[str, str, int]:
    """Return the scheme, the host and the port of a URL. Raises InvalidURL unless it is one of HTTP."""
    try:
        parts = urlsplit(url)
        server = (parts.scheme, parts.hostname or "", parts.port or _PORTS[parts.scheme])
    except (ValueError, KeyError) as error:
        raise InvalidURL(f"{url} is not a URL of HTTP") from error
    if not server[1]:
        raise InvalidURL(f"{url} names no host")
    return server
