"""The confirmation of what a plan assumes: the tags that exist, and the pushes that may have caused its deletions."""

import pytest

from service.domain.retention.plan import Doomed, Plan, Verdict
from service.reconcile.confirm import confirm, correct_reports
from service.registry.client import RegistryClient
from service.store.snapshot import Snapshot
from tests.conftest import keep_last
from tests.fakes.forger import Forger
from tests.fakes.images import make_image
from tests.support.system import SHOP, Make, System


@pytest.fixture
def system(make_system: Make) -> System:
    """Three tags that the history knows and the registry has."""
    system = make_system(keep_last(5))
    system.push("v1", "v2", "v3")
    system.settle()
    return system


def _confirmed(system: System, snapshot: Snapshot, *doomed: str) -> bool:
    return confirm(system.store, system.wiring.registry, snapshot, _plan(snapshot, *doomed))


def _plan(snapshot: Snapshot, *doomed: str) -> Plan:
    images = [Doomed(tag.digest, (Verdict(tag, False, "old"),)) for tag in snapshot.tags if tag.name in doomed]
    return Plan(doomed=tuple(images))


def _remove(system: System, *tags: str) -> None:
    """Remove tags at the registry, of which no notification comes."""
    for tag in tags:
        del system.registry.storage.repositories[SHOP].tags[tag]


def test_a_plan_is_confirmed_if_the_registry_lists_exactly_the_known_tags(system: System) -> None:
    assert _confirmed(system, system.store.history.snapshot(SHOP), "v1")


def test_a_kept_tag_that_is_not_listed_stops_the_plan(system: System) -> None:
    snapshot = system.store.history.snapshot(SHOP)
    _remove(system, "v2")
    assert not _confirmed(system, snapshot, "v1")
    assert {tag.name for tag in system.store.history.live(SHOP)} == {"v1", "v3"}


def test_a_doomed_tag_that_is_not_listed_stops_nothing(system: System) -> None:
    snapshot = system.store.history.snapshot(SHOP)
    _remove(system, "v1", "v2")
    assert _confirmed(system, snapshot, "v1", "v2")


def test_a_listed_tag_that_is_not_known_stops_the_plan(system: System) -> None:
    snapshot = system.store.history.snapshot(SHOP)
    system.deaf = True
    system.push("v4")
    assert not _confirmed(system, snapshot, "v1")
    assert "v4" in {tag.name for tag in system.store.history.live(SHOP)}


def test_a_name_that_cannot_be_a_tag_stops_nothing(system: System, monkeypatch: pytest.MonkeyPatch) -> None:
    snapshot, tags = system.store.history.snapshot(SHOP), RegistryClient.tags
    monkeypatch.setattr(RegistryClient, "tags", lambda client, name: (*tags(client, name), ".nfs0001"))
    monkeypatch.setattr(RegistryClient, "head", lambda *_: pytest.fail("it is not looked at"))
    monkeypatch.setattr(RegistryClient, "get", lambda *_: pytest.fail("it is not looked at"))
    assert _confirmed(system, snapshot, "v1")


def test_a_move_that_was_reported_after_the_oldest_deletion_is_looked_at(system: System) -> None:
    """The move may have pushed the oldest doomed image out, although it is older than the others."""
    Forger(system.hear, SHOP).push("v2", make_image("other").digest)
    system.push("v3")
    snapshot = system.store.history.snapshot(SHOP)
    assert [tag.name for tag in snapshot.tags] == ["v1", "v2", "v3"]
    assert correct_reports(system.store, system.wiring.registry, snapshot, _plan(snapshot, "v1", "v3"))
    assert not correct_reports(system.store, system.wiring.registry, snapshot, _plan(snapshot, "v3"))
