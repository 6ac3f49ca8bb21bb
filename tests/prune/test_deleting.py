"""Deleting: the registry's answers, races with users, and no deletion beside a collection."""

import pytest

from service.domain.errors import AccessDenied, DeletesDisabled, RegistryUnavailable
from service.prune import deleting, planning
from tests.conftest import keep_last
from tests.fakes.images import make_image
from tests.support.system import SHOP, Make, System, doomed_system
from workers import tasks


def test_deletes_switched_off_loses_nothing_and_names_the_config_line(make_system: Make) -> None:
    system = doomed_system(make_system, fake={"delete_enabled": False})
    with pytest.raises(DeletesDisabled, match=r"storage: delete: enabled: true"):
        deleting.delete(system.wiring, "shop/api")
    assert len(system.store.history.doomed("shop/api")) == 1
    system.registry.delete_enabled = True
    deleting.delete(system.wiring, "shop/api")
    assert system.tags() == {"v2"}


@pytest.mark.parametrize(
    ("status", "error"),
    [(401, AccessDenied), (403, AccessDenied), (429, RegistryUnavailable), (502, RegistryUnavailable)],
)
def test_a_refusal_leaves_the_work_in_the_outbox(make_system: Make, status: int, error: type[Exception]) -> None:
    system = doomed_system(make_system)
    system.registry.fail_next("DELETE", status=status)
    with pytest.raises(error):
        deleting.delete(system.wiring, "shop/api")
    assert system.store.outbox.backlog().doomed == 1
    deleting.delete(system.wiring, "shop/api")
    assert system.tags() == {"v2"}


def test_a_task_backs_off_longer_each_time_and_as_long_as_the_registry_asks(make_system: Make) -> None:
    system = doomed_system(make_system)
    waits = []
    for headers in ({}, {}, {"Retry-After": "30"}):
        system.registry.fail_next("DELETE", status=429, headers=headers)
        system.end_back_offs()
        tasks.attempt(system.wiring, "doomed", "shop/api", deleting.delete)
        client, keys = system.store.connection.client, system.store.connection.keys
        score = client.zscore(keys.of("doomed"), "shop/api")
        assert score is not None
        waits.append(score / 1000 - client.time()[0])
    assert waits[0] < waits[1] < waits[2]
    assert 28 < waits[2] < 32


def test_an_operators_trouble_is_noted_and_ends_when_it_works_again(make_system: Make) -> None:
    system = doomed_system(make_system, fake={"delete_enabled": False})
    tasks.attempt(system.wiring, "doomed", "shop/api", deleting.delete)
    (trouble,) = system.store.outbox.troubles()
    assert "storage: delete: enabled: true" in trouble.message
    system.registry.delete_enabled = True
    system.end_back_offs()
    tasks.attempt(system.wiring, "doomed", "shop/api", deleting.delete)
    assert system.store.outbox.troubles() == ()


def test_a_push_in_the_middle_of_a_deletion_does_not_lose_its_reason(make_system: Make) -> None:
    system = doomed_system(make_system)

    def push_and_plan() -> None:
        system.push("v3")
        planning.enforce(system.wiring, "shop/api")

    system.registry.after("DELETE", "", push_and_plan)
    deleting.delete(system.wiring, "shop/api")
    system.settle()
    assert system.tags() == {"v3"}
    assert system.reasons() == dict.fromkeys(("v1", "v2"), "older than the newest (rule last)")


def dangling_system(make_system: Make) -> System:
    """2.8.3 deletes the manifest first and its tags after it; one that ends in between still lists the tag."""
    system = doomed_system(make_system)
    held = system.registry.storage.repositories["shop/api"]
    digest = held.tags["v1"]
    system.registry.before("DELETE", "", lambda: held.manifests.pop(digest))
    system.registry.drop_connection("DELETE")
    with pytest.raises(RegistryUnavailable):
        deleting.delete(system.wiring, "shop/api")
    assert system.tags() == {"v1", "v2"}
    return system


def test_a_tag_that_an_interrupted_delete_left_pointing_nowhere_is_removed(make_system: Make) -> None:
    system = dangling_system(make_system)
    deleting.delete(system.wiring, "shop/api")
    system.settle()
    assert system.tags() == {"v2"}
    assert system.reasons() == {"v1": "older than the newest (rule last)"}


def test_a_tag_that_is_pushed_while_its_dangling_tag_is_removed_is_kept(make_system: Make) -> None:
    system = dangling_system(make_system)
    image = make_image("shop/api:v1")
    system.registry.after("PUT", "manifests/v1", lambda: system.registry.push(SHOP, "stable", image))
    deleting.delete(system.wiring, SHOP)
    assert system.registry.tags(SHOP)["stable"] == image.digest
    assert image.digest in system.registry.manifests(SHOP)


def test_a_fault_that_one_delete_meets_stops_no_other_and_starts_the_waits_anew(make_system: Make) -> None:
    """2.8 answers 500 to a DELETE that meets a push of the same tag."""
    system = make_system(keep_last(1), delete={"parallel": 1})
    system.push(*(f"v{number}" for number in range(6)))
    planning.enforce(system.wiring, "shop/api")
    system.messages.sent.clear()
    system.registry.fail_next("DELETE", status=500)
    tasks.attempt(system.wiring, "doomed", "shop/api", deleting.delete)
    assert len(system.tags()) == 2
    client, key = system.store.connection.client, system.store.connection.keys.of("attempts")
    assert client.hget(key, "doomed shop/api") == "1"
    for _ in range(2):
        system.end_back_offs()
        system.registry.fail_next("DELETE", status=500)
        tasks.attempt(system.wiring, "doomed", "shop/api", deleting.delete)
    assert client.hget(key, "doomed shop/api") == "3", "where nothing goes at all the waits grow"
    system.later()
    assert system.tags() == {"v5"}
