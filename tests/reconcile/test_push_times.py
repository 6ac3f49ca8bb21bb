"""A tag whose push was not reported counts by its link in the storage, its image, or from when it was first seen."""

import json
import os
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from service.clock import now_us
from service.doctor.health import system_health
from service.domain.oci.manifest import OCI_MANIFEST
from service.prune import planning
from service.reconcile import compare
from service.registry.layout import current_key
from service.store.snapshot import Snapshot
from tests.conftest import keep_last
from tests.fakes.images import make_image
from tests.fakes.registry_disk import write
from tests.support.system import SHOP, Make, System

TOLD = {"reconcile": {"late": 0}}
_EPOCH_ZERO = datetime(1970, 1, 1, tzinfo=UTC)


def unheard(system: System, tag: str, created: datetime, seed: str = "") -> None:
    system.deaf = True
    system.registry.push(SHOP, tag, make_image(seed or tag, created=created))
    system.deaf = False
    system.missed.clear()


def artifact(system: System, tag: str) -> None:
    """An artifact of `oras push`: no image, so no config states its date."""
    image = make_image(tag)
    body = json.loads(image.manifest)
    body["config"]["mediaType"] = "application/vnd.acme.config.v1+json"
    system.deaf = True
    system.registry.push(SHOP, tag, replace(image, manifest=json.dumps(body).encode()))
    system.deaf = False
    system.missed.clear()


def day(number: int) -> datetime:
    return datetime(2026, 2, number, tzinfo=UTC)


def compared(system: System) -> Snapshot:
    compare.compare(system.store, system.wiring.registry, system.store.history.snapshot(SHOP))
    return system.store.history.snapshot(SHOP)


def test_a_tag_older_than_pushprune_counts_by_the_creation_date_of_its_image(make_system: Make) -> None:
    system = make_system(keep_last(3), **TOLD)
    for tag, made in (("a", 3), ("b", 1), ("c", 2)):
        unheard(system, tag, day(made))
    compared(system)
    system.push("v1", "v2")
    system.later()
    assert system.tags() == {"v1", "v2", "a"}
    assert system.reasons("dated")["b"] == "counts as pushed when the image was made, as its config says"
    assert system.reasons()["b"] == "older than the newest 3 (rule last)"


def test_a_tag_without_a_plausible_date_counts_from_when_it_was_first_seen_and_takes_no_slot(make_system: Make) -> None:
    system = make_system(keep_last(2), **TOLD)
    unheard(system, "old", _EPOCH_ZERO)
    before_us = now_us()
    system.push("v1", "v2", "v3")
    compared(system)
    system.settle()
    assert system.tags() == {"old", "v2", "v3"}, "it may be older than each of these"
    (old,) = [tag for tag in system.store.history.live(SHOP) if tag.name == "old"]
    assert (old.pushed_us or 0) >= before_us
    assert "was first seen" in system.reasons("dated")["old"]


@pytest.mark.parametrize(
    "made", [_EPOCH_ZERO, datetime(2013, 3, 19, tzinfo=UTC), datetime(2024, 5, 5, tzinfo=UTC), None]
)
def test_images_without_a_date_or_all_of_the_same_date_are_kept_whatever_they_are_called(
    make_system: Make, made: datetime | None
) -> None:
    system = make_system(keep_last(2), **TOLD)
    for tag in "mzakc":
        if made:
            unheard(system, tag, made)
        else:
            artifact(system, tag)
    compared(system)
    system.later()
    assert system.tags() == set("mzakc")
    assert not system.reasons()


def test_the_oldest_dated_image_is_deleted_beside_images_without_a_date(make_system: Make) -> None:
    system = make_system(keep_last(2), **TOLD)
    for number, tag in enumerate("mza", 1):
        unheard(system, tag, day(number))
    unheard(system, "epoch", _EPOCH_ZERO)
    artifact(system, "artifact")
    compared(system)
    system.later()
    assert system.tags() == {"z", "a", "epoch", "artifact"}


def test_nothing_is_looked_up_where_no_limit_overflows(make_system: Make) -> None:
    system = make_system(keep_last(3), **TOLD)
    unheard(system, "old", day(1))
    system.push("v1")
    compared(system)
    system.settle()
    planning.enforce(system.wiring, SHOP)
    assert not system.reasons("dated")


def test_a_tag_whose_push_may_still_be_reported_is_kept_and_takes_no_slot(make_system: Make) -> None:
    system = make_system(keep_last(2))
    unheard(system, "old", day(1))
    system.push("v1", "v2")
    compared(system)
    system.later()
    assert system.tags() == {"old", "v1", "v2"}
    client: Any = system.store.connection.client
    due_ms = client.zscore(system.store.connection.keys.of("due"), SHOP)
    assert due_ms, "it is planned again when no event can report it any more"


def test_an_old_image_that_got_a_new_tag_without_an_event_is_not_old_and_takes_no_slot(make_system: Make) -> None:
    system = make_system(keep_last(1), **TOLD)
    system.push("v1")
    compared(system)
    unheard(system, "prod", day(1))
    compared(system)
    system.later()
    assert system.tags() == {"v1", "prod"}
    assert "it was first seen, and is not counted by `last`" in system.reasons("dated")["prod"]
    system.push("v2")
    system.later()
    assert system.tags() == {"v2"}, "it goes once enough was pushed after it"


