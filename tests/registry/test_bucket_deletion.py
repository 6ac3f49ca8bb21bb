"""Deletions in a bucket: races that a push wins, and refusals. test_storage_deletion.py has what a disk does alike."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from obstore.store import LocalStore

from service.domain.errors import RegistryRefused, RegistryUnavailable, StorageUnavailable
from service.registry import bucket_deletion, layout
from service.registry.bucket_deletion import BucketDeletion
from service.registry.bucket_probe import SIGN
from service.registry.bucket_storage import BucketStorage
from service.registry.client import RegistryClient
from service.registry.objects import ObjectStore
from tests.fakes.images import Image
from tests.fakes.registry import FakeRegistry
from tests.support.bucket import at_deletion
from tests.support.storage_sites import ONE, OTHER, SHOP, BucketSite


@pytest.fixture(autouse=True)
def old_links(monkeypatch: pytest.MonkeyPatch) -> None:
    """Pushes of the tests count as old."""
    monkeypatch.setattr(bucket_deletion, "_PUSH_US", -60_000_000)


@pytest.fixture
def bucket(tmp_path: Path) -> Iterator[BucketSite]:
    with FakeRegistry(disk=tmp_path) as registry:
        yield BucketSite(registry, tmp_path)


@pytest.mark.parametrize("when", ["before", "after"])
@pytest.mark.parametrize("image", [OTHER, ONE], ids=["another image", "the same image again"])
def test_a_push_that_meets_the_deletion_of_its_tag_wins(
    bucket: BucketSite, monkeypatch: pytest.MonkeyPatch, when: str, image: Image
) -> None:
    at_deletion(monkeypatch, when, lambda: bucket.registry.push(SHOP, "v1", image))
    batch = bucket.open()
    with pytest.raises(RegistryUnavailable, match="v1 is being pushed"):
        batch.untag("v1", (ONE.digest,))
    batch.close()
    assert bucket.tags["v1"] == image.digest
    assert layout.index_key(SHOP, "v1", image.digest) in bucket.listed()


@pytest.mark.parametrize("image", [OTHER, ONE], ids=["another image", "the same image again"])
def test_a_push_that_has_only_written_its_index_link_is_waited_for(
    bucket: BucketSite, monkeypatch: pytest.MonkeyPatch, image: Image
) -> None:
    monkeypatch.setattr(bucket_deletion, "_PUSH_US", 60_000_000)
    bucket.objects.write(layout.index_key(SHOP, "v1", image.digest), image.digest.encode())
    batch = bucket.open()
    with pytest.raises(RegistryUnavailable, match="v1 is being pushed"):
        batch.untag("v1", (ONE.digest,))
    assert bucket.tags["v1"] == ONE.digest


def test_a_tag_that_is_pushed_after_its_deletion_is_reported(bucket: BucketSite) -> None:
    batch = bucket.open()
    batch.untag("v1", (ONE.digest,))
    bucket.registry.push(SHOP, "v1", OTHER)
    assert batch.close() == ("v1",)
    assert bucket.tags["v1"] == OTHER.digest


def test_a_manifest_with_a_tag_that_the_caller_does_not_know_is_kept(bucket: BucketSite) -> None:
    batch = bucket.open()
    assert batch.delete(ONE.digest, ("v1",))
    assert ONE.digest in bucket.registry.manifests(SHOP)
    assert batch.close() == ("v1b",)


def test_the_leftovers_of_dead_processes_and_of_the_registry_are_deleted_by_the_next_process(
    bucket: BucketSite, monkeypatch: pytest.MonkeyPatch
) -> None:
    bucket.objects.write(f"{layout.tags_key(SHOP)}/{SIGN}left/current/link", ONE.digest.encode())
    bucket.objects.delete([layout.current_key(SHOP, "v1")])
    assert not bucket.deletion.is_unsettled(SHOP), "a living process may be at work"
    bucket.deletion.settle(SHOP)
    assert bucket.listed(layout.tag_key(SHOP, "v1"))
    monkeypatch.setattr(bucket_deletion, "_ABANDONED_US", -60_000_000)
    assert bucket.deletion.is_unsettled(SHOP)
    bucket.deletion.settle(SHOP)
    assert not bucket.deletion.is_unsettled(SHOP)
    assert bucket.listed(layout.tag_key(SHOP, "v1")) == set()
    assert bucket.tags == {"v1b": ONE.digest, "v2": OTHER.digest}


def test_a_tag_whose_manifest_the_registry_deleted_before_is_deleted(
    bucket: BucketSite, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Distribution 2.8 leaves `v1` if there is a tag `v1-…`."""
    bucket.objects.delete([layout.revision_key(SHOP, ONE.digest)])
    assert not bucket.deletion.is_unsettled(SHOP), "a deletion may be in progress"
    monkeypatch.setattr(bucket_deletion, "_ABANDONED_US", -60_000_000)
    assert bucket.deletion.is_unsettled(SHOP)
    bucket.deletion.settle(SHOP)
    assert bucket.tags == {"v2": OTHER.digest}
    assert not bucket.deletion.is_unsettled(SHOP)


