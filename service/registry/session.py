"""Send requests through connections to a registry, and to the other servers that it names."""

import os
import ssl
from collections.abc import Mapping
from pathlib import Path
from urllib.parse import quote

from service.domain.errors import ConfigurationError
from service.registry.connections import Connections
from service.registry.exchange import SAFE_METHODS, Answer, ConnectionLost, Request, split_url

# The registry, its token server, the storage to which it redirects.
_MOST_SERVERS = 8
# "%" is one of them: what is quoted already is not quoted again.
_NOT_QUOTED = "!#$%&'()*+,/:;=?@[]~"


class HttpSession:
    """Keep-alive connections, shared by threads: at most `parallel` to each server. No cookies, no redirects.

    Only the proxy variables of the environment are used, and they are read once.
    """

    def __init__(
        self,
        url: str,
        *,
        ca_file: Path | None = None,
        connect_s: float = 10.0,
        parallel: int = 4,
        uses_proxies: bool = True,
        ca_setting: str = "registry.ca_file",
    ) -> None:
        """Prepare the session; nothing is sent yet.

        Args:
            url: of the server. The environment may exclude it from the use of proxies.
            ca_file: CA certificates in PEM form, instead of the usual ones.
            connect_s: for connecting, unless a request has less time.
            parallel: connections to each server, at most.
            uses_proxies: False to connect directly, whatever the environment says.
            ca_setting: the name of the setting of `ca_file`, for the error.

        Raises:
            ConfigurationError: `ca_file` cannot be read or contains no certificate.
        """
        _check_ca_file(ca_file, ca_setting)
        self._url, self._ca_file, self._connect_s, self._parallel = url, ca_file, connect_s, parallel
        self._proxies = _environ_proxies(url) if uses_proxies else {}
        self._servers: dict[str, Connections] = {}

    def send(self, request: Request, *, timeout_s: float, most_bytes: int | None = None) -> Answer:
        """Send a request and return the answer, see `Sender.send`.

        A GET or HEAD is sent once more if its connection turns out to be closed, but never after a timeout.
        """
        origin, target = split_url(request.url)
        server = self._servers.get(origin) or self._server(origin)
        target, connect_s = quote(target, safe=_NOT_QUOTED), min(self._connect_s, timeout_s)
        try:
            return server.exchange(request, target, connect_s, timeout_s, most_bytes)
        except ConnectionLost:
            if request.method not in SAFE_METHODS:
                raise
            return server.exchange(request, target, connect_s, timeout_s, most_bytes)

    def _server(self, origin: str) -> Connections:
        # A registry that names one server after the other must not fill the memory.
        while len(self._servers) >= _MOST_SERVERS:
            own = split_url(self._url)[0]
            self._servers.pop(next((other for other in tuple(self._servers) if other != own), ""), None)
        proxy = _proxy_of(origin, self._proxies) if self._proxies else None
        # Another thread may have been faster.
        return self._servers.setdefault(origin, Connections(origin, proxy, self._ca_file, self._parallel))


# The library `requests` knows best what NO_PROXY may be, but takes long to import: only where a proxy is set.
def _environ_proxies(url: str) -> Mapping[str, str]:
    if not any(name.lower().endswith("_proxy") for name in os.environ):
        return {}
    from requests.utils import get_environ_proxies

    return get_environ_proxies(url)


def _proxy_of(origin: str, proxies: Mapping[str, str]) -> str | None:
    from requests.utils import select_proxy

    proxy = select_proxy(origin, proxies)
    return f"http://{proxy}" if proxy and "://" not in proxy else proxy


def _check_ca_file(ca_file: Path | None, setting: str) -> None:
    if ca_file is None:
        return
    try:
        ssl.create_default_context(cafile=str(ca_file))
    except (OSError, ssl.SSLError) as error:
        raise ConfigurationError(
            f"{setting} {ca_file} cannot be used ({error}): it must hold the CA certificate in PEM form"
        ) from error
