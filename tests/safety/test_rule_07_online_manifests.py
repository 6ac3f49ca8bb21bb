"""Safety rule 7: the data of manifests is deleted only while no PUT of a manifest is in progress; PUTs wait shortly."""

import time
from pathlib import Path

import pytest

from service.collect.online import claiming, removal
from service.collect.online import run as online_run
from service.collect.online.claiming import Claiming
from service.domain.collection.gate import WriteRequest
from tests.conftest import MakeWiring
from tests.fakes.images import image_over, make_image, variant
from tests.support.online import ANN, GRACE_S, OnlineSite, ended, make_site

GARBAGE = image_over([b"a layer"], 1)
MANIFESTS = 4


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


def test_puts_wait_for_a_moment_only_and_the_other_manifests_are_deleted_in_later_moments(
    site: OnlineSite, monkeypatch: pytest.MonkeyPatch
) -> None:
    moments: list[float] = []
    hold = Claiming.hold_manifests

    def counted(claiming: Claiming) -> float:
        moments.append(hold(claiming))
        return moments[-1]

    monkeypatch.setattr(Claiming, "hold_manifests", counted)
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

    def held(claiming: Claiming) -> float:
        end_s = hold(claiming)
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
