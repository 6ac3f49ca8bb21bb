"""A bucket is read as a mounted storage is: both are asked here for the same objects."""

import hashlib
import json
import os
import time
from pathlib import Path

import pytest
from obstore.store import LocalStore

from service.domain.oci.manifest import OCI_MANIFEST
from service.registry import layout
from service.registry.bucket_storage import BucketStorage
from service.registry.objects import ObjectStore
from service.registry.storage import ReadableStorage, Storage

CONTENT = json.dumps({"schemaVersion": 2, "mediaType": OCI_MANIFEST, "config": {}, "layers": []}).encode()
MANIFEST = f"sha256:{hashlib.sha256(CONTENT).hexdigest()}"
LAYER, OTHER = f"sha256:{'a' * 64}", f"sha256:{'b' * 64}"
SHOP = "shop/api"


@pytest.fixture(params=["mounted", "bucket"])
def storage(request: pytest.FixtureRequest, tmp_path: Path) -> ReadableStorage:
    objects = ObjectStore(LocalStore(tmp_path), "s3://registry")
    objects.write(layout.blob_key(MANIFEST), CONTENT)
    objects.write(layout.revision_key(SHOP, MANIFEST), MANIFEST.encode())
    objects.write(layout.revision_key(SHOP, OTHER), OTHER.encode())
    objects.write(layout.layer_key(SHOP, LAYER), LAYER.encode())
    objects.write(layout.layer_key("only/blobs", LAYER), LAYER.encode())
    for tag, digest in (("rel", MANIFEST), ("rel2", MANIFEST), ("next", OTHER), ("odd", "no digest")):
        objects.write(layout.current_key(SHOP, tag), digest.encode())
    os.utime(tmp_path / layout.current_key(SHOP, "rel"), (1_790_000_000, 1_790_000_000))
    return Storage(tmp_path) if request.param == "mounted" else BucketStorage(objects)


def test_the_digest_and_the_push_time_of_a_tag_are_read(storage: ReadableStorage) -> None:
    assert storage.digest_of(SHOP, "rel") == MANIFEST
    assert storage.digest_of(SHOP, "odd") is None
    assert storage.digest_of(SHOP, "none") is None
    assert storage.pushed_us(SHOP, "rel") == 1_790_000_000_000_000
    assert storage.pushed_us(SHOP, "none") is None


def test_tags_are_all_there_also_those_that_begin_with_another(storage: ReadableStorage) -> None:
    assert {"rel", "rel2", "next"} <= storage.tags(SHOP)
    assert storage.tags("none") == frozenset()
    assert storage.tags_at(SHOP, {MANIFEST}) == {"rel": MANIFEST, "rel2": MANIFEST}


def test_a_manifest_has_a_link_and_bytes_of_its_digest(storage: ReadableStorage) -> None:
    manifest = storage.manifest(SHOP, MANIFEST)
    assert manifest is not None
    assert (manifest.content, manifest.media_type) == (CONTENT, OCI_MANIFEST)
    assert storage.manifest("only/blobs", MANIFEST) is None
    assert storage.manifest(SHOP, OTHER) is None
    assert list(storage.manifests(SHOP)) == [MANIFEST]


def test_blobs_have_sizes_and_times(storage: ReadableStorage) -> None:
    assert storage.blob_size(MANIFEST) == len(CONTENT)
    assert storage.blob_sizes([MANIFEST, OTHER]) == {MANIFEST: len(CONTENT), OTHER: None}
    assert abs((storage.blob_us(MANIFEST) or 0) / 1e6 - time.time()) < 60
    assert storage.blob_us(OTHER) is None
    assert abs((storage.layer_us(SHOP, LAYER) or 0) / 1e6 - time.time()) < 60
    assert storage.has_layer("only/blobs", LAYER)
    assert not storage.has_layer(SHOP, OTHER)


def test_repositories_are_found_at_any_depth(storage: ReadableStorage) -> None:
    assert sorted(storage.repositories()) == ["only/blobs", "shop/api"]
    assert storage.holds_tags(SHOP)
    assert not storage.holds_tags("only/blobs")
