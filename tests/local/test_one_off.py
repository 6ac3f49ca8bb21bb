"""A verb without a service repeats requests that the registry did not answer, and deletes nothing before."""

import os
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

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


@pytest.mark.parametrize(
    "redis",
    [
        "{url: rediss://127.0.0.1:1/0, ca_file: ca, certificate_file: ca, key_file: ca}",
        "{url: redis+sentinel://127.0.0.1:1/shop/0, sentinel_password: secret}",
        "{url: redis+sentinel://127.0.0.1:1/shop/0, sentinel_password_file: ca}",
        "{url: redis://127.0.0.1:1/0, replicas: 2}",
    ],
)
def test_the_redis_of_the_service_in_the_same_settings_is_left_alone(
    registry: FakeRegistry, tmp_path: Path, redis: str
) -> None:
    (tmp_path / "ca").write_text("of another Redis")
    config = tmp_path / "pushprune.yaml"
    config.write_text(f"redis: {redis}\n")
    with one_off_system(registry.url, POLICY, config, os.environ) as system:
        assert system.compare([SHOP]) == 5
        assert (system.wiring.settings.redis.replicas, system.wiring.settings.redis.ca_file) == (0, None)


def test_the_redis_of_the_service_in_the_environment_is_left_alone(registry: FakeRegistry, tmp_path: Path) -> None:
    (tmp_path / "redis-url").write_text("redis://127.0.0.1:1/0")
    redis = {"URL_FILE": str(tmp_path / "redis-url"), "SENTINEL_PASSWORD": "secret"}
    environ = os.environ | {f"PUSHPRUNE_REDIS__{name}": value for name, value in redis.items()}
    with one_off_system(registry.url, POLICY, None, environ) as system:
        assert system.compare([SHOP]) == 5
