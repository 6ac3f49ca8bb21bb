"""An online collection from its request to its record, and failures in between."""

import gc
import sys
import time
from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path
from threading import Barrier

import pytest
from obstore.store import LocalStore

from service.collect import progress
from service.collect import run as collect_run
from service.collect.garbage import restorable_until
from service.collect.online import claiming
from service.collect.status import at_stake
from service.domain.collection.run import CollectionStage, Run
from service.domain.errors import StorageUnavailable
from service.registry.blob_quarantine import FOLDER
from service.registry.layout import BLOBS, blob_key, layer_key, revision_key
from service.registry.objects import ObjectStore, StoredObject
from service.store.lease import COLLECT, Lease
from tests.conftest import MakeWiring
from tests.fakes.images import image_over, make_image, sha256, variant
from tests.fakes.object_registry import ObjectRegistry
from tests.support.online import (
    GRACE_S,
    QUARANTINE_S,
    SHOP,
    YOUTH_S,
    OnlineSite,
    blobs_of,
    ended,
    make_site,
    make_store,
)

KEPT, UNUSED = make_image(1), make_image(2, layers=3)
LAYER = sha256(UNUSED.blobs[1])
SIZE = len(UNUSED.blobs) + 1


@pytest.fixture(autouse=True)
def pushed(site: OnlineSite) -> None:
    for image in (KEPT, UNUSED):
        site.registry.push(SHOP, "v1", image)
    site.registry.delete(SHOP, UNUSED.digest)


def is_untouched(site: OnlineSite) -> bool:
    return site.stored() == blobs_of(KEPT, UNUSED) and site.links(LAYER) == {SHOP}


def unlinked(site: OnlineSite) -> Run:
    run = site.collect_after()
    assert (run.result, run.unlinked, run.message) == ("done", SIZE, "")
    return run


def test_an_unused_image_is_unlinked_and_after_its_grace_deleted(site: OnlineSite) -> None:
    assert unlinked(site).blobs == 0
    assert site.stored() == blobs_of(KEPT, UNUSED)
    assert not any(site.links(sha256(blob)) for blob in UNUSED.blobs)
    assert site.collect_after(GRACE_S - 10).blobs == 0
    site.objects.before_step = lambda action, keys: time.sleep(0.02) if action == "delete" else None
    run = site.collect_after(20)
    assert (run.result, run.blobs, run.unlinked, run.bytes_freed) == ("done", SIZE, 0, 0)
    assert run.held_ms >= 20
    assert site.stored() == blobs_of(KEPT)
    assert site.store.claims.journal() == {}
    assert site.store.gate.state() is None


def test_the_record_contains_the_age_of_all_garbage(site: OnlineSite) -> None:
    def stages() -> list[str]:
        garbage = site.store.garbage.last()
        assert garbage is not None
        return [step.stage for step in garbage.steps]

    site.collect()
    assert stages() == ["younger than gc.youth"]
    unlinked(site)
    assert stages() == ["unlinked"]
    site.collect_after(GRACE_S + 1)
    assert stages() == ["in quarantine"]


def test_each_stage_reports_the_share_that_is_done(site: OnlineSite, monkeypatch: pytest.MonkeyPatch) -> None:
    shares: dict[str, tuple[int, int]] = {}
    publish = site.store.collections.publish_progress

    def publish_progress(under: CollectionStage) -> None:
        shares[under.stage] = (under.done, under.total)
        publish(under)

    monkeypatch.setattr(progress, "_SHOW_S", 0)
    monkeypatch.setattr(site.store.collections, "publish_progress", publish_progress)
    unlinked(site)
    assert shares["marking"] == (1, 1)
    assert shares["unlinking"] == (SIZE, SIZE)
    assert shares["listing the storage"][0] == len(list(site.plain.list("docker"))) + len(UNUSED.blobs)
    site.collect_after(GRACE_S + 1)
    assert shares["deleting blobs"] == (SIZE, SIZE)


