"""The quarantine in a mounted folder."""

import errno
import os
from pathlib import Path

import pytest
from obstore.store import LocalStore, MemoryStore

from service.domain.collection.digests import packed
from service.domain.collection.online import Moment, UnlinkedBlob
from service.registry.blob_quarantine import FOLDER, BlobQuarantine, QuarantineBatch
from service.registry.layout import blob_key, layer_key
from service.registry.objects import ObjectStore
from tests.fakes.images import sha256

DATA = [b"one", b"two", b"three"]
BLOBS = [UnlinkedBlob(packed(sha256(data)), len(data), ("a",)) for data in DATA]
DIGESTS = [blob.digest for blob in BLOBS]


@pytest.fixture
def objects(tmp_path: Path) -> ObjectStore:
    objects = ObjectStore(LocalStore(tmp_path), "disk")
    for data in DATA:
        objects.write(blob_key(sha256(data)), data)
    return objects


def test_data_is_moved_with_its_folder_and_brought_back(objects: ObjectStore, tmp_path: Path) -> None:
    """An empty folder would have to be removed while requests wait, and a PUT might just be writing into it."""
    quarantine = BlobQuarantine(objects)
    batch = quarantine.begin(BLOBS, Moment(1, 2))
    confirmed: list[bool] = []
    assert quarantine.move(batch, DIGESTS, lambda: confirmed.append(True)) == {}
    assert confirmed == [True]
    assert not any((tmp_path / blob_key(sha256(data))).parent.exists() for data in DATA)
    (stored,) = quarantine.batches()
    assert stored.sizes == {blob.digest: blob.size_bytes for blob in BLOBS}
    assert quarantine.links([stored]) == dict.fromkeys(DIGESTS, ("a",))
    assert quarantine.bring_back(DIGESTS[:1], [stored]) == {DIGESTS[0]: len(DATA[0])}
    assert objects.read(blob_key(sha256(DATA[0]))) == DATA[0]
    assert stored.sizes.keys() == set(DIGESTS[1:])


def test_links_leave_with_their_folders_and_are_deleted_with_their_batch(objects: ObjectStore, tmp_path: Path) -> None:
    """The removal of a folder would take five times as long while requests wait."""
    quarantine, batch = BlobQuarantine(objects), QuarantineBatch(Moment(1, 2))
    links = [layer_key(name, sha256(DATA[0])) for name in ("a", "b/c")]
    for key in links:
        objects.write(key, b"link")
    assert quarantine.unlink(batch, [*links, layer_key("a", sha256(DATA[1]))], lambda: None) == {}
    assert not any((tmp_path / key).parent.exists() for key in links)
    (stored,) = quarantine.batches()
    assert (stored.at, stored.sizes, quarantine.links([stored])) == (batch.at, {}, {})
    assert [errors for _, errors in quarantine.delete(stored)] == [{}]
    assert list((tmp_path / FOLDER).iterdir()) == []


def test_a_link_on_another_volume_is_deleted_where_it_is(
    objects: ObjectStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def rename(source: str, target: str) -> None:
        raise OSError(errno.EXDEV, "Invalid cross-device link")

    monkeypatch.setattr(os, "rename", rename)
    key = layer_key("a", sha256(DATA[0]))
    objects.write(key, b"link")
    assert BlobQuarantine(objects).unlink(QuarantineBatch(Moment(1, 2)), [key], lambda: None) == {}
    assert not (tmp_path / key).parent.exists()


@pytest.mark.parametrize("torn", [b'["', b"\0\0", b'["ab"]', b"7"])
def test_a_torn_list_of_links_stops_no_collection(objects: ObjectStore, torn: bytes) -> None:
    """A power failure may leave the beginning of a file."""
    quarantine = BlobQuarantine(objects)
    batches = [quarantine.begin(BLOBS, Moment(at, at)) for at in (1, 2)]
    first, *_ = (objects.read(f"{batches[0].folder}/links") or b"").splitlines()
    objects.write(f"{batches[0].folder}/links", first + b"\n" + torn)
    assert quarantine.links(batches[:1]) == {DIGESTS[0]: ("a",)}
    assert quarantine.links(batches).keys() == set(DIGESTS)


def test_data_that_another_collection_deleted_is_no_error(objects: ObjectStore) -> None:
    quarantine = BlobQuarantine(objects)
    batch = quarantine.begin(BLOBS, Moment(1, 2))
    objects.delete_with_folders([blob_key(sha256(DATA[0]))])
    assert quarantine.move(batch, DIGESTS, lambda: None) == {}
    assert quarantine.batches()[0].sizes.keys() == set(DIGESTS[1:])


def test_a_batch_that_is_deleted_for_good_leaves_nothing(objects: ObjectStore, tmp_path: Path) -> None:
    """A killed registry left a file beside the data, and a killed worker the folder of data that it brought back."""
    quarantine = BlobQuarantine(objects)
    batch = quarantine.begin(BLOBS, Moment(1, 2))
    objects.write(f"{blob_key(sha256(DATA[1]))}.5f1c.tmp", b"tw")
    quarantine.move(batch, DIGESTS, lambda: None)
    assert quarantine.bring_back(DIGESTS[:1], [batch])
    (tmp_path / batch.key(DIGESTS[0])).parent.mkdir()
    assert [errors for stored in quarantine.batches() for _, errors in quarantine.delete(stored)] == [{}]
    assert list((tmp_path / FOLDER).iterdir()) == []


def test_data_in_a_bucket_is_brought_back_without_a_request_to_delete_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """Such a request that is not answered would end the repair although the data is back."""
    bucket = ObjectStore(MemoryStore(), "bucket")
    quarantine = BlobQuarantine(bucket)
    bucket.write(blob_key(sha256(DATA[0])), DATA[0])
    batch = quarantine.begin(BLOBS[:1], Moment(1, 2))
    quarantine.move(batch, DIGESTS[:1], lambda: None)
    monkeypatch.setattr(bucket, "delete", None)
    assert quarantine.bring_back(DIGESTS[:1], [batch])
    assert bucket.read(blob_key(sha256(DATA[0]))) == DATA[0]
