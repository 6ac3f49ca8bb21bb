"""The storage as objects behaves alike in memory, on a local disk and on object storage."""

import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from obstore.store import LocalStore, MemoryStore

from service.domain.errors import StorageRefused, StorageUnavailable
from service.registry.bucket import Bucket, open_bucket
from service.registry.objects import ObjectStore
from tests.fakes.s3 import S3Server


@pytest.fixture(scope="module")
def server() -> Iterator[S3Server]:
    with S3Server() as server:
        yield server


@pytest.fixture(params=["memory", "disk", pytest.param("s3", marks=pytest.mark.deep)])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> ObjectStore:
    if request.param != "s3":
        return ObjectStore(MemoryStore() if request.param == "memory" else LocalStore(tmp_path), request.param)
    objects: ObjectStore = request.getfixturevalue("server").objects()
    objects.delete([stored.key for stored in objects.list()])
    return objects


def keys(store: ObjectStore, prefix: str = "", after: str = "") -> list[str]:
    return sorted(stored.key for stored in store.list(prefix, after))


def test_a_listing_names_the_objects_below_a_folder_with_size_and_time(store: ObjectStore) -> None:
    store.write("a/b/link", b"text")
    store.write("a-b/link", b"")
    assert keys(store, "a") == ["a/b/link"]
    stored = next(store.list("a"))
    assert stored.size_bytes == 4
    assert abs(stored.modified_us / 1e6 - time.time()) < 60
    assert stored == store.head("a/b/link")


def test_a_listing_has_more_than_a_page_and_begins_after_a_key(store: ObjectStore) -> None:
    names = [f"many/{number:04}" for number in range(1203)]
    for name in names:
        store.write(name, b"")
    assert keys(store, "many") == names
    assert keys(store, "many", "many/1199") == names[1200:]


def test_folders_are_those_directly_below(store: ObjectStore) -> None:
    store.write("a/b/c/link", b"")
    store.write("a/d/link", b"")
    assert sorted(store.folders("a")) == ["a/b", "a/d"]
    assert store.folders("nothing") == ()


def test_the_start_of_an_object_is_read_also_if_it_is_shorter(store: ObjectStore) -> None:
    store.write("a/data", b"0123456789")
    assert [store.read_start("a/data", length) for length in (4, 10, 65_536)] == [b"0123", b"0123456789", b"0123456789"]
    assert store.read_start("a/nothing", 4) is None


def test_nothing_is_read_where_nothing_is(store: ObjectStore) -> None:
    store.write("a/link", b"text")
    assert store.read("a/link") == b"text"
    assert store.read("a/none") is None
    assert store.head("a/none") is None
    assert store.read_many(["a/link", "a/none"]) == {"a/link": b"text", "a/none": None}
    assert keys(store, "none") == []


def test_more_keys_than_one_call_takes_are_deleted_and_a_missing_key_is_no_error(store: ObjectStore) -> None:
    names = [f"many/{number:04}" for number in range(1203)]
    for name in names:
        store.write(name, b"")
    store.write("kept/link", b"")
    assert store.delete([*names, "many/none"]) == {}
    assert keys(store) == ["kept/link"]
    assert store.delete([]) == {}


def test_a_copy_leaves_the_source_and_a_rename_does_not(store: ObjectStore) -> None:
    store.write("a/data", b"text")
    assert store.copy("a/data", "b/data")
    assert store.rename("b/data", "c/d/data")
    assert keys(store) == ["a/data", "c/d/data"]
    assert store.read("c/d/data") == b"text"
    assert not store.copy("none/data", "b/data")
    assert not store.rename("none/data", "b/data")


def test_a_deletion_with_a_condition_is_made_if_nothing_changed(store: ObjectStore) -> None:
    store.write("a/link", b"text")
    content, etag = store.read_with_etag("a/link")
    assert content == b"text"
    assert store.delete_if("a/link", etag)
    assert store.read_with_etag("a/link") == (None, "")
    assert store.delete_if("a/link", etag), "it does not exist any more"
    assert store.create("a/link", b"other")
    assert not store.create("a/link", b"more")
    assert store.read("a/link") == b"other"


@pytest.mark.deep
def test_an_s3_server_keeps_an_object_that_changed(server: S3Server) -> None:
    store = server.objects()
    store.write("a/link", b"text")
    _, etag = store.read_with_etag("a/link")
    store.write("a/link", b"pushed again")
    assert not store.delete_if("a/link", etag)
    assert store.read("a/link") == b"pushed again"


def test_the_clock_is_that_of_the_storage(store: ObjectStore) -> None:
    first_us = store.now_us()
    assert abs(first_us / 1e6 - time.time()) < 60
    assert store.now_us() >= first_us


def test_a_storage_that_does_not_answer_is_unavailable() -> None:
    bucket = Bucket("s3://registry", "http://127.0.0.1:9", access_key="a", secret_key="b", timeout_s=0.2)
    with pytest.raises(StorageUnavailable, match=r"^s3://registry: a cannot be listed: "):
        list(open_bucket(bucket).list("a"))


@pytest.mark.deep
def test_a_bucket_that_does_not_exist_is_refused(server: S3Server) -> None:
    bucket = Bucket("s3://another", server.url, access_key="a", secret_key="b")
    with pytest.raises(StorageRefused, match=r"there is no such bucket or folder: correct storage\.url$"):
        list(open_bucket(bucket).list())