def test_deleted_data_is_in_quarantine_until_its_time_has_passed(site: OnlineSite) -> None:
    unlinked(site)
    size_bytes = sum(map(len, (*UNUSED.blobs, UNUSED.manifest)))
    run = site.collect_after(GRACE_S + 1)
    assert (run.quarantined, run.quarantined_bytes, run.bytes_freed) == (SIZE, size_bytes, 0)
    assert run.quarantined_until_ms == pytest.approx(
        site.store.connection.now_us() / 1000 + QUARANTINE_S * 1000, abs=60_000
    )
    assert site.collect_after(QUARANTINE_S - 60).quarantined == SIZE
    run = site.collect_after(61)
    assert (run.quarantined, run.bytes_freed) == (0, size_bytes)
    assert not list(site.plain.list(FOLDER))


def test_no_folder_is_left_on_a_filesystem(
    make_wiring: MakeWiring, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "storage"
    monkeypatch.setattr("tests.support.online.MemoryStore", lambda: LocalStore(folder, mkdir=True))
    site = make_site(make_wiring, tmp_path, monkeypatch)
    site.objects.renames = True
    for image in (KEPT, UNUSED):
        site.registry.push(SHOP, "v1", image)
    site.registry.delete(SHOP, UNUSED.digest)
    assert site.collect_after().unlinked
    for seconds in (GRACE_S, QUARANTINE_S):
        site.collect_after(seconds + 1)
    empty = [path for path in folder.rglob("*") if path.is_dir() and not any(path.iterdir())]
    # There are 256 folders of blobs at most.
    assert [path for path in empty if len(path.name) == 64 or path.parent.name == "quarantine"] == [
        path for path in empty if "_manifests" in path.parts and len(path.name) == 64
    ]
    assert site.stored() == blobs_of(KEPT)
    assert not list(site.plain.list(FOLDER))


def test_without_a_quarantine_only_manifests_pass_through_it_for_as_long_as_a_request_may_take(
    make_wiring: MakeWiring, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    site = make_site(make_wiring, tmp_path, monkeypatch, quarantine=0)
    site.registry.push(SHOP, "v1", UNUSED)
    site.registry.delete(SHOP, UNUSED.digest)
    unlinked(site)
    run = site.collect_after(GRACE_S + 1)
    assert (run.blobs, run.bytes_freed) == (SIZE, sum(map(len, UNUSED.blobs)))
    assert (run.quarantined, run.quarantined_bytes) == (1, len(UNUSED.manifest))
    assert site.collect_after(950).quarantined == 1
    run = site.collect_after(20)
    assert (run.quarantined, run.bytes_freed) == (0, len(UNUSED.manifest))


def test_an_image_can_be_restored_until_its_data_leaves_the_quarantine(
    site: OnlineSite, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The trash forgets the image after the data, not before: a storage that does not delete takes nothing away."""
    forgotten: list[object] = []

    def forget(images: Iterable[object]) -> int:
        forgotten.extend(images)
        return 0

    monkeypatch.setattr(site.store.trash, "blobs", lambda: [(SHOP, UNUSED.digest, (LAYER,))])
    monkeypatch.setattr(site.store.trash, "forget_images", forget)
    unlinked(site)
    site.collect_after(GRACE_S + 1)
    site.objects.failing = lambda key: LAYER[7:] in key
    site.collect_after(QUARANTINE_S + 1)
    assert forgotten == []
    site.objects.failing = lambda key: False
    site.collect_after(1)
    assert forgotten == [(SHOP, UNUSED.digest)]


def test_a_collection_that_loses_its_lease_while_a_batch_expires_leaves_the_rest_to_the_next(
    site: OnlineSite, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("service.registry.blob_quarantine._AT_ONCE", 1)
    forgotten: list[object] = []

    def forget(images: Iterable[object]) -> int:
        forgotten.extend(images)
        return 0

    monkeypatch.setattr(site.store.trash, "blobs", lambda: [(SHOP, UNUSED.digest, tuple(blobs_of(UNUSED)))])
    monkeypatch.setattr(site.store.trash, "forget_images", forget)
    unlinked(site)
    site.collect_after(GRACE_S + 1)
    before, lost = len(list(site.plain.list(FOLDER))), list[str]()

    def lose_it(action: str, keys: Sequence[str]) -> None:
        lost.extend(key for key in keys if action == "delete" and key.startswith(FOLDER))

    with monkeypatch.context() as patch:
        patch.setattr(Lease, "valid", property(lambda lease: not lost))
        site.objects.before_step = lose_it
        assert "lease" in site.collect_after(QUARANTINE_S + 1).message
    assert len(lost) == 1
    assert len(list(site.plain.list(FOLDER))) == before - 1
    assert bool(forgotten) is lost[0].endswith("data")
    site.objects.before_step = lambda action, keys: None
    site.collect_after(1)
    assert not list(site.plain.list(FOLDER))
    assert forgotten


def test_the_trash_says_when_an_image_loses_the_first_of_its_blobs(
    site: OnlineSite, monkeypatch: pytest.MonkeyPatch
) -> None:
    gc = site.wiring.settings.gc
    monkeypatch.setattr(site.store.trash, "blobs", lambda: [(SHOP, UNUSED.digest, (LAYER,))])
    never_s = 10 * 365 * 86_400

    def wait_s() -> int:
        """Return the seconds for which the image can be restored, without a schedule."""
        image = (SHOP, UNUSED.digest, time.time_ns() // 1000)
        (end_us,) = restorable_until(site.store, gc, never_s, [image])
        return round(end_us / 1_000_000 - time.time())

    assert wait_s() == pytest.approx(GRACE_S + QUARANTINE_S, abs=60)
    site.collect_after()
    unlinked_s = site.objects.skew_us / 1_000_000
    assert wait_s() == pytest.approx(unlinked_s + GRACE_S + QUARANTINE_S, abs=60)
    site.collect_after(GRACE_S + 1)
    assert wait_s() == pytest.approx(site.objects.skew_us / 1_000_000 + QUARANTINE_S, abs=60)


def test_a_manifest_that_was_put_too_late_gets_its_data_back(site: OnlineSite) -> None:
    """The gate let its PUT pass; it reached the registry when nothing was in flight, and found the old data."""
    unlinked(site)
    late = variant(UNUSED, 1)
    site.registry.push(SHOP, "v2", late)
    site.later(GRACE_S + 1)
    client = site.blind(SHOP, "late", UNUSED)
    # The layers have links again, and the registry has just looked for the data of the manifest.
    for blob in UNUSED.blobs:
        site.registry.upload(SHOP, blob)
    for _ in range(len(UNUSED.blobs) + 2):
        next(client)
    site.debug.in_flight = 0
    site.objects.after_step = lambda action, keys: (
        ended(client) if action == "delete" and keys[0] == blob_key(UNUSED.digest) else None
    )
    run = site.collect()
    assert site.has(UNUSED.digest)
    assert site.registry.broken() == ()
    assert "brought back" in run.note


def test_the_registry_is_not_asked_about_each_blob_that_is_in_use(
    site: OnlineSite, monkeypatch: pytest.MonkeyPatch
) -> None:
    for number in range(20):
        site.registry.upload(SHOP, f"a layer that is uploaded again {number}".encode())
    site.later(YOUTH_S + 1)
    # Until the gate has noted requests for gc.youth, every digest may be in use.
    site.noting_for(0)
    asked: list[str] = []
    real = site.client.claims_blob

    def claims_blob(repository: str, digest: str) -> bool:
        asked.append(digest)
        return real(repository, digest)

    monkeypatch.setattr(site.client, "claims_blob", claims_blob)
    assert site.collect().unlinked == 0
    assert len(asked) <= 3


def test_a_dry_run_writes_nothing_but_the_clock_and_lists_what_no_manifest_needs(site: OnlineSite) -> None:
    site.later(YOUTH_S + 1)
    writes: list[str] = []
    site.objects.after_step = lambda action, keys: writes.extend(keys)
    site.store.collections.request_rehearsal("a dry run")
    collect_run.collect(site.wiring)
    rehearsal = site.store.collections.rehearsal()
    assert rehearsal is not None
    assert {digest for digest, _ in rehearsal.blobs} == blobs_of(UNUSED)
    assert set(writes) == {"pushprune/clock"}
    assert site.store.gate.state() is None
    garbage = site.store.garbage.last()
    assert garbage is not None
    layers, manifest = sum(map(len, UNUSED.blobs)), len(UNUSED.manifest)
    assert {(share.repository, share.blobs, share.size_bytes) for share in garbage.repositories} == {
        (SHOP, len(UNUSED.blobs), layers),
        ("", 1, manifest),
    }
    assert [(step.stage, step.size_bytes) for step in garbage.steps] == [("unused", layers + manifest)]
    assert site.store.claims.journal() == {}
    assert is_untouched(site)


def test_nothing_is_unlinked_until_the_gate_has_noted_requests_for_the_youth(site: OnlineSite) -> None:
    site.noting_for(YOUTH_S - 60)
    assert site.collect_after().unlinked == 0
    assert is_untouched(site)


def test_blobs_that_must_be_kept_are_claimed_together(site: OnlineSite) -> None:
    """One by one, or few by few, they would be as many calls of Redis as there are blobs."""
    claims: list[str] = []
    for number in range(30):
        site.registry.upload(SHOP, bytes([number]))
    site.later(YOUTH_S + 1)
    site.noting_for(YOUTH_S - 60)
    site.objects.before_step = lambda action, keys: claims.append(action) if action == "claim" else None
    assert (site.collect().unlinked, len(claims)) == (0, 2)


def test_the_storage_of_another_registry_is_refused(site: OnlineSite) -> None:
    elsewhere = ObjectRegistry(make_store())
    site.client.registry = elsewhere
    run = site.collect_after()
    assert run.result == "failed"
    assert "the registry does not have shop/api@sha256:" in run.message
    assert is_untouched(site)


def test_a_volume_of_the_registry_that_the_worker_does_not_see_is_refused(
    site: OnlineSite, monkeypatch: pytest.MonkeyPatch
) -> None:
    elsewhere = ObjectRegistry(make_store())
    elsewhere.push("other/volume", "v1", UNUSED)
    for image in (KEPT, UNUSED):
        elsewhere.push(SHOP, "v1", image)
    site.client.registry = elsewhere
    monkeypatch.setattr(site.store.history, "repositories", lambda: (SHOP, "other/volume", "deleted"))
    monkeypatch.setattr(site.store.history, "standing", lambda repository: frozenset([KEPT.digest, UNUSED.digest]))
    elsewhere.delete(SHOP, UNUSED.digest)
    run = site.collect_after()
    assert run.result == "failed"
    assert f"the registry has the manifest other/volume@{UNUSED.digest}" in run.message
    assert is_untouched(site)
    site.client.registry = site.registry
    assert site.collect().result == "done"


def test_a_manifest_that_is_pushed_again_between_two_looks_is_on_no_other_volume(
    site: OnlineSite, monkeypatch: pytest.MonkeyPatch
) -> None:
    back, head = make_image("back"), ObjectStore.head

    def pushed_after(objects: ObjectStore, key: str) -> StoredObject | None:
        stored = head(objects, key)
        if key == revision_key(SHOP, back.digest) and stored is None:
            site.registry.push(SHOP, "back", back)
        return stored

    monkeypatch.setattr(ObjectStore, "head", pushed_after)
    monkeypatch.setattr(site.store.history, "repositories", lambda: (SHOP,))
    monkeypatch.setattr(site.store.history, "standing", lambda repository: frozenset([back.digest]))
    assert site.collect_after().result == "done"


def test_a_cache_that_the_registry_reports_is_refused(site: OnlineSite) -> None:
    site.debug.cached = 1
    run = site.collect_after()
    assert run.result == "failed"
    assert "has a cache of blobs" in run.message
    assert is_untouched(site)


def test_a_cache_that_shows_at_the_first_link_is_refused_and_the_link_written_again(site: OnlineSite) -> None:
    site.client.cache = set()
    run = site.collect_after()
    assert run.result == "failed"
    assert "its link was written again" in run.message or "the link was written again" in run.message
    assert is_untouched(site)
    assert site.store.gate.state() is None


def test_a_cache_that_was_switched_on_since_the_unlinking_is_refused(site: OnlineSite) -> None:
    unlinked(site)
    site.client.cache = {(SHOP, sha256(blob)) for blob in UNUSED.blobs}
    run = site.collect_after(GRACE_S + 1)
    assert (run.result, run.blobs) == ("failed", 0)
    assert site.stored() == blobs_of(KEPT, UNUSED)


def test_a_blob_that_the_storage_does_not_delete_is_kept_in_the_journal(site: OnlineSite) -> None:
    unlinked(site)
    site.objects.failing = lambda key: key == blob_key(LAYER)
    run = site.collect_after(GRACE_S + 1)
    assert (run.result, run.blobs) == ("done", SIZE - 1)
    assert "did not delete 1 objects" in run.note
    site.objects.failing = lambda key: False
    assert site.collect_after(1).blobs == 1
    assert site.stored() == blobs_of(KEPT)


@pytest.mark.slow
def test_more_keys_than_one_call_takes_are_deleted(site: OnlineSite) -> None:
    for number in range(1100):
        site.registry.upload(SHOP, f"layer {number}".encode())
    assert site.collect_after().unlinked == 1100 + SIZE
    assert site.collect_after(GRACE_S + 1).blobs == 1100 + SIZE
    assert site.stored() == blobs_of(KEPT)


def test_a_manifest_whose_push_met_the_unlinking_gets_its_links_again(site: OnlineSite) -> None:
    """The push read the links right before they were deleted, and its revision came after the inventory."""
    site.later(YOUTH_S + 1)
    client = site.blind(SHOP, "late", UNUSED)
    for _ in range(len(UNUSED.blobs) + 2):
        next(client)

    def end_after_links(action: str, keys: tuple[str, ...]) -> None:
        if action == "delete" and keys[0] == layer_key(SHOP, LAYER):
            assert ended(client)

    site.objects.after_step = end_after_links
    # The gate has not heard of the blobs, only of the manifest.
    run = site.collect()
    assert run.unlinked
    assert site.registry.broken() == ()
    assert "links were written again" in run.note


def test_a_manifest_that_comes_after_the_second_look_gets_its_links_when_no_push_can_be_left(site: OnlineSite) -> None:
    client = site.blind(SHOP, "late", UNUSED)
    for _ in range(len(UNUSED.blobs) + 2):
        next(client)
    unlinked(site)
    assert ended(client)
    assert site.registry.broken()
    assert not site.store.collections.must_look_again()
    site.store.collections.look_again_at(0)
    assert site.store.collections.overdue()
    collect_run.collect(site.wiring)
    assert site.registry.broken() == ()
    assert not site.store.collections.must_look_again()


@pytest.mark.slow
def test_old_manifests_are_kept_while_pushes_of_manifests_do_not_end(
    site: OnlineSite, monkeypatch: pytest.MonkeyPatch
) -> None:
    unlinked(site)
    site.debug.in_flight = 1
    monkeypatch.setattr(claiming, "_HOLD_S", 0.05)
    monkeypatch.setattr("service.collect.online.run._BETWEEN_PUTS_S", 0.1)
    run = site.collect_after(GRACE_S + 1)
    assert (run.result, run.blobs) == ("done", SIZE - 1)
    assert "clients pushed manifests without a pause" in run.note
    assert site.store.gate.state() is None
    site.debug.in_flight = 0
    assert site.collect_after(1).blobs == 1


def test_a_deletion_becomes_permanent_only_after_the_grace(site: OnlineSite) -> None:
    connection, gc = site.store.connection, site.wiring.settings.gc
    now_us = connection.now_us()
    connection.redis.zadd(
        connection.keys.of("trashed"),
        {"a sha256:1": now_us - 1, "b sha256:2": now_us - (GRACE_S + QUARANTINE_S) * 10**6 - 1},
    )
    assert at_stake(site.store, gc) == 1
    site.store.collections.request("a full disk", GRACE_S)
    connection.redis.zadd(connection.keys.of("trashed"), {"c sha256:3": now_us - GRACE_S * 10**6 - 1})
    assert at_stake(site.store, gc) == 2
    assert at_stake(site.store, gc.model_copy(update={"collector": "registry"})) == 3


def test_a_second_worker_finds_the_lease_taken(site: OnlineSite) -> None:
    with site.store.leases.hold(COLLECT):
        site.later(YOUTH_S + 1)
        site.store.collections.request("by hand")
        collect_run.collect(site.wiring)
    assert is_untouched(site)


def test_a_collection_that_loses_its_lease_while_it_marks_leaves_the_mentions_to_the_next(
    site: OnlineSite, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The next one may need mentions that it would forget: its inventory does not show later pushes."""
    read, lost = site.objects.read, list[str]()

    def lose_it(key: str) -> bytes | None:
        if key.startswith(BLOBS):
            lost.append(key)
        return read(key)

    def forget(digests: object) -> None:
        raise AssertionError("it goes on without a lease")

    monkeypatch.setattr(site.objects, "read", lose_it)
    monkeypatch.setattr(Lease, "valid", property(lambda lease: not lost))
    monkeypatch.setattr(site.wiring.registry.mentions, "keep_only", forget)
    assert "lease" in site.collect_after().message
    assert lost
    assert is_untouched(site)


def test_without_the_extra_storage_a_collection_says_what_to_install(
    site: OnlineSite, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "service.collect.online.run", None)
    run = site.collect()
    assert run.result == "failed"
    assert "pip install 'pushprune[storage]'" in run.message


def test_a_cancelled_collection_deletes_nothing(site: OnlineSite) -> None:
    site.later(YOUTH_S + 1)
    site.objects.before_step = lambda action, keys: site.store.collections.cancel()
    run = site.collect()
    assert run.result == "postponed"
    assert is_untouched(site)


def test_a_link_to_a_manifest_that_is_not_understood_ends_the_run(site: OnlineSite) -> None:
    site.plain.write("docker/registry/v2/repositories/a/_manifests/revisions/md5/00ff/link", b"md5:00ff")
    run = site.collect_after()
    assert run.result == "failed"
    assert "revisions/md5/00ff/link" in run.message
    assert is_untouched(site)


def test_a_blob_that_another_repository_keeps_is_untouched_in_both(site: OnlineSite) -> None:
    shared = image_over([UNUSED.blobs[1]], 7)
    site.registry.push("other", "v1", shared)
    run = site.collect_after()
    assert run.unlinked == SIZE - 1
    assert site.links(sha256(UNUSED.blobs[1])) == {SHOP, "other"}


def test_the_registry_is_asked_for_several_links_at_once(site: OnlineSite, monkeypatch: pytest.MonkeyPatch) -> None:
    """Clients wait meanwhile. Requests one after the other would wait for each other until the barrier breaks."""
    unlinked(site)
    site.wiring = replace(site.wiring, registry=replace(site.wiring.registry, parallel=2))
    together, claims_blob = Barrier(2), site.client.claims_blob

    def claims(repository: str, digest: str) -> bool:
        together.wait(timeout=20)
        return claims_blob(repository, digest)

    monkeypatch.setattr(site.client, "claims_blob", claims)
    run = site.collect_after(GRACE_S + 1)
    assert (run.message, run.blobs) == ("", SIZE)


def test_pythons_garbage_collector_sees_everything_again_after_a_run_that_failed(site: OnlineSite) -> None:
    frozen: list[int] = []

    def fail(action: str, keys: tuple[str, ...]) -> None:
        frozen.append(gc.get_freeze_count())
        raise StorageUnavailable("the storage does not answer")

    site.objects.before_step = fail
    assert site.collect().result != "done"
    assert frozen[0] > 0
    assert gc.get_freeze_count() == 0
