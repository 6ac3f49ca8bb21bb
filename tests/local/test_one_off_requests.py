"""The requests that a verb without a service costs a registry: exact numbers, on any machine."""

import os
from collections import Counter
from datetime import UTC, datetime, timedelta

import pytest

from service.domain.policy.model import Policy
from service.local.one_off_system import one_off_system
from tests.conftest import keep_last
from tests.fakes.registry import FakeRegistry
from tests.fakes.registry_storage import Version

pytestmark = pytest.mark.slow
FIRST = datetime(2026, 1, 1, tzinfo=UTC)


def fill(registry: FakeRegistry, repositories: int, tags: int) -> list[str]:
    names = [f"shop/app{number}" for number in range(repositories)]
    for name in names:
        for hour in range(tags):
            registry.push_image(name, f"v{hour}", at=FIRST + timedelta(hours=hour))
    return names


def prune(registry: FakeRegistry, names: list[str], policy: Policy) -> Counter[str]:
    with one_off_system(registry.url, policy, None, os.environ) as system:
        system.prune(names, policy)
    # What does not grow with tags or repositories: a ping, and the test whether single tags can be deleted.
    rest = [request for request in registry.requests if "/shop/" in request.path]
    return Counter(f"{request.method} {_kind(request.path)} {request.status}" for request in rest)


def _kind(path: str) -> str:
    return next(kind for kind in ("manifests", "blobs", "tags/list") if f"/{kind}" in path)


@pytest.mark.parametrize("version", ["2.8", "3"])
def test_small_repositories_cost_four_requests_for_a_deleted_image_and_two_for_a_kept_one(version: Version) -> None:
    """50 repositories × 40 → 10 tags by this: 7,100 requests."""
    with FakeRegistry(version) as registry:
        names = fill(registry, 4, 12)
        assert prune(registry, names, keep_last(3, first_plan="apply")) == {
            "GET tags/list 200": 4 * 2,
            "GET manifests 200": 4 * 12,
            "GET blobs 200": 4 * 12,
            "HEAD manifests 304": 4 * 9,
            "DELETE manifests 202": 4 * 9,
        }
        assert [len(registry.tags(name)) for name in names] == [3] * 4


def test_a_large_repository_costs_one_more_for_each_tag_that_is_moved_to_the_tombstone() -> None:
    """1,000 → 10 tags by this: 4,995 requests."""
    with FakeRegistry("2.8") as registry:
        (name,) = fill(registry, 1, 300)
        assert prune(registry, [name], keep_last(3, first_plan="apply")) == {
            # Compared, confirmed, and compared again before each batch of manifests without a tag.
            "GET tags/list 200": 2 + 2,
            "GET manifests 200": 300,
            "GET blobs 200": 300,
            "HEAD manifests 304": 297 + 2 * 3,
            "PUT manifests 201": 200,
            # Once, to see that the registry deletes at all.
            "DELETE manifests 404": 1,
            "DELETE manifests 202": 297 + 2,
        }
        assert len(registry.tags(name)) == 3
