"""Deletions in the storage, alike on a disk and in a bucket: what they delete, and what they keep or restore."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from service.domain.errors import RegistryRefused, RegistryUnavailable
from service.registry import bucket_deletion, layout
from tests.fakes.images import make_image
from tests.fakes.registry import FakeRegistry
from tests.support.storage_sites import ONE, OTHER, SHOP, BucketSite, DiskSite

Site = DiskSite | BucketSite


@pytest.fixture(params=[DiskSite, BucketSite])
def site(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Site]:
    # Pushes of the tests count as old.
    monkeypatch.setattr(bucket_deletion, "_PUSH_US", -60_000_000)
    with FakeRegistry(disk=tmp_path) as registry:
        yield request.param(registry, tmp_path)


def test_a_manifest_is_deleted_with_its_tags_and_nothing_else(site: Site) -> None:
    before = site.listed()
    batch = site.open()
    assert batch.delete(ONE.digest)
    assert batch.close() == ()
    tags = tuple(f"{layout.tag_key(SHOP, tag)}/" for tag in ("v1", "v1b"))
    expected = {layout.revision_key(SHOP, ONE.digest), *(key for key in before if key.startswith(tags))}
    assert before - site.listed() == expected
    assert site.registry.tags(SHOP) == {"v2": OTHER.digest}


def test_a_tag_is_deleted_alone(site: Site) -> None:
    batch = site.open()
    assert batch.untag("v1", (ONE.digest,))
    assert not batch.untag("v1", (ONE.digest,)), "it is deleted by now"
    assert not batch.untag("none", (ONE.digest,))
    batch.close()
    assert site.registry.tags(SHOP) == {"v1b": ONE.digest, "v2": OTHER.digest}
    assert ONE.digest in site.registry.manifests(SHOP)


def test_a_tag_that_points_at_another_digest_is_kept(site: Site) -> None:
    batch = site.open()
    with pytest.raises(RegistryUnavailable, match="v2 is being pushed") as raised:
        batch.untag("v2", (ONE.digest,))
    assert raised.value.is_fault
    batch.close()
    assert site.registry.tags(SHOP)["v2"] == OTHER.digest


def test_a_manifest_is_kept_with_all_tags_if_one_of_its_tags_has_moved(site: Site) -> None:
    before = site.listed()
    batch = site.open()
    with pytest.raises(RegistryUnavailable):
        batch.delete(ONE.digest, ("v1", "v1b", "v2"))
    assert batch.close() == ()
    assert site.listed() == before


def test_a_manifest_that_was_tagged_meanwhile_is_restored(site: Site) -> None:
    batch = site.open()
    batch.delete(ONE.digest, ("v1", "v1b"))
    site.write(layout.current_key(SHOP, "stable"), ONE.digest)
    assert batch.close() == ("stable",)
    assert ONE.digest in site.registry.manifests(SHOP)


def test_a_manifest_that_was_collected_since_is_not_restored(site: Site) -> None:
    batch = site.open()
    batch.delete(ONE.digest, ("v1", "v1b"))
    site.write(layout.current_key(SHOP, "stable"), ONE.digest)
    site.delete(layout.blob_key(ONE.digest))
    assert batch.close() == ("stable",)
    assert layout.revision_key(SHOP, ONE.digest) not in site.listed()


def test_a_deleted_manifest_is_restored_only_while_its_blobs_exist(site: Site) -> None:
    batch = site.open()
    batch.delete(ONE.digest)
    batch.close()
    assert site.open().put(ONE.manifest, "v1") == ONE.digest
    assert site.registry.tags(SHOP)["v1"] == ONE.digest
    with pytest.raises(RegistryRefused, match="were garbage-collected"):
        site.open().put(make_image("never pushed").manifest, "v1")
    assert site.registry.tags(SHOP)["v1"] == ONE.digest
