"""The filesystem driver's layout, repository by repository."""

import errno
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any
from unittest.mock import Mock

import pytest

from service.domain.errors import StorageRefused, StorageUnavailable
from service.registry.disk import DiskDeletion
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


READS: list[tuple[str, Callable[[Storage], Any]]] = [
    ("_manifests/tags", lambda storage: storage.tags("shop/api")),
    ("_manifests/tags", lambda storage: storage.holds_tags("shop/api")),
    ("_manifests/revisions", lambda storage: list(storage.manifests("shop/api"))),
    ("_manifests/revisions/sha256", lambda storage: list(storage.manifests("shop/api"))),
    ("_layers", lambda storage: storage.has_layer("shop/api", A)),
    ("", lambda storage: list(storage.repositories())),
    ("_pushprune", lambda storage: DiskDeletion(storage, Mock()).is_unsettled("shop/api")),
]


@pytest.mark.parametrize(("folder", "read"), READS)
def test_a_folder_that_pushprune_may_not_read_is_no_empty_folder(
    disk: Disk, monkeypatch: pytest.MonkeyPatch, folder: str, read: Callable[[Storage], Any]
) -> None:
    """Root may read everything, and the tests may run as root: so the system's calls fail here."""
    disk.blob(A)
    disk.manifest("shop/api", A)
    forbidden = str(disk.root / "docker/registry/v2/repositories/shop/api" / folder).rstrip("/")

    def denying(call: Callable[..., Any]) -> Callable[..., Any]:
        def denied(path: Any = ".", *more: Any, **named: Any) -> Any:
            if str(path).startswith(forbidden):
                raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(path))
            return call(path, *more, **named)

        return denied

    for call in ("listdir", "scandir", "stat"):
        monkeypatch.setattr(os, call, denying(getattr(os, call)))
    with pytest.raises(StorageRefused, match="run pushprune as the registry's user"):
        read(Storage(disk.root))


def test_a_folder_that_the_disk_cannot_read_is_no_empty_folder(disk: Disk) -> None:
    tags = disk.root / "docker/registry/v2/repositories/shop/api/_manifests/tags"
    tags.parent.mkdir(parents=True)
    tags.symlink_to(tags)
    with pytest.raises(StorageUnavailable, match="the storage cannot be read: Too many levels of symbolic links"):
        Storage(disk.root).tags("shop/api")
