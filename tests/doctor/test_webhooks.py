"""The receivers of webhooks: reachable, and taking what is sent. Looking at them sends nothing."""

from pathlib import Path
from typing import Any

import pytest

from service.doctor.components import components
from service.doctor.health import keep_report, last_report, system_health
from service.store.webhooks import Look
from service.wiring import Wiring
from tests.conftest import MakeWiring
from tests.doctor.conftest import look, one, quick
from tests.fakes.certificates import make_certificates
from tests.fakes.valkey import free_port
from tests.fakes.webhook_receiver import WebhookReceiver


@pytest.fixture(autouse=True)
def no_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("http_proxy", "https_proxy", "HTTP_PROXY", "HTTPS_PROXY", "all_proxy"):
        monkeypatch.delenv(name, raising=False)


def wired(make_wiring: MakeWiring, url: str, **settings: Any) -> Wiring:
    return make_wiring(webhooks=[{"name": "chat", "url": url, **settings}])


def test_without_webhooks_there_is_nothing_to_say(make_wiring: MakeWiring) -> None:
    assert look("webhooks", quick(make_wiring())) == ()


def test_a_receiver_that_can_be_reached_is_fine_and_gets_no_request(make_wiring: MakeWiring) -> None:
    with WebhookReceiver() as receiver:
        finding = one("webhooks", quick(wired(make_wiring, receiver.url)))
        assert (finding.severity, finding.message) == ("ok", "chat: reachable, events that wait: 0")
        assert receiver.requests == []


def test_a_receiver_that_is_away_is_an_error_that_shows_no_secret(make_wiring: MakeWiring) -> None:
    port = free_port()
    finding = one("webhooks", quick(wired(make_wiring, f"http://127.0.0.1:{port}/hunter2")))
    assert finding.severity == "error"
    assert f"webhook chat: http://127.0.0.1:{port} cannot be reached: Connection refused" in finding.message
    assert "hunter2" not in repr(finding)


def test_a_certificate_that_is_not_trusted_is_an_error(make_wiring: MakeWiring, tmp_path: Any) -> None:
    certificates = make_certificates(tmp_path)
    with WebhookReceiver(tls=certificates.server) as receiver:
        assert "set ca_file" in one("webhooks", quick(wired(make_wiring, receiver.url))).message
        trusted = wired(make_wiring, receiver.url, ca_file=certificates.authority)
        assert one("webhooks", quick(trusted)).severity == "ok"


def test_a_receiver_that_accepts_nothing_is_an_error_and_dropped_events_are_a_warning(make_wiring: MakeWiring) -> None:
    with WebhookReceiver() as receiver:
        wiring = wired(make_wiring, receiver.url)
        store = wiring.store.webhooks
        store.queue("chat", store.state("chat"), Look("0", "0", {}))
        store.failed("chat", "http://chat answers 500", 0, 0)
        finding = one("webhooks", quick(wiring))
        assert finding.message == "webhook chat: http://chat answers 500 (failed attempts: 1, events that wait: 0)"
        store.stop("chat")
        assert "it wants no events" in one("webhooks", quick(wiring)).message
        wiring.store.connection.client.hset(wiring.store.connection.keys.of("webhook", "chat"), "dropped", 7)
        assert [finding.severity for finding in look("webhooks", quick(wiring))] == ["error", "warning"]


def test_a_file_that_cannot_be_read_here_is_a_warning_and_an_error_once_the_workers_say_so(
    make_wiring: MakeWiring, tmp_path: Path
) -> None:
    wiring = make_wiring(webhooks=[{"name": "chat", "url_file": tmp_path / "absent"}])
    finding = one("webhooks", quick(wiring))
    assert finding.severity == "warning"
    assert "cannot read" in finding.message
    assert finding.fix == "pushprune doctor   # where a worker runs"
    wiring.store.outbox.note_trouble("webhook chat", "nothing is sent to it: url_file")
    finding = one("webhooks", quick(wiring))
    assert (finding.severity, finding.message) == ("error", "webhook chat: nothing is sent to it: url_file")


def states(wiring: Wiring) -> dict[str, str]:
    health = system_health(wiring.store, wiring.registry, wiring.policies)
    return {component.name: component.state for component in components(health, last_report(wiring.store))}


def test_webhooks_are_a_component_once_their_state_is_known(make_wiring: MakeWiring) -> None:
    with WebhookReceiver() as receiver:
        wiring = wired(make_wiring, receiver.url)
        assert "webhooks" not in states(wiring)
        keep_report(wiring.store, look("webhooks", quick(wiring)), "ann")
        assert states(wiring)["webhooks"] == "ok"
        wiring.store.outbox.note_trouble("webhook chat", "http://chat answers 500")
        assert states(wiring)["webhooks"] == "warning"
