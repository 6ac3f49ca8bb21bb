"""Notifications: the probe is heard of, and nothing else comes of it."""

import json
from typing import Any

from service.web.app import create_app
from tests.conftest import MakeWiring
from tests.doctor.conftest import one, quick
from tests.fakes.registry import FakeRegistry


def test_a_probe_that_is_reported_is_fine_and_leaves_nothing(make_wiring: MakeWiring, site: FakeRegistry) -> None:
    wiring = make_wiring(site.url)
    case = quick(wiring)
    for _ in range(2):
        assert one("notifications", case).severity == "ok"
    assert wiring.store.history.repositories() == ()
    assert wiring.store.history.entries() == ()
    assert wiring.store.outbox.backlog().due == 0
    assert wiring.store.outbox.counters().get("push", 0) <= 1, (
        "the first event of a registry is counted, as any of ours"
    )
    assert wiring.store.doctor_probes.state(case.name) == ""
    held = site.storage.repositories["pushprune/doctor"]
    assert (held.manifests, held.tags, held.blobs) == ({}, {}, set())


def test_a_probe_without_an_event_is_an_error(make_wiring: MakeWiring) -> None:
    with FakeRegistry() as registry:
        finding = one("notifications", quick(make_wiring(registry.url, listen="127.0.0.1:9999")))
    assert finding.severity == "error"
    assert "did not report a push within 0.2 s" in finding.message
    assert 'url: "http://127.0.0.1:9999/notifications"' in finding.fix
    assert "events: {includereferences: true}" in finding.fix


def test_a_probe_that_is_refused_is_a_wrong_token(make_wiring: MakeWiring) -> None:
    wiring = make_wiring(tokens={"notify": "right"})
    web = create_app(wiring).test_client()

    def tell(envelope: object) -> None:
        web.post("/notifications", data=json.dumps(envelope), headers={"Authorization": "Bearer wrong"})

    with FakeRegistry(notify=tell) as registry:
        finding = one("notifications", quick(make_wiring(registry.url, tokens={"notify": "right"})))
    assert finding.severity == "error"
    assert "does not contain tokens.notify" in finding.message
    assert finding.fix.startswith("headers: {Authorization:")
    assert "right" not in finding.fix


def test_an_event_that_is_rejected_for_its_time_names_the_clocks(make_wiring: MakeWiring) -> None:
    """A machine that was suspended may be hours behind the registry."""
    web = create_app(make_wiring()).test_client()

    def tell(envelope: dict[str, Any]) -> None:
        events = [{**event, "timestamp": "2999-01-01T00:00:00Z"} for event in envelope["events"]]
        web.post("/notifications", data=json.dumps({"events": events}))

    with FakeRegistry(notify=tell) as registry:
        finding = one("notifications", quick(make_wiring(registry.url)))
    assert finding.severity == "error"
    assert "the events are rejected: timestamp: it is not of this time" in finding.message
    assert finding.fix.startswith("timedatectl set-ntp true")


def test_a_registry_that_says_no_references_is_warned_of(make_wiring: MakeWiring) -> None:
    web = create_app(make_wiring()).test_client()
    with FakeRegistry(notify=lambda envelope: web.post("/notifications", data=json.dumps(envelope))) as registry:
        finding = one("notifications", quick(make_wiring(registry.url)))
    assert finding.severity == "warning"
    assert finding.fix.startswith("notifications: {events: {includereferences: true}}")


def test_a_probe_that_cannot_be_deleted_is_no_fault_of_the_notifications(
    make_wiring: MakeWiring, site: FakeRegistry
) -> None:
    site.delete_enabled = False
    wiring = make_wiring(site.url)
    for _ in range(2):
        assert one("notifications", quick(wiring)).severity == "ok"
    assert len(site.storage.repositories["pushprune/doctor"].manifests) == 1


def test_no_stranger_can_forge_a_probe(make_wiring: MakeWiring) -> None:
    wiring = make_wiring()
    wiring.store.doctor_probes.received("0123456789abcdef", references=True)
    assert wiring.store.doctor_probes.state("0123456789abcdef") == ""


def test_an_empty_envelope_does_not_end_the_trouble_with_the_token(make_wiring: MakeWiring) -> None:
    """The doctor posts one to check its own token, which proves nothing about the token of the registry."""
    wiring = make_wiring(tokens={"notify": "right"})
    web = create_app(wiring).test_client()
    web.post("/notifications", data='{"events": []}', headers={"Authorization": "Bearer wrong"})
    answer = web.post("/notifications", data='{"events": []}', headers={"Authorization": "Bearer right"})
    assert answer.status_code == 200
    assert [trouble.about for trouble in wiring.store.outbox.troubles()] == ["notifications"]
