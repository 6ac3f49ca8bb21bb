"""Safety rule 7: the data of manifests is deleted only while no PUT of a manifest is in progress; PUTs wait shortly."""

import time
from collections.abc import Callable
from pathlib import Path

import pytest

from service.clock import now_us
from service.collect.online import claiming, preparation, removal
from service.collect.online import run as online_run
from service.collect.online.claiming import Claiming
from service.domain.collection.gate import WriteRequest, client_of
from service.registry.blob_quarantine import BlobQuarantine
from service.registry.layout import blob_key
from tests.conftest import MakeWiring
from tests.fakes.images import image_over, make_image, variant
from tests.support.online import ANN, GRACE_S, OnlineSite, ended, make_site
from tests.support.record import event, record

pytestmark = pytest.mark.slow

GARBAGE = image_over([b"a layer"], 1)
MANIFESTS = 4
Look = Callable[[int], None]


@pytest.fixture
def site(make_wiring: MakeWiring, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> OnlineSite:
    """A site where only the data of manifests is garbage, which the next collection deletes."""
    site = make_site(make_wiring, tmp_path, monkeypatch)
    site.registry.push("a", "kept", variant(GARBAGE, MANIFESTS))
    for number in range(MANIFESTS):
        image = variant(GARBAGE, number) if number else GARBAGE
        site.registry.push("a", "old", image)
        site.registry.delete("a", image.digest)
    site.registry.push("b", "kept", make_image(9))
    assert site.collect_after().unlinked == MANIFESTS
    site.later(GRACE_S + 1)
    return site


@pytest.fixture
def moments(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The ends of the moments in which PUTs are held; 0 for each attempt that found no such moment."""
    ends: list[float] = []
    hold = Claiming.hold_manifests

    def counted(claiming: Claiming, look: Look) -> float:
        ends.append(hold(claiming, look))
        return ends[-1]

    monkeypatch.setattr(Claiming, "hold_manifests", counted)
    return ends


def test_a_manifest_that_is_put_between_the_look_for_pushes_and_the_hold_is_kept(site: OnlineSite) -> None:
    """The claims come between. A PUT meanwhile is known to the gate, so nothing is held and nothing deleted."""
    pushed: list[bool] = []

    def push(action: str, keys: tuple[str, ...]) -> None:
        if action == "claim" and not pushed:
            pushed.append(ended(site.blind("a", "again", GARBAGE)))

    site.objects.before_step = push
    run = site.collect()
    assert pushed == [True]
    assert site.registry.broken() == ()
    assert (run.blobs, "brought back" in run.note) == (MANIFESTS - 1, False)


def test_a_put_that_the_registry_reports_prevents_no_moment_and_is_seen(
    site: OnlineSite, moments: list[float], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The storage is looked at after the notification, so the manifest that was pushed again is kept."""

    def push(action: str, keys: tuple[str, ...]) -> None:
        if action == "claim" and not moments:
            assert site.store.gate.admit(
                WriteRequest("manifest", "a", by_tag=True, reference="again"), client_of("10.0.0.7", "docker/27")
            ).passes
            site.registry.put("a", "again", GARBAGE.manifest)
            put = event(1, tag="again", repository="a", digest=GARBAGE.digest, address="10.0.0.7:4711", at_us=now_us())
            record(site.store.history, put)

    monkeypatch.setattr(claiming, "_PAUSE_S", 60)
    site.objects.before_step = push
    run = site.collect()
    assert moments[0]
    assert site.registry.broken() == ()
    assert (run.blobs, "brought back" in run.note) == (MANIFESTS - 1, False)


def test_no_moment_begins_while_a_put_is_not_reported(site: OnlineSite, monkeypatch: pytest.MonkeyPatch) -> None:
    """The PUT passed the gate between the look for pushes and the hold, and reaches the registry later."""
    monkeypatch.setattr(claiming, "_PAUSE_S", 0.05)
    client = site.blind("a", "again", GARBAGE)
    began: list[bool] = []

    def push(action: str, keys: tuple[str, ...]) -> None:
        if action == "claim" and not began:
            began.append(True)
            next(client)
        elif action in ("debug", "delete") and began == [True]:
            began.append(ended(client))

    site.objects.before_step = push
    run = site.collect()
    assert began == [True, True]
    assert site.registry.broken() == ()
    assert (run.blobs, "brought back" in run.note) == (MANIFESTS - 1, False)


def test_puts_wait_for_a_moment_only_and_the_other_manifests_are_deleted_in_later_moments(
    site: OnlineSite, moments: list[float], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(removal, "_AT_ONCE", 1)
    site.objects.before_step = lambda action, keys: time.sleep(claiming._MOMENT_S) if action == "delete" else None
    assert site.collect().blobs == MANIFESTS
    assert len(moments) >= MANIFESTS


def test_puts_of_a_busy_registry_wait_no_longer_than_the_manual_says(
    site: OnlineSite, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The time until earlier PUTs have ended counts as well."""
    monkeypatch.setattr(online_run, "_BETWEEN_PUTS_S", 0)
    monkeypatch.setattr(claiming, "_HOLD_S", 20)
    began, ends = [0.0], []
    claim, hold = site.store.gate.claim, Claiming.hold_manifests

    def claimed(token: str, fence: int, reason: str, *, with_manifests: bool = False) -> bool:
        began.append(time.monotonic() if with_manifests else 0)
        return claim(token, fence, reason, with_manifests=with_manifests)

    def held(claiming: Claiming, look: Look) -> float:
        end_s = hold(claiming, look)
        if began[-1]:
            ends.append(end_s - began[-1])
        return end_s

    def put(action: str, keys: tuple[str, ...]) -> None:
        if action == "debug":
            time.sleep(0.05)
            site.store.gate.admit(WriteRequest("manifest", "b", by_tag=True), ANN)

    monkeypatch.setattr(site.store.gate, "claim", claimed)
    monkeypatch.setattr(Claiming, "hold_manifests", held)
    site.objects.before_step = put
    assert site.collect().blobs == MANIFESTS
    assert ends
    assert max(ends) <= claiming._HOLD_S


def test_manifests_whose_batch_was_begun_long_before_get_batches_of_their_own(
    site: OnlineSite, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The time in quarantine counts from then, nothing is left of the old batch, and no batch replaces another."""
    monkeypatch.setattr(preparation, "PAGE", MANIFESTS // 2)
    prepared: list[int] = []

    def wait(action: str, keys: tuple[str, ...]) -> None:
        if action == "copy" and not prepared:
            prepared.append(site.objects.skew_us)
            site.later(preparation.FRESH_S + 1)

    site.objects.before_step = wait
    began_us = site.objects.now_us()
    assert site.collect().blobs == MANIFESTS
    quarantine = BlobQuarantine(site.plain)
    old, *fresh = quarantine.batches()
    assert (old.sizes, [len(batch.sizes) for batch in fresh]) == ({}, [MANIFESTS // 2] * 2)
    assert all(batch.at.storage_us >= began_us + preparation.FRESH_S * 1_000_000 for batch in fresh)
    assert len(quarantine.links(fresh)) == MANIFESTS


def test_no_put_waits_while_data_is_copied_again(site: OnlineSite, monkeypatch: pytest.MonkeyPatch) -> None:
    """A batch grows old while a registry is too busy for a moment between PUTs."""
    monkeypatch.setattr(online_run, "_BETWEEN_PUTS_S", 0)
    states: list[str] = []

    def note(action: str, keys: tuple[str, ...]) -> None:
        held = site.store.gate.state()
        if action == "debug" and held and held.state == "claiming":
            site.store.gate.admit(WriteRequest("manifest", "b", by_tag=True), ANN)
            site.later(preparation.FRESH_S + 1)
        if action == "copy":
            states.append(held.state if held else "")

    site.objects.before_step = note
    assert site.collect().blobs == MANIFESTS
    assert states == [""] * 2 * MANIFESTS


def test_a_put_of_a_manifest_waits_although_its_bytes_were_uploaded_as_a_layer_before(site: OnlineSite) -> None:
    """The data has a link as layers have, and the PUT of the same bytes as a manifest names no digest."""
    image = variant(GARBAGE, MANIFESTS + 1)
    site.registry.upload("b", image.manifest)
    assert site.collect_after().unlinked == 1
    site.later(GRACE_S + 1)
    client = site.blind("a", "again", image)

    def push(action: str, keys: tuple[str, ...]) -> None:
        if action == "delete" and blob_key(image.digest) in keys:
            for _ in range(20):
                next(client)

    site.objects.before_step = push
    run = site.collect()
    assert ended(client)
    assert site.registry.broken() == ()
    assert (run.blobs, "brought back" in run.note) == (1, False)
