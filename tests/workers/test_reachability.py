"""A registry that is away is noticed while nothing is to be done, and so is its return."""

import threading
from typing import Any

import pytest

from service.doctor.components import open_problems
from service.doctor.health import system_health
from service.domain.errors import AccessDenied
from service.registry import Registry
from service.store import Store
from service.wiring import Wiring
from tests.conftest import MakeWiring
from tests.fakes.registry import FakeRegistry
from tests.fakes.valkey import free_port
from workers import reachability
from workers.reachability import compare_addresses, look_at_registry, watch_registry

V1 = f"sha256:{'1' * 64}"


def troubles(wiring: Wiring) -> dict[str, str]:
    return {trouble.about: trouble.message for trouble in wiring.store.outbox.troubles()}


def test_a_registry_that_is_away_is_a_trouble_until_it_answers_again(make_wiring: MakeWiring) -> None:
    with FakeRegistry() as registry:
        wiring = make_wiring(registry.url)
        look_at_registry(wiring.store, wiring.registry)
        assert troubles(wiring) == {}
        registry.drop_connection("GET", "^/v2/$", times=2)
        look_at_registry(wiring.store, wiring.registry)
        assert "cannot be reached" in troubles(wiring)["registry"]
        look_at_registry(wiring.store, wiring.registry)
        assert troubles(wiring) == {}


def test_two_registries_with_the_same_keys_in_redis_are_a_trouble_until_one_is_left(make_wiring: MakeWiring) -> None:
    first, second = make_wiring("http://127.0.0.1:5001"), make_wiring("http://127.0.0.1:5002")
    store = first.store
    compare_addresses(store, first.registry)
    compare_addresses(store, first.registry)
    assert troubles(first) == {}
    compare_addresses(store, second.registry)
    assert "http://127.0.0.1:5001 and http://127.0.0.1:5002: give each" in troubles(first)["registries"]
    health = system_health(store, first.registry, first.policies)
    (problem,) = [each for each in open_problems(store, health) if each.component == "registry"]
    assert problem.severity == "error"
    # The first worker was stopped more than a minute ago.
    client: Any = store.connection.client
    client.zadd(store.connection.keys.of("registries"), {"http://127.0.0.1:5001": 1})
    compare_addresses(store, second.registry)
    assert troubles(first) == {}


@pytest.mark.parametrize(("status", "sentence"), [(401, "check registry.username"), (503, "answers 503")])
def test_a_registry_that_refuses_us_is_a_trouble(make_wiring: MakeWiring, status: int, sentence: str) -> None:
    with FakeRegistry() as registry:
        wiring = make_wiring(registry.url)
        registry.fail_next("GET", "^/v2/$", status=status)
        look_at_registry(wiring.store, wiring.registry)
        assert sentence in troubles(wiring)["registry"]


def test_a_registry_that_hangs_is_noticed_before_its_own_timeout(
    make_wiring: MakeWiring, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reachability, "_PATIENCE_S", 0.1)
    with FakeRegistry() as registry:
        wiring = make_wiring(registry.url)
        registry.delay("GET", "^/v2/$", seconds=1.0)
        look_at_registry(wiring.store, wiring.registry)
        assert "did not answer within 0.1 s" in troubles(wiring)["registry"]


def test_the_trouble_says_since_when(make_wiring: MakeWiring) -> None:
    wiring = make_wiring(f"http://127.0.0.1:{free_port()}")
    look_at_registry(wiring.store, wiring.registry)
    (first,) = wiring.store.outbox.troubles()
    look_at_registry(wiring.store, wiring.registry)
    assert wiring.store.outbox.troubles() == (first,)


def test_the_workers_go_on_looking(make_wiring: MakeWiring, monkeypatch: pytest.MonkeyPatch) -> None:
    """One worker looks in each time slot, and an unexpected answer does not end the looks."""
    monkeypatch.setattr(reachability, "_LOOK_S", 0.01)
    monkeypatch.setattr(reachability, "_EVERY_MS", 10)
    wiring, stopping, looks = make_wiring(f"http://127.0.0.1:{free_port()}"), threading.Event(), 0

    def look(store: Store, registry: Registry) -> None:
        nonlocal looks
        looks += 1
        if looks == 1:
            raise RuntimeError("a fault")
        look_at_registry(store, registry)
        stopping.set()

    monkeypatch.setattr(reachability, "look_at_registry", look)
    watch_registry(wiring.store, wiring.registry, stopping)
    assert (looks, list(troubles(wiring))) == (2, ["registry"])
    wiring.store.outbox.sign_of_life("w1", ("enforce", "delete", "reconcile"))
    assert system_health(wiring.store, wiring.registry, wiring.policies).registry is False


