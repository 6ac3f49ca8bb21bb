"""Data comes back from quarantine: because a manifest needs it, or because a user asks for it."""

import pytest

from service.collect import run as collect_run
from service.domain.collection.run import Run, Undeletion
from service.registry.layout import blob_key, current_key, revision_key
from tests.fakes.images import make_image, sha256
from tests.support.online import GRACE_S, QUARANTINE_S, SHOP, YOUTH_S, OnlineSite, blobs_of

KEPT, UNUSED = make_image(1), make_image(2, layers=3)
LAYER = sha256(UNUSED.blobs[1])
SIZE = len(UNUSED.blobs) + 1


@pytest.fixture(autouse=True)
def deleted(site: OnlineSite) -> None:
    """The data of one image is in quarantine."""
    for image in (KEPT, UNUSED):
        site.registry.push(SHOP, "v1", image)
    site.registry.delete(SHOP, UNUSED.digest)
    assert site.collect_after(YOUTH_S + 1).unlinked
    assert site.collect_after(GRACE_S + 1).quarantined == SIZE


def undelete(site: OnlineSite, *digests: str) -> Run:
    site.store.collections.request_undeletion(Undeletion("an undeletion", digests))
    collect_run.collect(site.wiring)
    (run, *_) = site.store.collection_runs.latest(1)
    assert run.reason == "an undeletion"
    return run


def link_again(site: OnlineSite) -> None:
    """The repository has the manifest again, as a PUT that comes too late leaves it."""
    site.plain.write(revision_key(SHOP, UNUSED.digest), UNUSED.digest.encode())
    site.plain.write(current_key(SHOP, "late"), UNUSED.digest.encode())


def test_everything_that_a_manifest_needs_is_brought_back_with_its_links(site: OnlineSite) -> None:
    link_again(site)
    run = undelete(site)
    assert run.result == "undeletion"
    assert f"{UNUSED.digest} came back" in run.note
    assert f"{len(UNUSED.blobs)} links that manifests need were written again" in run.note
    assert (run.quarantined, site.registry.broken()) == (0, ())


def test_the_next_collection_brings_the_same_data_back(site: OnlineSite) -> None:
    link_again(site)
    run = site.collect()
    assert (run.result, run.quarantined, site.registry.broken()) == ("done", 0, ())
    assert f"{SIZE} blobs were brought back" in run.note


def test_the_look_when_no_push_can_be_left_repairs_the_same(site: OnlineSite) -> None:
    link_again(site)
    site.store.collections.look_again_at(0)
    collect_run.collect(site.wiring)
    assert site.registry.broken() == ()


def test_a_dry_run_reports_data_that_would_come_back_and_writes_nothing(site: OnlineSite) -> None:
    link_again(site)
    writes: list[str] = []
    site.objects.before_step = lambda action, keys: writes.extend(keys if action not in ("list", "clock") else ())
    site.store.collections.request_rehearsal("a dry run")
    collect_run.collect(site.wiring)
    (run, *_) = site.store.collection_runs.latest(1)
    assert (run.result, run.blobs) == ("dry run", 0)
    assert f"{SIZE} blobs are in quarantine although a manifest needs them" in run.note
    assert set(writes) == {"pushprune/clock"}
    assert site.stored() == blobs_of(KEPT)


def test_no_link_is_written_where_no_collection_deleted_one(site: OnlineSite) -> None:
    """Another repository that mentions the digest gets no access to its data."""
    site.plain.write(revision_key("stranger", UNUSED.digest), UNUSED.digest.encode())
    undelete(site)
    assert site.has(LAYER)
    assert site.links(LAYER) == frozenset()


def test_the_named_digests_come_back_and_the_others_are_kept(site: OnlineSite) -> None:
    run = undelete(site, LAYER, KEPT.digest)
    assert f"{LAYER} came back" in run.note
    assert f"{KEPT.digest} has its data" in run.note
    assert run.quarantined == SIZE - 1
    # It is garbage as any other, and its grace begins anew.
    assert site.collect_after(1).unlinked == 1
    assert site.collect_after(GRACE_S + 1).quarantined


def test_data_that_left_the_quarantine_is_reported(site: OnlineSite) -> None:
    site.collect_after(QUARANTINE_S + 1)
    link_again(site)
    run = undelete(site, LAYER)
    assert run.result == "failed"
    assert f"{LAYER} is not in quarantine any more" in run.note
    assert f"the data of {SHOP}@{UNUSED.digest} is not in quarantine any more" in run.note
    assert not site.plain.head(blob_key(UNUSED.digest))


def test_a_shorter_grace_for_a_full_disk_deletes_at_once(site: OnlineSite) -> None:
    other = make_image(5)
    site.registry.push(SHOP, "v2", other)
    site.registry.delete(SHOP, other.digest)
    assert site.collect_after(YOUTH_S + 1).unlinked
    site.later(901)
    site.store.collections.request("by hand", 900)
    collect_run.collect(site.wiring)
    (run, *_) = site.store.collection_runs.latest(1)
    # All but the manifest, which may still meet a PUT.
    assert (run.quarantined, run.quarantined_bytes) == (1, len(other.manifest))
    assert run.bytes_freed == sum(map(len, (*UNUSED.blobs, UNUSED.manifest, *other.blobs)))
    assert "requested with a grace of 15m" in run.note
    assert site.store.collections.requested_grace_s() is None
