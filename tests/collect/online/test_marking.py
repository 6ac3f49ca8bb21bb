"""Marks: a superset of the marks of the registry's own collector; a doubtful manifest ends the run."""

import hashlib
import json
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from obstore.store import LocalStore, MemoryStore

from service.collect.online.marking import Marking
from service.domain.collection.digests import packed, unpacked
from service.domain.collection.storage_inventory import StorageInventory
from service.domain.errors import CollectionFailed
from service.registry.layout import blob_key, layer_key, revision_key
from service.registry.mention_cache import MentionTable
from service.registry.objects import ObjectStore
from service.registry.storage_inventory import read_inventory
from tests.fakes.images import Image, image_over, index_over, make_image, make_index, sha256
from tests.fakes.object_registry import ObjectRegistry
from tests.fakes.real_registry import RealRegistry, require_registry

SHOP = "shop/api"


@pytest.fixture
def registry() -> ObjectRegistry:
    return ObjectRegistry(ObjectStore(MemoryStore(), "memory"))


def marking_of(objects: ObjectStore, mentions: MentionTable | None = None) -> tuple[Marking, StorageInventory]:
    mentions = mentions or MentionTable()
    inventory = read_inventory(objects, digests=mentions.digests)
    return Marking(objects, inventory, mentions), inventory


def unmarked(objects: ObjectStore, mentions: MentionTable | None = None) -> frozenset[str]:
    marking, inventory = marking_of(objects, mentions)
    marking.mark()
    return frozenset(unpacked(blob.digest) for blob in inventory.blobs(besides=marking.marks))


def test_everything_of_an_image_in_any_repository_is_marked(registry: ObjectRegistry) -> None:
    image, other = make_image(1), make_image(2)
    registry.push("a", "v1", image)
    registry.push("b", None, image)
    registry.push("a", "v2", other)
    registry.delete("a", image.digest)
    registry.delete("a", other.digest)
    assert unmarked(registry.objects) == {other.digest, *map(sha256, other.blobs)}


def test_the_blobs_of_parts_without_a_revision_are_marked(registry: ObjectRegistry) -> None:
    index = make_index(1)
    registry.push(SHOP, "v1", index)
    for child in index.children:
        registry.delete(SHOP, child.digest)
    assert registry.eligible()
    assert unmarked(registry.objects) == frozenset()


def test_a_subject_and_unknown_formats_are_marked(registry: ObjectRegistry) -> None:
    subject, blob = make_image(1), registry.upload(SHOP, b"an artifact")
    referrer = make_image(2, subject=subject)
    registry.push(SHOP, None, subject)
    registry.push(SHOP, None, referrer)
    registry.delete(SHOP, subject.digest)
    registry.put(SHOP, "unknown", json.dumps({"mediaType": "application/x", "things": [{"is": blob}]}).encode())
    assert unmarked(registry.objects) == frozenset()


def test_the_layers_of_a_manifest_of_schema_1_are_marked(registry: ObjectRegistry) -> None:
    layer = registry.upload(SHOP, b"a layer of 2015")
    body = {"schemaVersion": 1, "fsLayers": [{"blobSum": layer}], "history": [{"v1Compatibility": "{}"}]}
    registry.put(SHOP, "v1", json.dumps(body).encode())
    assert unmarked(registry.objects) == frozenset()


def damaged(registry: ObjectRegistry, content: bytes | None) -> str:
    digest = registry.push(SHOP, "v1", make_image(1))
    if content is None:
        registry.objects.delete([blob_key(digest)])
    else:
        registry.objects.write(blob_key(digest), content)
    with pytest.raises(CollectionFailed) as refusal:
        unmarked(registry.objects)
    assert f"{SHOP}@{digest}" in str(refusal.value)
    return str(refusal.value)


def test_a_manifest_that_is_missing_damaged_or_too_large_ends_the_run_with_its_name(registry: ObjectRegistry) -> None:
    assert "no data" in damaged(registry, None)
    assert "damaged" in damaged(registry, b"{}")
    assert "4 MiB" in damaged(registry, bytes(4 * 1024 * 1024 + 1))


def test_a_sha512_revision_is_read_too(registry: ObjectRegistry) -> None:
    blob = registry.upload(SHOP, b"a layer")
    content = json.dumps({"layers": [{"digest": blob}]}).encode()
    digest = f"sha512:{hashlib.sha512(content).hexdigest()}"
    registry.objects.write(blob_key(digest), content)
    registry.objects.write(revision_key(SHOP, digest), digest.encode())
    assert unmarked(registry.objects) == frozenset()


