"""An online collection in a bucket: no rename, no lock, no snapshot, and answers that do not arrive."""

from pathlib import Path

import pytest

from service.domain.errors import StorageUnavailable
from service.registry.blob_quarantine import FOLDER
from service.registry.layout import blob_key
from tests.conftest import MakeWiring
from tests.fakes.images import make_image, sha256, variant
from tests.support.online import GRACE_S, SHOP, OnlineSite, blobs_of, ended, make_site

KEPT, UNUSED = make_image(1), make_image(2, layers=3)
LAYER = sha256(UNUSED.blobs[1])
SIZE = len(UNUSED.blobs) + 1


@pytest.fixture(autouse=True)
def unlinked(site: OnlineSite) -> None:
    """An image whose blobs were unlinked so long ago that the next collection deletes them."""
    for image in (KEPT, UNUSED):
        site.registry.push(SHOP, "v1", image)
    site.registry.delete(SHOP, UNUSED.digest)
    assert site.collect_after().unlinked == SIZE
    site.later(GRACE_S + 1)


def test_no_request_waits_while_data_is_copied_into_quarantine(site: OnlineSite) -> None:
    copies: list[bool] = []

    def look(action: str, keys: tuple[str, ...]) -> None:
        if action == "copy":
            copies.append(bool(site.store.connection.client.exists(site.store.connection.keys.of("gc:claimed"))))

    site.objects.before_step = look
    assert site.collect().blobs == SIZE
    assert copies == [False] * SIZE


def test_no_request_waits_while_small_blobs_are_read_before_they_are_unlinked(
    site: OnlineSite, monkeypatch: pytest.MonkeyPatch
) -> None:
    another, reads = make_image(3, layers=3), list[bool]()
    site.registry.push(SHOP, "v2", another)
    site.registry.delete(SHOP, another.digest)
    read_start = site.objects.read_start

    def read(key: str, length: int) -> bytes | None:
        reads.append(site.store.gate.state() is not None)
        return read_start(key, length)

    monkeypatch.setattr(site.objects, "read_start", read)
    assert site.collect_after().unlinked == len(another.blobs) + 1
    assert reads == [False] * len(another.blobs)


def test_a_blob_that_cannot_be_copied_into_quarantine_is_kept(site: OnlineSite) -> None:
    """S3 copies up to 5 GB."""

    def refuse(action: str, keys: tuple[str, ...]) -> None:
        if (action, *keys) == ("copy", blob_key(LAYER)):
            raise StorageUnavailable("the copy source is too large")

    site.objects.before_step = refuse
    run = site.collect()
    assert (run.result, run.blobs) == ("done", SIZE - 1)
    assert "did not delete 1 objects" in run.note
    assert site.stored() == blobs_of(KEPT) | {LAYER}


def test_the_copy_of_a_blob_that_is_in_use_again_leaves_the_quarantine(site: OnlineSite) -> None:
    def push(action: str, keys: tuple[str, ...]) -> None:
        if (action, *keys) == ("copy", blob_key(LAYER)):
            assert ended(site.pushing(SHOP, "again", UNUSED))

    site.objects.before_step = push
    assert site.collect().blobs == 0
    assert site.registry.broken() == ()
    copies = {stored.key.split("/")[-2] for stored in site.plain.list(FOLDER)}
    assert LAYER.removeprefix("sha256:") not in copies


@pytest.mark.parametrize("skew_s", [3600, -3600])
def test_a_clock_of_the_bucket_that_is_an_hour_off_shortens_no_period(
    site: OnlineSite, monkeypatch: pytest.MonkeyPatch, skew_s: int
) -> None:
    """The clock was set between the two runs. By one of the two clocks the grace has not passed."""
    site.later(-20)
    now_us = site.objects.now_us
    monkeypatch.setattr(site.objects, "now_us", lambda: now_us() + skew_s * 1_000_000)
    assert site.collect().blobs == 0
    assert blobs_of(UNUSED) <= site.stored()
    assert site.registry.broken() == ()


def test_a_blob_that_the_listing_missed_is_not_deleted(site: OnlineSite) -> None:
    """The blob was pushed behind the cursor of the listing, which is no snapshot."""
    pushed: list[bool] = []

    def push(action: str, keys: tuple[str, ...]) -> None:
        if action == "list" and keys[0].endswith("repositories") and not pushed:
            pushed.append(ended(site.pushing("a/behind", "again", UNUSED)))

    site.objects.before_step = push
    assert site.collect().blobs == 0
    assert pushed == [True]
    assert site.registry.broken() == ()
    assert blobs_of(UNUSED) <= site.stored()


def test_a_blob_deleted_by_the_late_request_of_a_stopped_worker_comes_back(site: OnlineSite) -> None:
    """The worker had confirmed claims that then ended, and the image was pushed again before its request arrived."""
    assert site.collect().blobs == SIZE
    assert ended(site.pushing(SHOP, "again", UNUSED))
    site.plain.delete([blob_key(digest) for digest in blobs_of(UNUSED)])
    assert site.registry.broken()
    site.collect_after(1)
    assert site.registry.broken() == ()


def test_a_folder_for_the_lock_that_cannot_be_written_is_named(
    site: OnlineSite, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The root filesystem of a container may be read-only."""
    monkeypatch.setattr(site.wiring.registry.collector, "_lock", Path("/proc/none/lock"))
    run = site.collect()
    assert (run.result, run.blobs) == ("failed", 0)
    assert run.message.endswith("correct data_dir")


@pytest.mark.parametrize("renames", [False, True])
def test_the_time_of_a_manifest_in_quarantine_begins_when_its_data_leaves(
    make_wiring: MakeWiring, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, renames: bool
) -> None:
    """A long run prepares thousands of batches before old manifests are deleted, at its end."""
    site = make_site(make_wiring, tmp_path, monkeypatch, quarantine=0)
    site.objects.renames = renames
    site.registry.push(SHOP, "v1", UNUSED)
    site.registry.push(SHOP, "v2", variant(UNUSED, 1))
    site.registry.delete(SHOP, UNUSED.digest)
    site.collect_after()
    late, passed = site.blind(SHOP, "late", UNUSED), [False]
    site.counts_puts = False

    def work_long(action: str, keys: tuple[str, ...]) -> None:
        if action == "claim" and not passed[0]:
            passed[0] = True
            site.later(1200)
            # The registry has just seen the old data, and will not write it again.
            for _ in range(len(UNUSED.blobs) + 2):
                next(late)

    site.objects.before_step = work_long
    assert site.collect_after(GRACE_S + 1).blobs == 1
    assert passed == [True]
    site.objects.before_step = lambda action, keys: None
    assert site.collect_after(300).quarantined == 1
    assert ended(late)
    site.collect_after(1)
    assert site.registry.broken() == ()
