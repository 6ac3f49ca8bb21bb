"""A registry that is away is noticed while nothing is to be done, and so is its return."""

import threading
from collections.abc import Callable

import pytest

from service.health import system_health
from service.wiring import Wiring
from tests.fakes.registry import FakeRegistry
from tests.fakes.valkey import free_port
from workers import reachability
from workers.reachability import look_at_registry, watch_registry

Make = Callable[..., Wiring]


def troubles(wiring: Wiring) -> dict[str, str]:
    return {trouble.about: trouble.message for trouble in wiring.outbox.troubles()}


def test_a_registry_that_is_away_is_a_trouble_until_it_answers_again(make_wiring: Make) -> None:
    with FakeRegistry() as registry:
        wiring = make_wiring(registry.url)
        look_at_registry(wiring)
        assert troubles(wiring) == {}
        registry.drop_connection("GET", "^/v2/$", times=2)
        look_at_registry(wiring)
        assert "cannot be reached" in troubles(wiring)["registry"]
        look_at_registry(wiring)
        assert troubles(wiring) == {}


@pytest.mark.parametrize(("status", "said"), [(401, "check registry.username"), (503, "answers 503")])
def test_a_registry_that_refuses_us_is_a_trouble(make_wiring: Make, status: int, said: str) -> None:
    with FakeRegistry() as registry:
        wiring = make_wiring(registry.url)
        registry.fail_next("GET", "^/v2/$", status=status)
        look_at_registry(wiring)
        assert said in troubles(wiring)["registry"]


def test_a_registry_that_hangs_is_noticed_before_its_own_timeout(
    make_wiring: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reachability, "_PATIENCE_S", 0.1)
    with FakeRegistry() as registry:
        wiring = make_wiring(registry.url)
        registry.delay("GET", "^/v2/$", seconds=1.0)
        look_at_registry(wiring)
        assert "did not answer within 0.1 s" in troubles(wiring)["registry"]


def test_the_trouble_says_since_when(make_wiring: Make) -> None:
    wiring = make_wiring(f"http://127.0.0.1:{free_port()}")
    look_at_registry(wiring)
    (first,) = wiring.outbox.troubles()
    look_at_registry(wiring)
    assert wiring.outbox.troubles() == (first,)


def test_the_workers_go_on_looking(make_wiring: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    """Only one of them in a time slot; an answer that nobody foresaw does not end the looks."""
    monkeypatch.setattr(reachability, "_LOOK_S", 0.01)
    monkeypatch.setattr(reachability, "_EVERY_MS", 10)
    wiring, stopping, looks = make_wiring(f"http://127.0.0.1:{free_port()}"), threading.Event(), 0

    def look(of: Wiring) -> None:
        nonlocal looks
        looks += 1
        if looks == 1:
            raise RuntimeError("a fault")
        look_at_registry(of)
        stopping.set()

    monkeypatch.setattr(reachability, "look_at_registry", look)
    watch_registry(wiring, stopping)
    assert (looks, list(troubles(wiring))) == (2, ["registry"])
    wiring.outbox.sign_of_life("w1", ("enforce", "delete", "reconcile"))
    assert system_health(wiring).registry is False
