"""A hostile world: floods, broken storage, faults of our own, and a registry that asks to be left alone."""

import pytest

from service.domain.events import MOST_EVENTS
from service.prune import deleting, planning
from service.store.history import History
from service.web.app import create_app
from tests.conftest import keep_last
from tests.support.makers import envelope, event
from tests.support.system import SHOP, Make, System, doomed_system
from workers import tasks
from workers.sweep import sweep


def waits_s(system: System, queue: str) -> float:
    """The seconds until the sweep takes up the repository again."""
    score = system.store.connection.client.zscore(system.store.connection.keys.of(queue), SHOP)
    assert score is not None
    return (score - system.store.connection.now_ms()) / 1000


@pytest.mark.parametrize("item", [1, event()], ids=["garbage", "pushes"])
def test_a_flood_of_events_in_one_envelope_is_refused_and_leaves_nothing(make_system: Make, item: object) -> None:
    system = make_system(keep_last(10))
    http = create_app(system.wiring).test_client()
    answer = http.post("/notifications", data=envelope(*[item] * (MOST_EVENTS + 1)))
    assert answer.status_code == 413
    assert len(answer.data) < 1000
    assert system.store.history.entries() == ()
    assert system.store.connection.client.xlen(system.store.connection.keys.of("rejected")) == 0


def test_a_tag_whose_manifest_is_missing_keeps_no_other_from_going(make_system: Make) -> None:
    system = make_system(keep_last(1))
    system.deaf = True
    system.push("dangling")
    system.deaf = False
    held = system.registry.storage.repositories[SHOP]
    held.manifests.pop(held.tags["dangling"])
    system.push("v1", "v2")
    assert system.work() < 10
    system.later()
    assert system.tags() == {"dangling", "v2"}
    assert system.store.outbox.troubles() == ()


def test_a_listed_name_that_can_be_no_tag_is_left_alone(make_system: Make) -> None:
    system = make_system(keep_last(1))
    system.push("v1", "v2")
    system.registry.storage.repositories[SHOP].tags[".DS_Store"] = "sha256:" + "0" * 64
    system.settle()
    assert system.tags() == {".DS_Store", "v2"}


def test_an_unforeseen_fault_backs_off_and_is_reported(make_system: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    system = make_system(keep_last(1))
    system.push("v1")

    def broken(_history: History, _repository: str) -> None:
        raise ZeroDivisionError("who would have thought")

    with monkeypatch.context() as patched:
        patched.setattr(History, "snapshot", broken)
        for _ in range(5):
            tasks.attempt(system.wiring, "due", SHOP, planning.enforce)
    assert 15 < waits_s(system, "due") <= 16
    (trouble,) = system.store.outbox.troubles()
    assert "this is a fault in pushprune" in trouble.message
    assert "who would have thought" in trouble.message
    tasks.attempt(system.wiring, "due", SHOP, planning.enforce)
    assert system.store.outbox.troubles() == ()


@pytest.mark.parametrize(
    ("status", "headers", "failures", "wait_s"),
    [(429, {"Retry-After": "30"}, 1, 30), (503, {}, 5, 16), (405, {}, 5, 16)],
)
def test_a_deletion_that_backs_off_waits_also_when_its_tags_are_looked_at_meanwhile(
    make_system: Make, status: int, headers: dict[str, str], failures: int, wait_s: int
) -> None:
    system = doomed_system(make_system)
    system.registry.fail_next("DELETE", status=status, headers=headers, times=None)
    for _ in range(failures):
        system.end_back_offs()
        tasks.attempt(system.wiring, "doomed", SHOP, deleting.delete)
    asked = system.registry.count("pushprune/", "DELETE")
    planning.enforce(system.wiring, SHOP)
    sweep(system.wiring)
    assert system.messages.sent == []
    assert wait_s - 2 < waits_s(system, "doomed") <= wait_s
    assert system.registry.count("pushprune/", "DELETE") == asked


def test_a_tag_that_moved_without_an_event_is_no_hot_loop(make_system: Make) -> None:
    system = doomed_system(make_system)
    system.deaf = True
    moved = system.registry.push_image(SHOP, "v1", seed="moved")
    before = len(system.registry.requests)
    system.messages.delete(SHOP)
    assert system.work() < 5
    assert len(system.registry.requests) - before < 15
    assert system.registry.tags(SHOP)["v1"] == moved


@pytest.mark.parametrize("voided", ["index", "policy"])
def test_a_back_off_outlives_the_plan_it_began_with(make_system: Make, voided: str) -> None:
    system = doomed_system(make_system)
    system.registry.fail_next("DELETE", status=429, headers={"Retry-After": "30"}, times=None)
    tasks.attempt(system.wiring, "doomed", SHOP, deleting.delete)
    asked = system.registry.count("pushprune/", "DELETE")
    if voided == "index":
        system.registry.push_index(SHOP, "multi")
    else:
        system.store.outbox.mark_due([SHOP])
        system.messages.enforce(SHOP)
    system.work()
    system.messages.delete(SHOP)
    system.work()
    assert system.registry.count("pushprune/", "DELETE") == asked
    assert 28 < waits_s(system, "doomed") <= 30
