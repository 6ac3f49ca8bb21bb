"""The inventory of a storage: one listing that misses nothing."""

import contextlib
import hashlib
import tempfile
from collections.abc import Iterator
from pathlib import Path
from threading import Lock

import pytest
from hypothesis import given
from hypothesis import strategies as st
from obstore.store import LocalStore, MemoryStore

from service.domain.collection.digests import packed, unpacked
from service.domain.collection.storage_inventory import LayerLink, StorageInventory
from service.domain.errors import StorageUnavailable
from service.registry import layout, storage_inventory
from service.registry.objects import ObjectStore, StoredObject
from service.registry.storage_inventory import read_inventory, read_repository


def digest(text: str) -> str:
    return f"sha256:{hashlib.sha256(text.encode()).hexdigest()}"


A, B, C = digest("a"), digest("b"), digest("c")


@pytest.fixture(params=["memory", "disk"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> ObjectStore:
    return ObjectStore(MemoryStore() if request.param == "memory" else LocalStore(tmp_path), request.param)


def push(store: ObjectStore, repository: str, tag: str, manifest: str, *layers: str) -> None:
    for layer in layers:
        store.write(layout.blob_key(layer), b"layer")
        store.write(layout.layer_key(repository, layer), layer.encode())
    store.write(layout.blob_key(manifest), b"{}")
    store.write(layout.revision_key(repository, manifest), manifest.encode())
    store.write(layout.index_key(repository, tag, manifest), manifest.encode())
    store.write(layout.current_key(repository, tag), manifest.encode())


def test_an_inventory_has_blobs_links_manifests_tags_and_uploads(store: ObjectStore) -> None:
    push(store, "shop/api", "v1", A, B)
    push(store, "shop", "v1", C, B)
    store.write(f"{layout.upload_key('shop', 'u-1')}/startedat", b"now")
    store.write(f"{layout.upload_key('shop', 'u-1')}/data", b"12345678")
    inventory = read_inventory(store)
    assert {unpacked(blob.digest): blob.size_bytes for blob in inventory.blobs()} == {A: 2, B: 5, C: 2}
    assert {link.repository for link in inventory.layer_links(packed(B))} == {"shop", "shop/api"}
    assert list(inventory.layer_links(packed(A))) == []
    assert set(inventory.repositories["shop"].revisions) == {packed(C)}
    tag = read_repository(store, "shop/api").tags["v1"]
    assert tag.pushed_us >= inventory.began_us - 60_000_000
    assert inventory.repositories["shop"].uploads["u-1"].size_bytes == 11
    assert inventory.counts == (3, 9)


def test_tags_whose_names_begin_with_another_are_there(store: ObjectStore) -> None:
    """Distribution 3.0 to 3.1.1 leaves them out of its list on object storage."""
    for tag in ("rel", "rel2", "rel-1", "rel.x", "1", "12", "main", "main_ab"):
        push(store, "app", tag, A, B)
    expected = {"rel", "rel2", "rel-1", "rel.x", "1", "12", "main", "main_ab"}
    assert set(read_repository(store, "app").tags) == expected


def test_a_tag_without_a_current_link_is_a_remnant(store: ObjectStore) -> None:
    push(store, "app", "main", A, B)
    push(store, "app", "main-1", C, B)
    store.delete([layout.current_key("app", "main")])
    repository = read_repository(store, "app")
    assert (set(repository.tags), repository.remnants) == ({"main-1"}, frozenset({"main"}))


def test_a_link_without_data_is_no_blob(store: ObjectStore) -> None:
    store.write(layout.layer_key("app", A), A.encode())
    inventory = read_inventory(store)
    assert (inventory.blob(packed(A)), list(inventory.linked_digests())) == (None, [packed(A)])


def test_files_that_no_registry_wrote_are_left_out(store: ObjectStore) -> None:
    push(store, "app", "v1", A)
    store.write("other/file", b"")
    store.write(f"{layout.REPOSITORIES}/app/_layers/sha256/abc/link", b"")
    store.write(f"{layout.REPOSITORIES}/app/_manifests/tags/v1/current/link.1.tmp", b"")
    inventory = read_inventory(store)
    assert (inventory.counts, list(inventory.linked_digests())) == ((1, 2), [])


def test_an_empty_storage_has_an_empty_inventory(store: ObjectStore) -> None:
    inventory = read_inventory(store)
    assert (inventory.counts, dict(inventory.repositories)) == ((0, 0), {})


def test_progress_counts_the_objects(store: ObjectStore) -> None:
    counts: list[int] = []
    push(store, "app", "v1", A, B)
    read_inventory(store, counts.append)
    # The two links of a tag are not looked at in a folder.
    assert sum(counts) == (4 if store.is_local else 6)


@given(st.lists(st.tuples(st.sampled_from(["app", "app/a", "b", "b/c/d", "e-f"]), st.integers(0, 4000)), max_size=60))
def test_the_shards_list_every_object_once(pushes: list[tuple[str, int]]) -> None:
    store = ObjectStore(MemoryStore(), "memory")
    for repository, number in set(pushes):
        store.write(layout.layer_key(repository, digest(str(number))), b"")
        store.write(layout.blob_key(digest(str(number))), b"x")
    inventory = read_inventory(store)
    assert {unpacked(blob.digest) for blob in inventory.blobs()} == {digest(str(number)) for _, number in pushes}
    links = [
        (link.repository, unpacked(key)) for key in inventory.linked_digests() for link in links_of(inventory, key)
    ]
    assert sorted(links) == sorted((repository, digest(str(number))) for repository, number in set(pushes))


class CountingStore(ObjectStore):
    """An object store that counts the listings that have begun and not ended."""

    def __init__(self) -> None:
        super().__init__(MemoryStore(), "memory")
        self._lock, self._open, self.most = Lock(), 0, 0

    def list(self, prefix: str = "", after: str = "") -> Iterator[StoredObject]:
        self._count(1)
        try:
            yield from super().list(prefix, after)
        finally:
            self._count(-1)

    def _count(self, change: int) -> None:
        with self._lock:
            self._open += change
            self.most = max(self.most, self._open)


def test_few_shards_are_listed_at_a_time_so_that_a_large_storage_takes_bounded_memory(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(storage_inventory, "PARALLEL", 2)
    monkeypatch.setattr(storage_inventory, "PAGE", 1)
    store = CountingStore()
    for number in range(200):
        store.write(layout.blob_key(digest(str(number))), b"x")
    assert read_inventory(store).counts[0] == 200
    assert store.most == 2


# Parts of keys that a registry writes, and some that it does not.
_REPOSITORY = st.sampled_from(["app", "app/a", "b/c", "_pushprune/x", "app/_pushprune/1"])
_HEXADECIMAL = st.sampled_from([A[7:], B[7:], B[7:].upper(), "ab", C[7:] + "0"])
_ALGORITHM = st.sampled_from(["sha256", "md5", "sha512"])
_KEY = st.one_of(
    st.builds("blobs/{}/{}/{}/{}".format, _ALGORITHM, st.sampled_from(["aa", "a", "zz"]), _HEXADECIMAL,
              st.sampled_from(["data", "other"])),
    st.builds("repositories/{}/_layers/{}/{}/{}".format, _REPOSITORY, _ALGORITHM, _HEXADECIMAL,
              st.sampled_from(["link", "other"])),
    st.builds("repositories/{}/_manifests/revisions/{}/{}/{}".format, _REPOSITORY, _ALGORITHM, _HEXADECIMAL,
              st.sampled_from(["link", "link.1.tmp", "signatures/sha256/a/link"])),
    st.builds("repositories/{}/_manifests/tags/{}/{}".format, _REPOSITORY, st.sampled_from(["v1", "v1.0", "index"]),
              st.sampled_from(["current/link", "current/other", f"index/sha256/{A[7:]}/link"])),
    st.builds("repositories/{}/_uploads/{}/{}".format, _REPOSITORY, st.sampled_from(["u-1", "u-2"]),
              st.sampled_from(["data", "startedat", "hashstates/sha256/0"])),
    st.sampled_from(["repositories/_layers/sha256", "repositories/_uploads/u-1/data", f"blobs/sha256/{A[7:]}"]),
)  # fmt: skip


@given(st.lists(_KEY, max_size=12, unique=True))
def test_a_folder_and_a_listing_of_the_same_objects_have_the_same_inventory_but_for_tags(keys: list[str]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        bucket, disk = ObjectStore(MemoryStore(), "memory"), ObjectStore(LocalStore(folder), "disk")
        for key in keys:
            bucket.write(f"{layout.BASE}/{key}", b"12")
            # A file cannot be where another one needs a folder.
            with contextlib.suppress(StorageUnavailable):
                disk.write(f"{layout.BASE}/{key}", b"12")
                continue
            bucket.delete([f"{layout.BASE}/{key}"])
        assert contents(read_inventory(disk)) == contents(read_inventory(bucket))


def contents(inventory: StorageInventory) -> object:
    return (
        {blob.digest: blob.size_bytes for blob in inventory.blobs()},
        {key: sorted(link.repository for link in links_of(inventory, key)) for key in inventory.linked_digests()},
        sorted(inventory.unknown_revisions),
        {
            name: (set(stored.revisions), {upload: part.size_bytes for upload, part in stored.uploads.items()})
            for name, stored in inventory.repositories.items()
            if stored.revisions or stored.uploads
        },
    )


def links_of(inventory: StorageInventory, key: bytes) -> list[LayerLink]:
    return list(inventory.layer_links(key))


@pytest.mark.parametrize("text", [A, "sha512:" + "ab" * 64, "sha384:" + "cd" * 48])
def test_a_packed_digest_is_the_same_again(text: str) -> None:
    assert unpacked(packed(text)) == text


@pytest.mark.parametrize("text", ["sha256:ab", "md5:" + "ab" * 16, "", "sha256:" + "ab" * 64])
def test_a_digest_of_no_known_kind_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="is not a sha256"):
        packed(text)