def test_the_data_of_a_layer_that_was_pushed_by_its_sha512_is_marked(registry: ObjectRegistry) -> None:
    """The registry stores it under its sha256, which no manifest mentions: only the link tells."""
    layer = registry.upload(SHOP, b"a layer")
    other = f"sha512:{hashlib.sha512(b'a layer').hexdigest()}"
    registry.objects.write(layer_key(SHOP, other), layer.encode())
    registry.put(SHOP, "v1", json.dumps({"blobs": [{"digest": other}]}).encode())
    assert unmarked(registry.objects) == frozenset()
    for damaged in (b"", b"sha512:", b"sha256:" + 64 * b"z", b"sha256:" + 64 * b" ", layer.upper().encode()):
        registry.objects.write(layer_key(SHOP, other), damaged)
        with pytest.raises(CollectionFailed, match="names no digest"):
            unmarked(registry.objects)


def test_known_manifests_are_not_read_again(registry: ObjectRegistry) -> None:
    index, mentions = make_index(1), MentionTable()
    registry.push(SHOP, "v1", index)
    unmarked(registry.objects, mentions)
    for child in index.children:
        registry.objects.write(blob_key(child.digest), b"not read again")
    assert unmarked(registry.objects, mentions) == frozenset()


def test_marks_and_mentions_of_two_tables_are_refused(registry: ObjectRegistry) -> None:
    with pytest.raises(ValueError, match="differently"):
        Marking(registry.objects, read_inventory(registry.objects), MentionTable())


def test_contents_that_are_held_keep_their_blobs(registry: ObjectRegistry) -> None:
    image, index = make_image(1), make_index(2)
    for pushed in (image, index):
        registry.push(SHOP, "v1", pushed)
        registry.delete(SHOP, pushed.digest)
    for child in index.children:
        registry.delete(SHOP, child.digest)
    marking, inventory = marking_of(registry.objects)
    marking.mark([packed(index.digest)], [image.manifest])
    left = {unpacked(blob.digest) for blob in inventory.blobs() if blob.digest not in marking.marks}
    # The bytes of a held manifest come from the trash, so its own blob need not be kept.
    assert left <= {image.digest}


IMAGES = st.builds(make_image, st.integers(0, 5), layers=st.integers(1, 3))
SHARED = st.builds(lambda seed, layer: image_over([layer], seed), st.integers(0, 5), st.sampled_from([b"one", b"two"]))
LEAVES = IMAGES | SHARED
INDEXES = st.builds(index_over, st.lists(LEAVES, min_size=1, max_size=3), seed=st.integers(0, 3))
NESTED = st.builds(index_over, st.lists(INDEXES | LEAVES, min_size=1, max_size=2), seed=st.integers(0, 3))
REFERRERS = st.builds(lambda seed, subject: make_image(seed, subject=subject), st.integers(6, 9), LEAVES)
PUSHES = st.lists(st.tuples(st.sampled_from(["a", "b/c"]), LEAVES | INDEXES | NESTED | REFERRERS), max_size=5)


def populate(registry: ObjectRegistry, pushes: list[tuple[str, Image]], deleted: list[int]) -> None:
    """Push these images, and delete some of all manifests, parts of indexes among them."""
    for repository, image in pushes:
        registry.push(repository, "latest", image)
    revisions = [
        (name, unpacked(digest))
        for name, stored in sorted(read_inventory(registry.objects).repositories.items())
        for digest in sorted(stored.revisions)
    ]
    for number in deleted if revisions else ():
        registry.delete(*revisions[number % len(revisions)])


@given(PUSHES, st.lists(st.integers(0, 50), max_size=6))
def test_the_marks_are_a_superset_of_those_of_the_registry(pushes: list[tuple[str, Image]], deleted: list[int]) -> None:
    """A blob that any manifest mentions is marked, so it is never deleted."""
    registry = ObjectRegistry(ObjectStore(MemoryStore(), "memory"))
    populate(registry, pushes, deleted)
    assert unmarked(registry.objects) <= registry.eligible()


@pytest.mark.live
@pytest.mark.parametrize("examples", [15, pytest.param(300, marks=pytest.mark.deep)])
def test_the_marks_are_a_superset_of_those_of_the_real_registry(tmp_path: Path, examples: int) -> None:
    """The marks of the registry are those of a dry run of garbage-collect over the same folder."""
    require_registry()
    folders = iter(range(10_000))

    @settings(max_examples=examples, deadline=None)
    @given(PUSHES, st.lists(st.integers(0, 50), max_size=6))
    def superset(pushes: list[tuple[str, Image]], deleted: list[int]) -> None:
        folder = tmp_path / str(next(folders))
        real = RealRegistry(directory=folder)
        real.storage_path.mkdir(parents=True)
        real.write_config()
        registry = ObjectRegistry(ObjectStore(LocalStore(real.storage_path), "disk"))
        populate(registry, pushes, deleted)
        if not pushes:
            return
        lines = real.collect("--dry-run").splitlines()
        listed = {line.rpartition(" ")[2] for line in lines if line.startswith("blob eligible for deletion")}
        assert unmarked(registry.objects) <= listed
        # What this storage is read by is what the fake says of it, too.
        assert registry.eligible() == listed

    superset()