def test_tags_that_are_kept_only_as_their_pushes_were_not_reported_are_counted_and_reported(make_system: Make) -> None:
    system = make_system(keep_last(2), **TOLD)
    system.push("v1", "v2")
    compared(system)
    for tag in ("a", "b", "c"):
        unheard(system, tag, day(1))
    compared(system)
    system.later()
    assert system.tags() == {"v1", "v2", "a", "b", "c"}
    assert system.store.history.unannounced() == {SHOP: 3}
    (trouble,) = [
        trouble
        for trouble in system_health(system.store, system.wiring.registry, system.wiring.policies).troubles
        if trouble.about == "unannounced"
    ]
    assert trouble.message.startswith("3 tags are kept only because the events of their pushes were lost: ")
    assert SHOP in trouble.message
    system.push("v3", "v4")
    system.later()
    assert system.tags() == {"v3", "v4"}
    assert system.store.history.unannounced() == {}
    assert "unannounced" not in {
        trouble.about
        for trouble in system_health(system.store, system.wiring.registry, system.wiring.policies).troubles
    }


def test_a_storage_that_is_mounted_later_says_when_they_were_pushed(make_system: Make, tmp_path: Path) -> None:
    system = make_system(keep_last(1), storage={"path": str(tmp_path)}, **TOLD)
    system.push("v1")
    compared(system)
    unheard(system, "old", day(1))
    compared(system)
    system.later()
    assert system.tags() == {"v1", "old"}
    linked(tmp_path, make_image("old", created=day(1)).digest, 1_700_000_000)
    compared(system)
    system.later()
    assert system.tags() == {"v1"}


def test_a_tag_that_was_moved_without_an_event_takes_no_slot(make_system: Make) -> None:
    system = make_system(keep_last(1), **TOLD)
    system.push("v1", "v2")
    unheard(system, "v1", day(1), seed="another")
    compared(system)
    system.later()
    assert system.tags() == {"v1", "v2"}


def test_a_new_tag_of_an_image_that_was_reported_takes_no_slot(make_system: Make) -> None:
    system = make_system(keep_last(2), **TOLD)
    system.push("v1", "v2")
    system.deaf = True
    system.registry.push_image(SHOP, "stable", seed=f"{SHOP}:v1")
    system.deaf = False
    system.missed.clear()
    system.push("v3")
    compared(system)
    system.later()
    assert {"stable", "v2", "v3"} <= system.tags()


def test_a_push_that_is_told_late_has_its_own_time(make_system: Make) -> None:
    system = make_system(keep_last(1), **TOLD)
    system.push("v1")
    compared(system)
    system.deaf = True
    system.push("late")
    system.deaf = False
    compared(system)
    system.later()
    system.hear_late()
    system.push("v2")
    system.later()
    assert system.tags() == {"v2"}
    (late,) = [entry for entry in system.store.history.entries(SHOP) if (entry.action, entry.tag) == ("push", "late")]
    assert system.reasons()["late"] == "older than the newest (rule last)"
    (dated,) = [entry for entry in system.store.history.entries(SHOP) if entry.action == "dated"]
    assert dated.at_us > late.at_us


def linked(root: Path, digest: str, time_s: int) -> None:
    """Lays out the link of the tag `old` as a registry that pushed it then."""
    link = root / current_key(SHOP, "old")
    write(link, digest.encode())
    os.utime(link, (time_s, time_s))


def test_a_link_in_the_storage_says_when(make_system: Make, tmp_path: Path) -> None:
    linked(tmp_path, make_image("old", created=day(1)).digest, 1_700_000_000)
    system = make_system(keep_last(9), storage={"path": str(tmp_path)})
    unheard(system, "old", day(1))
    (old,) = compared(system).tags
    assert old.pushed_us == 1_700_000_000_000_000
    assert "its link in the storage was written" in system.reasons("adopted")["old"]


@pytest.mark.parametrize("time_s", [1, 315_532_800, 2_200_000_000])
def test_a_link_with_a_time_that_cannot_be_says_nothing(make_system: Make, tmp_path: Path, time_s: int) -> None:
    """A push time in the future would keep its place whatever is pushed later, and displace that."""
    linked(tmp_path, make_image("old", created=day(1)).digest, time_s)
    system = make_system(keep_last(1), storage={"path": str(tmp_path)}, **TOLD)
    unheard(system, "old", day(1))
    compared(system)
    system.push("v1")
    system.later()
    assert system.tags() == {"v1"}
    assert system.reasons("dated")["old"] == "counts as pushed when the image was made, as its config says"


def test_a_link_that_stands_elsewhere_than_the_registry_says_is_another_s(make_system: Make, tmp_path: Path) -> None:
    linked(tmp_path, make_image("what a copy has").digest, 1_400_000_000)
    system = make_system(keep_last(9), storage={"path": str(tmp_path)})
    unheard(system, "old", day(1))
    (old,) = compared(system).tags
    assert old.pushed_us is None


def test_a_tag_that_a_comparison_finds_is_recorded_with_its_media_type(make_system: Make) -> None:
    system = make_system(keep_last(3), **TOLD)
    unheard(system, "old", day(1))
    compared(system)
    (entry,) = system.store.history.entries(SHOP)
    assert (entry.action, entry.media_type) == ("adopted", OCI_MANIFEST)
