"""The URL of Redis: one server, or a service that Sentinel watches; and its options for TLS.

redis://USER:PASSWORD@HOST:6379/0                          one server
redis+sentinel://USER:PASSWORD@HOST:26379,HOST/SERVICE/0   the server that the sentinels name

rediss:// and rediss+sentinel:// use TLS; unix:///PATH is a socket. Settings such as `redis.ca_file` are options of the
URL here, by their names in redis-py.
"""

from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qs, urlencode, urlsplit, urlunsplit

import redis
from redis.connection import parse_url
from redis.sentinel import Sentinel

PORT = 26379
# A sentinel answers at once, or the next one is asked.
_ANSWER_S = 1.0


@dataclass(frozen=True, slots=True)
class SentinelAddress:
    """The parts of a URL of a service that Sentinel watches.

    Attributes:
        hosts: of the sentinels, with their ports.
        service: the name by which the sentinels know the Redis server.
        server: the URL of the Redis server, with the address of a sentinel in place of its own.
        sentinel_options: of a client of a sentinel.
    """

    hosts: tuple[tuple[str, int], ...]
    service: str
    server: str = field(repr=False)
    sentinel_options: dict[str, Any] = field(repr=False)

    def client(self, **options: Any) -> redis.Redis:
        """Return a client of the server that takes writes; it asks the sentinels at each new connection."""
        given = _parts(self.server)
        server = {name: value for name, value in given.items() if name not in ("host", "port", "connection_class")}
        # Any: this part of redis-py has no types.
        sentinel: Any = Sentinel
        watched = sentinel(self.hosts, sentinel_kwargs=self.sentinel_options)
        client: redis.Redis = watched.master_for(
            self.service, redis.Redis, **(server | tls_options(self.server) | options)
        )
        return client


def sentinel_address(url: str) -> SentinelAddress | None:
    """Return the parts of a URL of Redis behind Sentinel; None for a URL of one server."""
    scheme, is_sentinel, _ = url.partition("+sentinel://")
    if not is_sentinel:
        return None
    parts = urlsplit(url)
    login, at, names = parts.netloc.rpartition("@")
    service, _, database = parts.path.strip("/").partition("/")
    query = {name: values[-1] for name, values in parse_qs(parts.query).items()}
    password = query.pop("sentinel_password", None)
    hosts = tuple(_host(name) for name in names.split(","))
    first = names.split(",")[0]
    server = urlunsplit((scheme, f"{login}{at}{first}", f"/{database or 0}", urlencode(query), ""))
    options = {"password": password, "socket_timeout": _ANSWER_S, "socket_connect_timeout": _ANSWER_S}
    return SentinelAddress(hosts, service, server, options | tls_options(server))


def tls_options(url: str) -> dict[str, Any]:
    """Return the options of redis-py for TLS; none for a URL that does not ask for it."""
    if not url.startswith("rediss"):
        return {}
    options = _parts(f"rediss://host/0?{urlsplit(url).query}")
    return {"ssl": True} | {name: value for name, value in options.items() if name.startswith("ssl_")}


def _parts(url: str) -> dict[str, Any]:
    parse: Any = parse_url
    return dict(parse(url))


def _host(text: str) -> tuple[str, int]:
    parts = urlsplit(f"//{text}")
    return parts.hostname or "", parts.port or PORT
