"""Celery's messages over Redis, with a transport that survives error replies of Redis.

kombu treats an error reply as a fault of the program, and Celery ends the worker. But a server works again later if it
replies so because it was demoted to a replica, its ACL was narrowed, it loads its data, or its memory is full. Here
such a reply counts as a lost connection: the worker logs it, reconnects, and continues.
"""

from typing import Any

from kombu.transport import TRANSPORT_ALIASES
from kombu.transport import redis as kombu_redis
from redis.exceptions import ResponseError

from service.clock import now_ms

_LIFE_MS = 60_000
_WAIT_S = 0.01


class _Proved:
    """A connection that opens a channel only after the server has accepted a write and a blocking read.

    A PING proves neither, because a replica answers it and any user may send it. If the server refuses here, Celery
    connects again in growing intervals. If it refused later, Celery would connect again without a pause.
    """

    def __init__(self, *args: object, **options: object) -> None:
        super().__init__(*args, **options)
        channel: Any = self
        try:
            channel.client.set("pulse", now_ms(), px=_LIFE_MS)
            channel.client.brpop("pulse:none", timeout=_WAIT_S)
        except Exception:
            channel.close()
            raise


class Channel(_Proved, kombu_redis.Channel):
    """A channel to one server."""


class SentinelChannel(_Proved, kombu_redis.SentinelChannel):
    """A channel to the server that the sentinels name when it is opened."""


class Transport(kombu_redis.Transport):
    """kombu's transport; an error that Redis answers ends the connection, and the worker opens another."""

    Channel: Any = Channel
    connection_errors = (*kombu_redis.Transport.connection_errors, ResponseError)


class SentinelTransport(Transport):
    """The transport for a Redis behind Sentinels."""

    Channel = SentinelChannel
    default_port = 26379


def register() -> None:
    """Have kombu use these transports for every URL of Redis: redis, rediss, redis+socket and sentinel."""
    TRANSPORT_ALIASES["sentinel"] = f"{__name__}:{SentinelTransport.__name__}"
    for scheme in ("redis", "rediss"):
        TRANSPORT_ALIASES[scheme] = f"{__name__}:{Transport.__name__}"
