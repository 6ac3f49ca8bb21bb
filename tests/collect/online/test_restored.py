"""Images of the trash whose links, or data, an online collection deleted."""

from dataclasses import replace

import pytest

from service.domain.errors import StorageRefused, StorageUnavailable
from tests.fakes.images import make_image, sha256
from tests.support.online import GRACE_S, QUARANTINE_S, SHOP, YOUTH_S, OnlineSite

DELETED = make_image(2, layers=3)
BLOBS = [sha256(blob) for blob in DELETED.blobs]


@pytest.fixture(params=["online", "registry"])
def unlinked(request: pytest.FixtureRequest, site: OnlineSite) -> OnlineSite:
    """A site whose links an online collection deleted. Then, perhaps, another collector was set."""
    site.registry.push(SHOP, None, DELETED)
    site.registry.delete(SHOP, DELETED.digest)
    assert site.collect_after(YOUTH_S + 1).unlinked
    unlinks = request.param == "online"
    site.wiring = replace(site.wiring, registry=replace(site.wiring.registry, unlinks=unlinks))
    return site


def restored(site: OnlineSite) -> bool:
    """Push the image again as a restore does: it asks for the blobs and puts the manifest. False if one is lost."""
    if site.wiring.registry.missing_blob(SHOP, BLOBS):
        return False
    site.registry.put(SHOP, "v1", DELETED.manifest)
    assert site.registry.broken() == ()
    return True


def test_an_image_can_be_restored_whatever_collector_is_set_now(unlinked: OnlineSite) -> None:
    assert restored(unlinked)


def test_an_image_in_quarantine_can_be_restored_whatever_collector_is_set_now(unlinked: OnlineSite) -> None:
    assert unlinked.collect_after(GRACE_S + 1).quarantined
    assert restored(unlinked)


def test_an_image_whose_data_left_the_quarantine_cannot_be_restored(unlinked: OnlineSite) -> None:
    unlinked.collect_after(GRACE_S + 1)
    unlinked.collect_after(QUARANTINE_S + 1)
    assert not restored(unlinked)
    assert unlinked.links(BLOBS[0]) == frozenset()


@pytest.mark.parametrize("is_in_quarantine", [False, True])
def test_a_process_that_cannot_write_to_the_folder_says_where_to_restore(
    unlinked: OnlineSite, monkeypatch: pytest.MonkeyPatch, is_in_quarantine: bool
) -> None:
    if is_in_quarantine:
        unlinked.collect_after(GRACE_S + 1)
    unlinked.objects.renames = True

    def refuse(*_: object) -> bool:
        raise StorageUnavailable("Read-only file system")

    for name in ("write", "rename"):
        monkeypatch.setattr(unlinked.objects, name, refuse)
    with pytest.raises(StorageRefused, match="mount memory read-write here, or run `pushprune restore` where it is"):
        restored(unlinked)


def test_a_bucket_that_is_away_is_tried_again_later(unlinked: OnlineSite, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> bool:
        raise StorageUnavailable("time-out")

    monkeypatch.setattr(unlinked.objects, "write", refuse)
    with pytest.raises(StorageUnavailable, match="time-out"):
        restored(unlinked)