def test_a_dangling_tag_that_is_pushed_again_is_kept(bucket: BucketSite, monkeypatch: pytest.MonkeyPatch) -> None:
    bucket.objects.delete([layout.revision_key(SHOP, ONE.digest)])
    monkeypatch.setattr(bucket_deletion, "_ABANDONED_US", -60_000_000)
    at_deletion(monkeypatch, "before", lambda: bucket.registry.push(SHOP, "v1", ONE))
    bucket.deletion.settle(SHOP)
    assert bucket.tags["v1"] == ONE.digest


def test_another_bucket_is_refused_and_nothing_is_left_in_it(bucket: BucketSite, tmp_path: Path) -> None:
    other = tmp_path / "other"
    other.mkdir()
    objects = ObjectStore(LocalStore(other, automatic_cleanup=True), "s3://other")
    deletion = BucketDeletion(BucketStorage(objects), RegistryClient(bucket.registry.url))
    with pytest.raises(RegistryRefused, match=r"s3://other is not what the registry serves.* set storage\.url to"):
        deletion.open(SHOP)
    assert list(objects.list("docker")) == []


def test_a_repository_with_something_odd_in_it_is_refused(bucket: BucketSite) -> None:
    bucket.objects.write(f"{layout.tag_key(SHOP, 'v1')}/current/copy", b"?")
    with pytest.raises(RegistryRefused, match="was not created by a registry version known here"):
        bucket.open()


def test_a_link_that_is_not_deleted_keeps_the_manifest(bucket: BucketSite, monkeypatch: pytest.MonkeyPatch) -> None:
    batch, real = bucket.open(), ObjectStore.delete_if

    def delete_if(objects: ObjectStore, key: str, etag: str) -> bool:
        if "/v1b/" in key:
            raise StorageUnavailable("SlowDown")
        return real(objects, key, etag)

    with monkeypatch.context() as patched:
        patched.setattr(ObjectStore, "delete_if", delete_if)
        with pytest.raises(StorageUnavailable, match="SlowDown"):
            batch.delete(ONE.digest)
    batch.close()
    assert bucket.tags == {"v1": ONE.digest, "v1b": ONE.digest, "v2": OTHER.digest}
    assert ONE.digest in bucket.registry.manifests(SHOP)


def test_a_tag_that_changed_since_the_look_at_it_is_not_deleted_where_conditions_are_obeyed(
    bucket: BucketSite, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ObjectStore, "delete_if", lambda objects, key, etag: False)
    batch = bucket.open()
    with pytest.raises(RegistryUnavailable, match="v1 is being pushed"):
        batch.untag("v1", (ONE.digest,))
    assert bucket.tags["v1"] == ONE.digest
