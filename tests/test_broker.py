"""Every address of a Redis is spoken to by the transport that outlives a Redis that refuses."""

from typing import Any

import pytest
from kombu.exceptions import OperationalError

from service.broker import SentinelTransport, Transport
from service.dispatch import celery_app
from tests.fakes.valkey import Valkey


@pytest.mark.parametrize(
    "url", ["redis://h:1/0", "rediss://u:p@h:1/0?ssl_cert_reqs=required", "unix:///run/redis.sock"]
)
def test_every_address_has_our_transport(url: str) -> None:
    with celery_app(url, "p:").connection_for_write() as connection:
        assert connection.get_transport_cls() is Transport


def test_a_service_that_sentinel_watches_has_our_transport() -> None:
    app = celery_app("redis+sentinel://one:1,two/shop/0", "p:")
    with app.connection_for_write() as connection:
        assert connection.get_transport_cls() is SentinelTransport
    assert app.conf.broker_transport_options["master_name"] == "shop"


def test_a_channel_is_open_only_where_a_write_is_taken(valkey: Valkey) -> None:
    """A user who may only look is answered a PING."""
    valkey.client().acl_setuser("looker", enabled=True, passwords=["+pw"], keys=["*"], commands=["+@read", "+ping"])
    url = valkey.url.replace("//", "//looker:pw@")
    with (
        celery_app(url, "p:").connection_for_write() as connection,
        pytest.raises(OperationalError, match="no permissions to run the 'set' command"),
    ):
        connection.ensure_connection(max_retries=1, interval_start=0)


def test_a_refusal_of_redis_counts_as_a_lost_connection(valkey: Valkey) -> None:
    """Celery reconnects after those, and ends the worker after any other error."""
    with celery_app(valkey.url, "p:").connection_for_write() as connection:
        channel: Any = connection.default_channel
        with pytest.raises(connection.connection_errors, match="unknown command"):
            channel.client.execute_command("NOSUCH")
