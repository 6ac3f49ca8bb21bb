"""Object storage whose bucket can be read: pushprune sees the tags that the registry hides."""

from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from types import MappingProxyType
from typing import Any

import pytest
from obstore.store import LocalStore

from service.clock import now_us
from service.domain.policy.model import Policy
from service.prune import listing, planning
from service.reconcile import compare, run
from service.registry.bucket_deletion import BucketDeletion
from service.registry.bucket_storage import BucketStorage
from service.registry.objects import ObjectStore
from tests.conftest import keep_last
from tests.support.bucket import at_deletion
from tests.support.system import SHOP, Make, System, check_that_a_push_wins

IS_WHOLE = listing.is_whole


@pytest.fixture(autouse=True)
def tried(whole_listings: None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(listing, "is_whole", IS_WHOLE)


def over_a_bucket(
    make_system: Make,
    folder: Path,
    policy: Policy,
    version: str = "3.1.1",
    *,
    bucket: Path | None = None,
    deletes: bool = False,
    fake: Mapping[str, Any] = MappingProxyType({}),
) -> System:
    """A registry on object storage.

    Args:
        bucket: another one that pushprune reads instead.
        deletes: `delete.via: storage`.
    """
    folder.mkdir(exist_ok=True)
    system = make_system(policy, version, {"driver": "s3", "disk": folder, **fake})
    objects = ObjectStore(LocalStore(bucket or folder, automatic_cleanup=True), "s3://registry")
    storage = BucketStorage(objects)
    in_storage = BucketDeletion(storage, system.wiring.registry.client) if deletes else None
    registry = replace(system.wiring.registry, objects=objects, storage=storage, in_storage=in_storage)
    system.wiring = replace(system.wiring, registry=registry)
    return system


def compared(system: System) -> None:
    compare.compare(system.store, system.wiring.registry, system.store.history.snapshot(SHOP))


def test_a_tag_that_the_registry_hides_is_adopted_with_its_push_time(make_system: Make, tmp_path: Path) -> None:
    system = over_a_bucket(make_system, tmp_path / "registry", keep_last(10))
    system.deaf = True
    for tag in ("rel", "rel2"):
        system.registry.push_image(SHOP, tag)
    compared(system)
    live = {tag.name: tag for tag in system.store.history.live(SHOP)}
    assert live.keys() == {"rel", "rel2"}
    assert all(abs((tag.pushed_us or 0) - now_us()) < 60_000_000 for tag in live.values())


def test_images_are_deleted_since_the_bucket_shows_every_tag(make_system: Make, tmp_path: Path) -> None:
    system = over_a_bucket(make_system, tmp_path / "registry", keep_last(1, protect=["rel2"]))
    system.deaf = True
    for tag, seed, day in (("rel", "old", 1), ("rel2", "old", 1), ("v1", "older", 1), ("v2", "new", 2)):
        system.registry.push_image(SHOP, tag, seed=seed, at=datetime(2026, 1, day, tzinfo=UTC))
    older = system.registry.tags(SHOP)["v1"]
    compared(system)
    system.store.outbox.mark_due([SHOP])
    system.later()
    assert system.registry.tags(SHOP).keys() == {"rel2", "v2"}
    assert older not in system.registry.manifests(SHOP)
    assert system.store.outbox.troubles() == ()


def test_another_bucket_does_not_prove_that_every_tag_is_listed(make_system: Make, tmp_path: Path) -> None:
    (tmp_path / "other").mkdir()
    system = over_a_bucket(make_system, tmp_path / "registry", keep_last(1), bucket=tmp_path / "other")
    system.push("v1", "v2")
    digest = system.registry.tags(SHOP)["v1"]
    system.settle()
    assert system.tags() == {"v2"}
    assert digest in system.registry.manifests(SHOP)
    (trouble,) = system.store.outbox.troubles()
    assert trouble.about == "listing"


def test_a_repository_that_the_catalog_leaves_out_is_compared(make_system: Make, tmp_path: Path) -> None:
    system = over_a_bucket(make_system, tmp_path / "registry", keep_last(10))
    system.deaf = True
    system.push("v1")
    system.registry.fail_next("GET", "/_catalog", status=200, body=b'{"repositories": []}')
    system.store.reconcile_runs.request("requested")
    run.continue_run(system.wiring)
    assert {tag.name for tag in system.store.history.live(SHOP)} == {"v1"}


@pytest.mark.parametrize("fake", [{"delete_enabled": False}, {}], ids=["no deletes", "deletes"])
@pytest.mark.parametrize("version", ["2.8", "3.1.1"])
def test_deletions_in_the_bucket_are_those_of_the_policy(
    make_system: Make, tmp_path: Path, version: str, fake: dict[str, Any]
) -> None:
    policy = keep_last(1, protect=["rel2"])
    system = over_a_bucket(make_system, tmp_path / "registry", policy, version, deletes=True, fake=fake)
    for tag in ("rel", "rel2"):
        system.registry.push_image(SHOP, tag, seed="shared")
    system.push("v1", "main", "main-1", "v2")
    system.settle()
    assert system.tags() == {"rel2", "v2"}
    system.pull_whole("rel2")
    assert len(system.registry.manifests(SHOP)) == 2
    assert system.reasons()["v1"] == "older than the newest (rule last)"
    assert system.registry.count("pushprune/", "DELETE") == 0
    system.wiring.restore.restore(SHOP, tag="v1")
    system.pull_whole("v1")


@pytest.mark.parametrize("late", [False, True], ids=["heard at once", "heard late"])
@pytest.mark.parametrize("seed", ["new", "shop/api:v1"], ids=["another image", "the same image again"])
@pytest.mark.parametrize("when", ["before", "after"])
def test_a_push_that_meets_its_deletion_in_the_bucket_wins(
    make_system: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, when: str, seed: str, late: bool
) -> None:
    system = over_a_bucket(make_system, tmp_path / "registry", keep_last(1), "2.8", deletes=True)
    system.push("v1", "v2")
    planning.enforce(system.wiring, SHOP)
    check_that_a_push_wins(system, lambda push: at_deletion(monkeypatch, when, push), seed, late)
