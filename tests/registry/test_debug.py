"""The registry's answers about its work, as the real one gives them."""

import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import requests

from service.domain.errors import RegistryRefused, RegistryUnavailable
from service.registry.debug import DebugServer
from tests.fakes.pusher import Pusher
from tests.fakes.real_registry import RealRegistry, require_registry
from tests.fakes.valkey import free_port
from tests.support.waiting import until

pytestmark = pytest.mark.live


def debug(port: int, *, prometheus: bool = True) -> dict[str, Any]:
    """A registry's configuration with a debug server."""
    return {"http": {"debug": {"addr": f"127.0.0.1:{port}", "prometheus": {"enabled": prometheus}}}}


@pytest.fixture
def port() -> int:
    require_registry()
    return free_port()


@pytest.fixture
def registry(port: int, tmp_path: Path) -> Iterator[RealRegistry]:
    """A registry whose notifications reach no receiver."""
    notify = f"http://127.0.0.1:{free_port()}/notifications"
    with RealRegistry(directory=tmp_path, notify_url=notify, config=debug(port)) as made:
        yield made


def in_flight(port: int) -> DebugServer:
    return DebugServer([f"http://127.0.0.1:{port}"], 5)


def test_an_upload_counts_until_it_is_answered(registry: RealRegistry, port: int) -> None:
    counted = in_flight(port)
    assert counted.writes() == 0
    begun = requests.post(f"{registry.url}/v2/shop/api/blobs/uploads/", timeout=60)

    def slowly() -> Iterator[bytes]:
        yield b"x"
        until(lambda: counted.writes() == 1)
        yield b"y"

    message = requests.patch(begun.headers["Location"], data=slowly(), timeout=240)
    assert message.status_code == 202
    until(lambda: counted.writes() == 0)


def test_undelivered_notifications_are_counted(registry: RealRegistry, port: int) -> None:
    with Pusher(registry.url) as pusher:
        pusher.push_image("shop/api", "v1")
    until(lambda: in_flight(port).undelivered() == 3)


def test_each_of_several_registries_is_asked(registry: RealRegistry, port: int, tmp_path: Path) -> None:
    """The registries share a storage behind a balancer, and one of them is in the middle of a write."""
    other_port = free_port()
    (tmp_path / "other").mkdir()
    with RealRegistry(directory=tmp_path / "other", config=debug(other_port)) as other:
        for first, second in ((port, other_port), (other_port, port)):
            both = DebugServer([f"http://127.0.0.1:{first}", f"http://127.0.0.1:{second}"], 5)
            begun = requests.post(f"{other.url}/v2/shop/api/blobs/uploads/", timeout=60)

            def slowly(both: DebugServer = both) -> Iterator[bytes]:
                yield b"x"
                until(lambda: both.writes() == 1)
                yield b"y"

            assert requests.patch(begun.headers["Location"], data=slowly(), timeout=240).status_code == 202
        with Pusher(registry.url) as pusher:
            pusher.push_image("shop/api", "v1")
        until(lambda: both.undelivered() == 3)
    with pytest.raises(RegistryUnavailable, match=str(other_port)):
        both.writes()


def test_a_name_with_several_addresses_stands_for_several_registries(
    port: int, registry: RealRegistry, monkeypatch: pytest.MonkeyPatch
) -> None:
    known = {"registry": ["127.0.0.1", "127.0.0.1"]}

    def look_up(host: str, port: int, **_: Any) -> list[Any]:
        return [(socket.AF_INET6, 1, 6, "", ("::1", port, 0, 0))] + [
            (socket.AF_INET, 1, 6, "", (at, port)) for at in known[host]
        ]

    real = socket.getaddrinfo
    monkeypatch.setattr(
        "service.registry.debug.socket.getaddrinfo",
        lambda host, *more, **mode: look_up(host, *more, **mode) if host in known else real(host, *more, **mode),
    )
    asked = DebugServer([f"http://registry:{port}"], 5)
    assert asked.writes() == 0
    known["registry"].append("127.0.0.9")
    with pytest.raises(RegistryUnavailable, match=r"127\.0\.0\.9"):
        asked.writes()
    known.clear()
    with pytest.raises(RegistryUnavailable):
        asked.writes()


def test_a_registry_that_does_not_tell_is_said_so(port: int) -> None:
    with pytest.raises(RegistryUnavailable):
        in_flight(port).writes()
    with RealRegistry(config=debug(port, prometheus=False)), pytest.raises(RegistryRefused, match="prometheus"):
        in_flight(port).writes()


def test_the_registry_reports_when_it_was_started(registry: RealRegistry, port: int) -> None:
    (first,) = in_flight(port).starts()
    assert 0 <= first.age_ms + 1000 < 120_000, "a whole second is the finest that its Date says"
    (again,) = in_flight(port).starts()
    assert again.reported == first.reported
    registry.restart()
    (later,) = in_flight(port).starts()
    assert later.reported != first.reported