def test_the_address_of_a_worker_that_is_never_elected_is_known_as_well(
    make_wiring: MakeWiring, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reachability, "_LOOK_S", 0.01)
    monkeypatch.setattr(reachability, "_EVERY_MS", 3_600_000)
    first, second = make_wiring("http://127.0.0.1:5001"), make_wiring("http://127.0.0.1:5002")
    compare_addresses(first.store, first.registry)
    assert first.store.leases.elected("registry", 3_600_000)
    stopping = threading.Event()

    def compare(store: Store, registry: Registry) -> None:
        compare_addresses(store, registry)
        stopping.set()

    monkeypatch.setattr(reachability, "compare_addresses", compare)
    watching = threading.Thread(target=watch_registry, args=(second.store, second.registry, stopping))
    watching.start()
    is_compared = stopping.wait(60)
    stopping.set()
    watching.join()
    assert is_compared
    assert list(troubles(first)) == ["registries"]


class TestWorkResumes:
    """Work resumes at once when the registry answers again, without the end of a back-off."""

    def test_postponed_work_continues_as_soon_as_the_registry_answers_again(self, make_wiring: MakeWiring) -> None:
        with FakeRegistry() as registry:
            wiring = make_wiring(registry.url)
            wiring.store.outbox.mark_due(["shop/api"])
            registry.fail_next("GET", "^/v2/$", status=502)
            look_at_registry(wiring.store, wiring.registry)
            for _ in range(6):
                wiring.store.outbox.postpone("due", "shop/api")
            assert wiring.store.outbox.overdue("due") == ()
            look_at_registry(wiring.store, wiring.registry)
            assert wiring.store.outbox.overdue("due") == ("shop/api",)
            assert wiring.store.outbox.postpone("due", "shop/api") == 60

    def test_with_what_is_not_restored_yet(self, make_wiring: MakeWiring) -> None:
        with FakeRegistry() as registry:
            wiring = make_wiring(registry.url)
            member = "v1", wiring.store.deletions.request_healing("shop/api", ["v1"])
            for _ in range(2):
                wiring.store.deletions.not_restored("shop/api", member, V1, AccessDenied("401"), final=False)
            assert wiring.store.history.snapshot("shop/api").heal == ()
            registry.fail_next("GET", "^/v2/$", status=401)
            look_at_registry(wiring.store, wiring.registry)
            look_at_registry(wiring.store, wiring.registry)
            assert [name for name, _ in wiring.store.history.snapshot("shop/api").heal] == ["v1"]


class TestRetryAfter:
    def test_a_delay_that_the_registry_asks_for_does_not_double(self, make_wiring: MakeWiring) -> None:
        wiring = make_wiring()
        wiring.store.outbox.mark_due(["shop/api"])
        assert [wiring.store.outbox.postpone("due", "shop/api", 3) for _ in range(6)] == [3] * 6

    def test_puts_the_next_look_off(self, make_wiring: MakeWiring) -> None:
        with FakeRegistry() as registry:
            wiring = make_wiring(registry.url)
            registry.fail_next("GET", "^/v2/$", status=429, headers={"Retry-After": "30"})
            look_at_registry(wiring.store, wiring.registry)
            wait_ms = wiring.store.connection.client.pttl(wiring.store.connection.keys.of("lease", "registry"))
            assert 15_000 < wait_ms <= 30_000


class TestSlowAnswers:
    def answer(self, wiring: Wiring, *seconds: float, label: str = "GET 200") -> None:
        for each_s in seconds:
            wiring.store.meter.time("registry_request", label, each_s)
        wiring.store.meter.flush()

    def test_are_a_trouble_until_the_registry_is_fast_again(self, make_wiring: MakeWiring) -> None:
        wiring, answers = make_wiring(), reachability.Answers()
        answers.look_at(wiring.store, 0.0)
        self.answer(wiring, 5.0, 5.0, 11.0, 0.1)
        answers.look_at(wiring.store, 5.0)
        assert "3 of 4 answers of the registry took more than 2.5 s" in troubles(wiring)["slow answers"]
        answers.look_at(wiring.store, 10.0)
        # Another worker is elected, and has seen no answer yet.
        reachability.Answers().look_at(wiring.store, 12.0)
        assert "slow answers" in troubles(wiring)
        self.answer(wiring, 0.1)
        answers.look_at(wiring.store, 66.0)
        assert troubles(wiring) == {}

    def test_are_no_trouble_where_few_are_slow_or_only_deletes_are(self, make_wiring: MakeWiring) -> None:
        wiring, answers = make_wiring(), reachability.Answers()
        answers.look_at(wiring.store, 0.0)
        self.answer(wiring, 5.0, 5.0, 5.0, *[0.1] * 50)
        self.answer(wiring, *[9.0] * 10, label="DELETE 202")
        answers.look_at(wiring.store, 5.0)
        assert troubles(wiring) == {}

    def test_slow_answers_of_long_ago_are_no_trouble(self, make_wiring: MakeWiring) -> None:
        wiring = make_wiring()
        self.answer(wiring, 5.0, 5.0, 5.0)
        reachability.Answers().look_at(wiring.store, 0.0)
        assert troubles(wiring) == {}
