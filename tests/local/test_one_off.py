"""A verb without a service repeats requests that the registry did not answer, and deletes nothing before."""

import os
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import pytest

from service.domain.errors import RegistryUnavailable
from service.local import one_off as module
from service.local.made_deletions import made_deletions
from service.local.one_off import OneOff
from service.local.one_off_system import one_off_system
from tests.conftest import keep_last
from tests.fakes.registry import FakeRegistry

pytestmark = pytest.mark.slow
SHOP, WEB = "shop/api", "shop/web"
POLICY = keep_last(2, first_plan="apply")
FIRST = datetime(2026, 1, 1, tzinfo=UTC)


@pytest.fixture
def registry() -> Iterator[FakeRegistry]:
    """Five images in each of two repositories."""
    with FakeRegistry("3") as fake:
        for repository in (SHOP, WEB):
            for day in range(5):
                fake.push_image(repository, f"v{day}", at=FIRST + timedelta(days=day))
        yield fake


@pytest.fixture
def system(registry: FakeRegistry, monkeypatch: pytest.MonkeyPatch) -> Iterator[OneOff]:
    monkeypatch.setattr(module, "_WAITS_S", (0.0, 0.0, 0.0))
    with one_off_system(registry.url, POLICY, None, os.environ) as prepared:
        yield prepared


def test_a_registry_that_fails_now_and_then_is_asked_again(registry: FakeRegistry, system: OneOff) -> None:
    registry.fail_next("GET", "tags/list", times=2)
    registry.fail_next("GET", "blobs", times=2)
    registry.fail_next("DELETE", SHOP, times=2)
    assert system.compare([SHOP, WEB]) == 10
    system.delete_by(POLICY)
    assert registry.tags(SHOP).keys() == registry.tags(WEB).keys() == {"v3", "v4"}
    assert {(result.repository, *sorted(result.tags)) for result in made_deletions(system.wiring.store)} == {
        (SHOP, "v0", "v1", "v2"),
        (WEB, "v0", "v1", "v2"),
    }


def test_a_registry_that_goes_on_failing_ends_it(registry: FakeRegistry, system: OneOff) -> None:
    registry.fail_next("GET", f"{WEB}/manifests", times=None)
    with pytest.raises(RegistryUnavailable):
        system.compare([SHOP, WEB])


def test_nothing_is_deleted_while_the_policy_is_only_tried(registry: FakeRegistry, system: OneOff) -> None:
    system.compare([SHOP])
    assert made_deletions(system.wiring.store) == ()
    assert len(registry.tags(SHOP)) == 5
    assert {request.method for request in registry.requests} == {"GET"}
