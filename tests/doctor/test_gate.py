"""The gate: the doctor sends a write through the proxy and looks for it at the gate."""

import hashlib
from collections.abc import Iterator
from pathlib import Path

import pytest

from service.doctor import Case
from service.domain.errors import RegistryUnavailable
from service.registry.exchange import USER_AGENT
from service.wiring import Wiring
from tests.conftest import MakeWiring
from tests.doctor.conftest import look, one, quick
from tests.fakes.certificates import make_certificates
from tests.fakes.proxy_page import ProxyPage
from tests.fakes.registry import FakeRegistry
from tests.fakes.valkey import free_port
from tests.support.gate import earlier

REPOSITORY = "pushprune/doctor"


@pytest.fixture
def gated(make_wiring: MakeWiring) -> Wiring:
    """A system with `gc.gate: proxy` and a gate process."""
    wiring = make_wiring(gc={"gate": "proxy"})
    wiring.store.gate.check_in("a gate process")
    return wiring


@pytest.fixture
def front() -> Iterator[FakeRegistry]:
    """A stand-in for a proxy and the registry behind it."""
    with FakeRegistry() as registry:
        yield registry


def asks(front: FakeRegistry, case: Case, member: str) -> None:
    """The note that the proxy makes at the gate for each request. HASH stands for the name of our client."""
    messages = member.replace("HASH", hashlib.sha256(f"{USER_AGENT} (probe {case.name})".encode()).hexdigest()[:8])
    client, key = case.wiring.store.connection.client, pushing(case.wiring)
    front.before("DELETE", "/uploads/", lambda: client.zadd(key, {messages: case.wiring.store.connection.now_ms()}))


def pushing(wiring: Wiring) -> str:
    return wiring.store.connection.keys.of("pushing")


def test_the_check_of_the_gate_is_skipped_without_a_gate(make_wiring: MakeWiring) -> None:
    finding = one("gate", quick(make_wiring()))
    assert (finding.severity, finding.message) == ("skipped", "gc.gate is none: no proxy asks before a write")


def test_a_gate_process_that_does_not_run_is_an_error(make_wiring: MakeWiring) -> None:
    finding = one("gate", quick(make_wiring(gc={"gate": "proxy"})))
    assert finding.severity == "error"
    assert finding.fix.startswith("pushprune gate")


def test_a_gate_process_that_was_killed_does_not_run(gated: Wiring) -> None:
    earlier(gated.store.connection, "gates", 11)
    assert one("gate", quick(gated)).message == "no gate process is running: the proxy refuses every push"


def test_a_front_door_that_was_not_named_is_reported(gated: Wiring) -> None:
    finding = one("gate", quick(gated))
    assert finding.severity == "warning"
    assert finding.fix.startswith("pushprune doctor --front https://")


def test_a_front_door_that_asks_is_fine_and_only_that_question_is_forgotten(gated: Wiring, front: FakeRegistry) -> None:
    """A user's push into the same repository counts, too."""
    client, key = gated.store.connection.client, pushing(gated)
    others = ["shop/api 10.0.0.1/89abcdef open", f"{REPOSITORY} 10.0.0.1/89abcdef open"]
    client.zadd(key, {other: gated.store.connection.now_ms() for other in others})
    case = quick(gated, front=front.url)
    asks(front, case, f"{REPOSITORY} 127.0.0.1/HASH open")
    assert one("gate", case).severity == "ok"
    assert sorted(client.zrange(key, 0, -1)) == sorted(others)
    assert front.uploads == {}
    client.delete(key)


@pytest.mark.parametrize(
    "member",
    [
        "shop/api 127.0.0.1/HASH open",
        f"{REPOSITORY} ~127.0.0.1/HASH open",
        f"{REPOSITORY} 127.0.0.1/01234567 open",
        "*",
    ],
)
def test_a_front_door_that_does_not_ask_is_an_error(gated: Wiring, front: FakeRegistry, member: str) -> None:
    case = quick(gated, front=front.url)
    asks(front, case, member)
    finding = one("gate", case)
    assert finding.severity == "error"
    assert finding.fix.startswith("auth_request /-/gate;")
    assert gated.store.connection.client.zcard(pushing(gated)) == 1
    gated.store.connection.client.delete(pushing(gated))


def test_a_front_door_that_does_not_reach_the_gate_process_refuses_every_push(
    gated: Wiring, front: FakeRegistry
) -> None:
    front.fail_next("DELETE", "/uploads/", status=503)
    finding = one("gate", quick(gated, front=front.url))
    assert finding.severity == "error"
    assert "was refused (503) and did not reach the gate process: no push passes" in finding.message
    assert finding.fix.startswith("docker compose restart gate ")


def test_a_gate_that_is_closed_is_no_front_door_that_does_not_ask(gated: Wiring, front: FakeRegistry) -> None:
    gated.store.gate.drain("lost", 1, "by hand")
    gated.store.gate.close("lost")
    front.fail_next("DELETE", "/uploads/", status=503)
    finding = one("gate", quick(gated, front=front.url))
    assert (finding.severity, finding.fix) == ("warning", "pushprune gc   # says why")


def test_a_silent_gate_process_is_named_because_collections_wait_for_it(gated: Wiring) -> None:
    gated.store.gate.check_in("gatekeeper/boot/1/7/ab")
    earlier(gated.store.connection, "gates", 60)
    gated.store.gate.check_in("a gate process")
    finding, _ = look("gate", quick(gated))
    assert finding.message.startswith("the gate process on gatekeeper is silent: collections wait for it until 20")
    assert finding.fix.startswith("pushprune gc --forget-gates ")


def test_a_front_door_that_does_not_answer_is_reported(gated: Wiring) -> None:
    with pytest.raises(RegistryUnavailable, match="cannot be reached: Connection refused"):
        look("gate", quick(gated, front=f"http://127.0.0.1:{free_port()}"))


def test_a_front_door_whose_certificate_is_not_trusted_is_not_checked(gated: Wiring, tmp_path: Path) -> None:
    with FakeRegistry(tls=make_certificates(tmp_path).server) as front:
        finding = one("gate", quick(gated, front=front.url))
    assert finding.severity == "warning"
    assert "not trusted here (unable to get local issuer certificate): set registry.ca_file to" in finding.message
    assert finding.fix.startswith("PUSHPRUNE_REGISTRY__CA_FILE=")


@pytest.mark.parametrize("status", [301, 400, 401, 404])
def test_a_front_door_that_is_no_registry_is_not_accused(gated: Wiring, status: int) -> None:
    with ProxyPage(status) as proxy:
        finding = one("gate", quick(gated, front=proxy.url))
    assert finding.severity == "warning"
    assert f"answers {status} to a write, and not as a registry does" in finding.message


def test_a_collection_is_not_waited_for(gated: Wiring, front: FakeRegistry) -> None:
    with gated.store.leases.hold("collect", 10_000):
        finding = one("gate", quick(gated, front=front.url))
    assert (finding.severity, front.requests) == ("warning", [])
