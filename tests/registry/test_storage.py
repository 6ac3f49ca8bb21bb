"""The filesystem driver's layout, repository by repository."""

from pathlib import Path

import pytest

from service.registry.storage import Storage
from tests.support.storage import A, B, Disk


@pytest.fixture
def disk(tmp_path: Path) -> Disk:
    return Disk(tmp_path)


def test_repositories_are_found_at_any_depth(disk: Disk) -> None:
    for name in ("shop", "shop/api", "a/b/c"):
        disk.manifest(name, A)
    disk.layer("only/blobs", B)
    assert sorted(Storage(disk.root).repositories()) == ["a/b/c", "only/blobs", "shop", "shop/api"]


def test_an_empty_storage_has_none(disk: Disk) -> None:
    assert list(Storage(disk.root).repositories()) == []
    assert list(Storage(disk.root).manifests("shop/api")) == []


def test_a_manifest_exists_if_its_link_and_its_bytes_exist(disk: Disk) -> None:
    disk.blob(A)
    disk.manifest("shop/api", A)
    disk.manifest("shop/api", B)
    assert list(Storage(disk.root).manifests("shop/api")) == [A]


def test_a_layer_is_had_by_the_repository_with_a_link(disk: Disk) -> None:
    disk.layer("shop/api", A)
    storage = Storage(disk.root)
    assert storage.has_layer("shop/api", A)
    assert not storage.has_layer("shop/api", B)
    assert not storage.has_layer("shop/web", A)


@pytest.mark.parametrize("tag", ["../../../b/_manifests/tags/v1", "..", ".", "", "a/b", "/etc", ".pushprune-x"])
def test_a_name_that_is_no_tag_has_no_folder(disk: Disk, tag: str) -> None:
    """A name with such a path could remove a tag of another repository."""
    with pytest.raises(ValueError, match="is not a tag"):
        Storage(disk.root).tag_folder("a", tag)


@pytest.mark.parametrize("digest", ["sha256:../../../b", "sha256:", "x"])
def test_a_text_that_is_no_digest_has_no_link(disk: Disk, digest: str) -> None:
    with pytest.raises(ValueError, match="is not a digest"):
        Storage(disk.root).revision("a", digest)
