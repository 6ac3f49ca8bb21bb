"""What the registry says of its work, as the real one says it."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import requests

from service.domain.errors import RegistryRefused, RegistryUnavailable
from service.registry.inflight import InFlight
from tests.fakes.pusher import Pusher
from tests.fakes.real_registry import RealRegistry, require_registry
from tests.fakes.valkey import free_port
from tests.store.test_lease import until

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
    """Nobody listens to its notifications."""
    notify = f"http://127.0.0.1:{free_port()}/notifications"
    with RealRegistry(directory=tmp_path, notify_url=notify, config=debug(port)) as made:
        yield made


def in_flight(port: int) -> InFlight:
    return InFlight(f"http://127.0.0.1:{port}", 5)


def test_an_upload_counts_until_it_is_answered(registry: RealRegistry, port: int) -> None:
    counted = in_flight(port)
    assert counted.writes() == 0
    begun = requests.post(f"{registry.url}/v2/shop/api/blobs/uploads/", timeout=5)

    def slowly() -> Iterator[bytes]:
        yield b"x"
        until(lambda: counted.writes() == 1)
        yield b"y"

    said = requests.patch(begun.headers["Location"], data=slowly(), timeout=30)
    assert said.status_code == 202
    until(lambda: counted.writes() == 0)


def test_what_was_not_delivered_is_counted(registry: RealRegistry, port: int) -> None:
    with Pusher(registry.url) as pusher:
        pusher.push_image("shop/api", "v1")
    until(lambda: in_flight(port).undelivered() == 3)


def test_a_registry_that_does_not_tell_is_said_so(port: int) -> None:
    with pytest.raises(RegistryUnavailable):
        in_flight(port).writes()
    with RealRegistry(config=debug(port, prometheus=False)), pytest.raises(RegistryRefused, match="prometheus"):
        in_flight(port).writes()


def test_it_says_when_it_was_started(registry: RealRegistry, port: int) -> None:
    first = in_flight(port).start()
    assert first is not None
    assert 0 <= first.age_ms + 1000 < 120_000, "a whole second is the finest that its Date says"
    again = in_flight(port).start()
    assert again is not None
    assert again.said == first.said
    registry.restart()
    later = in_flight(port).start()
    assert later is not None
    assert later.said != first.said
