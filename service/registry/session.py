"""Opens the keep-alive HTTP session that everything sent to a registry or its token server goes through."""

import ssl
from http.cookiejar import DefaultCookiePolicy
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import requests
from requests.adapters import HTTPAdapter
from requests.utils import get_environ_proxies
from urllib3.exceptions import ReadTimeoutError
from urllib3.util.retry import Retry

from service import __version__
from service.domain.errors import ConfigurationError

USER_AGENT = f"pushprune/{__version__}"


class StaleConnectionRetry(Retry):
    """Sends a GET or HEAD once more when a kept-alive connection turns out to be closed; never after a timeout."""

    def increment(
        self,
        method: str | None = None,
        url: str | None = None,
        response: Any = None,
        error: Exception | None = None,
        _pool: Any = None,
        _stacktrace: TracebackType | None = None,
    ) -> Self:
        if isinstance(error, ReadTimeoutError):
            raise error
        return super().increment(method, url, response, error, _pool, _stacktrace)


class _Anonymous(requests.auth.AuthBase):
    """Adds nothing; its presence keeps requests from looking for a password in ~/.netrc."""

    def __call__(self, request: requests.PreparedRequest) -> requests.PreparedRequest:
        return request


def open_session(
    url: str, *, ca_file: Path | None = None, parallel: int = 4, auth: requests.auth.AuthBase | None = None
) -> requests.Session:
    """A session for `url` with at most `parallel` connections, shared by threads, without cookies.

    Only the proxy variables of the environment are obeyed, read once here: requests would look them up at every
    request, and REQUESTS_CA_BUNDLE would silently win over `ca_file`.
    Raises ConfigurationError for a `ca_file` that cannot be read or holds no certificate.
    """
    _check_ca_file(ca_file)
    session = requests.Session()
    session.trust_env = False
    session.proxies.update(get_environ_proxies(url))
    session.verify = str(ca_file) if ca_file else True
    session.auth = auth or _Anonymous()
    session.headers["User-Agent"] = USER_AGENT
    session.cookies.set_policy(DefaultCookiePolicy(allowed_domains=[]))
    retry = StaleConnectionRetry(
        total=1,
        connect=0,
        read=1,
        status=0,
        redirect=0,
        other=0,
        allowed_methods=("GET", "HEAD"),
        raise_on_status=False,
    )
    adapter = HTTPAdapter(pool_connections=4, pool_maxsize=parallel, max_retries=retry, pool_block=True)
    session.mount("http://", adapter)
    session.mount("https://", adapter)
    return session


def _check_ca_file(ca_file: Path | None) -> None:
    if ca_file is None:
        return
    try:
        ssl.create_default_context(cafile=str(ca_file))
    except (OSError, ssl.SSLError) as error:
        raise ConfigurationError(
            f"registry.ca_file {ca_file} cannot be used ({error}): it must hold the CA certificate in PEM form"
        ) from error
