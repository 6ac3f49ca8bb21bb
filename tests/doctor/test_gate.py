"""The gate: whether a write through the front door gets there."""

from collections.abc import Callable, Iterator

import pytest

from service.domain.errors import RegistryUnavailable
from service.wiring import Wiring
from tests.doctor.conftest import look, one, quick
from tests.fakes.registry import FakeRegistry
from tests.fakes.valkey import free_port

Make = Callable[..., Wiring]
REPOSITORY = "pushprune/doctor"


@pytest.fixture
def gated(make_wiring: Make, monkeypatch: pytest.MonkeyPatch) -> Wiring:
    """A system with `gc.gate: proxy`."""
    monkeypatch.setattr("service.doctor.gate._kind", lambda case: "proxy")
    return make_wiring()


@pytest.fixture
def front() -> Iterator[FakeRegistry]:
    """Stands for a proxy and what is behind it."""
    with FakeRegistry() as registry:
        yield registry


def asks(front: FakeRegistry, wiring: Wiring, member: str) -> None:
    """The front door notes at the gate what comes in."""
    key, client = wiring.connection.keys.of("pushing"), wiring.connection.client
    front.before("DELETE", "/uploads/", lambda: client.zadd(key, {member: wiring.connection.now_ms()}))


def test_no_gate_is_nothing_to_look_at(make_wiring: Make) -> None:
    assert one("gate", quick(make_wiring())).severity == "ok"


def test_a_front_door_that_nobody_named_is_said(gated: Wiring) -> None:
    finding = one("gate", quick(gated))
    assert finding.severity == "warning"
    assert finding.mend.startswith("pushprune doctor --front https://")


def test_a_front_door_that_asks_is_fine_and_the_question_is_forgotten(gated: Wiring, front: FakeRegistry) -> None:
    other = "shop/api 10.0.0.1/89abcdef open"
    gated.connection.client.zadd(gated.connection.keys.of("pushing"), {other: gated.connection.now_ms()})
    asks(front, gated, f"{REPOSITORY} 127.0.0.1/01234567 open")
    assert one("gate", quick(gated, front=front.url)).severity == "ok"
    assert gated.connection.client.zrange(gated.connection.keys.of("pushing"), 0, -1) == [other]
    assert front.uploads == {}
    gated.connection.client.delete(gated.connection.keys.of("pushing"))


@pytest.mark.parametrize("member", ["", "shop/api 127.0.0.1/01234567 open", f"{REPOSITORY} ~127.0.0.1/01234567 open"])
def test_a_front_door_that_does_not_ask_is_an_error(gated: Wiring, front: FakeRegistry, member: str) -> None:
    if member:
        asks(front, gated, member)
    finding = one("gate", quick(gated, front=front.url))
    assert finding.severity == "error"
    assert finding.mend.startswith("auth_request /-/gate;")
    gated.connection.client.delete(gated.connection.keys.of("pushing"))


def test_what_was_asked_before_does_not_count(gated: Wiring, front: FakeRegistry) -> None:
    key = gated.connection.keys.of("pushing")
    gated.connection.client.zadd(key, {f"{REPOSITORY} 127.0.0.1/01234567 open": gated.connection.now_ms() - 5000})
    assert one("gate", quick(gated, front=front.url)).severity == "error"
    gated.connection.client.delete(key)


def test_a_front_door_where_nobody_is_is_said(gated: Wiring) -> None:
    with pytest.raises(RegistryUnavailable, match="nobody answers"):
        look("gate", quick(gated, front=f"http://127.0.0.1:{free_port()}"))


def test_a_collection_is_not_waited_for(gated: Wiring, front: FakeRegistry) -> None:
    with gated.leases.hold("collect", 10_000):
        finding = one("gate", quick(gated, front=front.url))
    assert (finding.severity, front.requests) == ("warning", [])
