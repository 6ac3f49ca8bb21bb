"""The URL of Redis: the parts of one with sentinels, as redis-py and kombu need them."""

import pytest

from service.dispatch import broker_url
from service.store.redis_url import sentinel_address, tls_options

WHOLE = "rediss+sentinel://u:p%40w@one:1,two,three:3/shop/2?ssl_ca_certs=%2Fca.pem&sentinel_password=s"


@pytest.mark.parametrize("url", ["redis://h:1/0", "rediss://u:p@h:1/0", "unix:///run/redis.sock"])
def test_a_single_server_has_no_sentinels(url: str) -> None:
    assert sentinel_address(url) is None


def test_a_url_with_sentinels_has_hosts_service_login_and_options() -> None:
    address = sentinel_address(WHOLE)
    assert address
    assert address.hosts == (("one", 1), ("two", 26379), ("three", 3))
    assert address.service == "shop"
    assert address.sentinel_options["password"] == "s"
    assert address.sentinel_options["ssl_ca_certs"] == "/ca.pem"
    pool = address.client(socket_timeout=1.5).connection_pool
    assert pool.connection_kwargs["password"] == "p@w"
    assert pool.connection_kwargs["db"] == 2
    assert pool.connection_kwargs["socket_timeout"] == 1.5


def test_the_broker_gets_all_sentinels_with_login_and_database() -> None:
    assert broker_url(WHOLE) == (
        "sentinel://u:p%40w@one:1/2;sentinel://u:p%40w@two:26379/2;sentinel://u:p%40w@three:3/2"
    )


def test_options_for_tls_are_taken_only_where_the_url_asks_for_it() -> None:
    assert tls_options("redis://h/0?ssl_ca_certs=/ca.pem") == {}
    assert tls_options("rediss://h/0?ssl_ca_certs=/ca.pem") == {"ssl": True, "ssl_ca_certs": "/ca.pem"}


def test_no_password_is_shown() -> None:
    assert "p%40w" not in repr(sentinel_address(WHOLE))
