"""Over object storage whose bucket can be read, pushprune sees what the registry hides."""

from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from obstore.store import LocalStore

from service.clock import now_us
from service.domain.policy.model import Policy
from service.prune import listing
from service.reconcile import compare, run
from service.registry.bucket_storage import BucketStorage
from service.registry.objects import ObjectStore
from tests.conftest import keep_last
from tests.support.system import SHOP, Make, System

IS_WHOLE = listing.is_whole


@pytest.fixture(autouse=True)
def tried(whole_listings: None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(listing, "is_whole", IS_WHOLE)


def over_a_bucket(
    make_system: Make, folder: Path, policy: Policy, version: str = "3.1.1", bucket: Path | None = None, **more: Any
) -> System:
    """A registry on object storage. bucket: another one that pushprune reads instead."""
    folder.mkdir(exist_ok=True)
    system = make_system(policy, version, {"driver": "s3", "disk": folder}, **more)
    objects = ObjectStore(LocalStore(bucket or folder), "s3://registry")
    registry = replace(system.wiring.registry, objects=objects, storage=BucketStorage(objects))
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
