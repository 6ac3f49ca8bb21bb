"""The demo's check: each tag that is not at the registry as its result says gets a sentence."""

from collections.abc import Iterator
from dataclasses import replace

import pytest

from service.local.demo_result import TagResult, differences
from service.registry.client import RegistryClient
from tests.fakes.registry import FakeRegistry

REPOSITORY = "shop/api"


@pytest.fixture
def registry() -> Iterator[FakeRegistry]:
    """v1 was deleted, v2 is there."""
    with FakeRegistry() as fake:
        for tag in ("v1", "v2"):
            fake.push_image(REPOSITORY, tag)
        yield fake


@pytest.fixture
def results(registry: FakeRegistry) -> tuple[TagResult, TagResult]:
    digests = registry.tags(REPOSITORY)
    RegistryClient(registry.url).delete(REPOSITORY, digests["v1"])
    return TagResult(REPOSITORY, "v1", digests["v1"], False, "old"), TagResult(
        REPOSITORY, "v2", digests["v2"], True, "new"
    )


def found(registry: FakeRegistry, *results: TagResult) -> list[str]:
    return list(differences(RegistryClient(registry.url), results))


def test_nothing_differs_if_the_registry_is_as_the_results_say(
    registry: FakeRegistry, results: tuple[TagResult, TagResult]
) -> None:
    assert found(registry, *results) == []


def test_each_difference_gets_its_sentence(registry: FakeRegistry, results: tuple[TagResult, TagResult]) -> None:
    deleted, kept = results
    assert found(registry, replace(kept, kept=False)) == ["shop/api:v2 was deleted, but the registry still has it"]
    (lost,) = found(registry, replace(deleted, kept=True))
    assert lost.startswith("shop/api:v1 is kept, but does not point at sha256:")
    registry.fail_next("GET", "blobs", status=404)
    (broken,) = found(registry, kept)
    assert broken.startswith("shop/api:v2 is kept, but cannot be pulled: its blob sha256:")
