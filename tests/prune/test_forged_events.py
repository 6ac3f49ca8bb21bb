"""No event alone deletes anything: events that a holder of the notify token invents cost no kept image."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from os import utime
from typing import Any

import pytest

from service.domain.oci.manifest import DOCKER_LIST, OCI_INDEX
from service.domain.policy.model import Policy
from service.reconcile import compare as reconcile
from service.registry.storage import Storage
from service.store.keys import FOUND, FOUND_AND_UNANNOUNCED, UNANNOUNCED
from tests.conftest import keep_last
from tests.fakes.forger import Forger, invented
from tests.fakes.images import index_over, make_image
from tests.fakes.pusher import Pusher
from tests.support.system import SHOP, Make, System

OTHER, FORGED = make_image("other"), invented("index")
PARTS = (make_image("part 1"), make_image("part 2"))
INDEX = index_over(PARTS, seed="kept")
AN_HOUR, TEN_MINUTES = timedelta(hours=1), timedelta(minutes=10)

POLICIES = {
    "protect": keep_last(3, protect=["latest"]),
    "grace": keep_last(1, grace="1h"),
    "untagged": Policy.model_validate(
        {
            "hold_over": 100,
            "hold_min": 1_000_000,
            "protect": ["latest"],
            "rules": [{"name": "last", "keep": {"last": 3}, "untagged": 0}],
        }
    ),
}


def forger(system: System) -> Forger:
    return Forger(system.hear, SHOP)


def kept_index(system: System) -> None:
    """Push a complete index as `latest`, and an image beside it."""
    system.registry.push(SHOP, "other", OTHER)
    for part in PARTS:
        system.registry.push(SHOP, None, part)
    system.registry.push(SHOP, "latest", INDEX)
    system.settle()


def can_be_pulled(system: System, tag: str = "latest") -> bool:
    """Return True if the tag can be pulled with all of its parts."""
    system.pull_whole(tag)
    return True


def wrong_list(forged: Forger) -> None:
    forged.push_index("latest", INDEX.digest, OTHER.digest)


def wrong_list_without_a_tag(forged: Forger) -> None:
    forged.push_index(None, INDEX.digest, OTHER.digest)


def invented_index(forged: Forger) -> None:
    forged.push_index("j", FORGED, *(part.digest for part in PARTS))


def its_deletion(forged: Forger) -> None:
    forged.delete(FORGED)
    forged.delete(tag="j")


def index_called_an_image(forged: Forger) -> None:
    forged.push("latest", INDEX.digest)


def deletion_of_the_kept_index(forged: Forger) -> None:
    forged.delete(INDEX.digest)
    forged.delete(tag="latest")


def deletion_of_its_parts(forged: Forger) -> None:
    for part in PARTS:
        forged.delete(part.digest)


def old_pushes_of_its_parts(forged: Forger) -> None:
    for part in PARTS:
        forged.push(None, part.digest, later=-2 * AN_HOUR)
        forged.push("part", part.digest, later=-2 * AN_HOUR)
    forged.delete(tag="part", later=-2 * AN_HOUR)


def parts_called_artifacts(forged: Forger) -> None:
    """Report parts of an index as artifacts about an image that was deleted."""
    for part in PARTS:
        forged.push(f"sha256-{FORGED.removeprefix('sha256:')}", part.digest)
        forged.push(f"sha256-{FORGED.removeprefix('sha256:')}.sig", part.digest)
    forged.delete(FORGED)


def tag_moves(forged: Forger) -> None:
    forged.push("latest", invented("moved"))
    forged.push("latest", OTHER.digest)


def deletion_of_latest(forged: Forger) -> None:
    forged.delete(tag="latest")


STEPS = (wrong_list, invented_index, its_deletion)
ATTACKS: dict[str, tuple[Callable[[Forger], None], ...]] = {
    "all three steps": STEPS,
    "the wrong list comes last": (invented_index, its_deletion, wrong_list),
    "the wrong list without a tag": (wrong_list_without_a_tag, invented_index, its_deletion),
    "a wrong list alone": (wrong_list,),
    "an invented index alone": (invented_index,),
    "its deletion alone": (its_deletion,),
    "an invented index and its deletion": (invented_index, its_deletion),
    "the index is called an image": (index_called_an_image, invented_index, its_deletion, old_pushes_of_its_parts),
    "the kept index is said to be deleted": (deletion_of_the_kept_index, old_pushes_of_its_parts),
    "the kept index is said to be deleted, and listed": (wrong_list, deletion_of_the_kept_index, wrong_list),
    "its parts are said to be deleted": (deletion_of_its_parts, invented_index, its_deletion),
    "its parts are said to be old": (index_called_an_image, old_pushes_of_its_parts),
    "its parts are said to be signatures": (*STEPS, parts_called_artifacts),
    "its tag is said to have moved": (tag_moves, *STEPS, old_pushes_of_its_parts),
}


def check_that_the_index_survives(system: System, attack: str) -> None:
    """Attack a system with a kept index, and check that the index can still be pulled after later pushes."""
    kept_index(system)
    for step in ATTACKS[attack]:
        step(forger(system))
        system.settle()
    system.later()
    system.push("v1", "v2", "v3", "v4")
    system.settle()
    system.later()
    assert can_be_pulled(system)


@pytest.mark.parametrize("attack", ATTACKS)
@pytest.mark.parametrize(
    ("policy", "references"),
    [
        *((policy, True) for policy in POLICIES),
        # Without the lists of the registry, only `untagged` depends on what is a part.
        ("untagged", False),
        *(pytest.param(policy, False, marks=pytest.mark.deep) for policy in ("protect", "grace")),
    ],
)
def test_forged_events_delete_no_part_of_a_kept_index(
    make_system: Make, attack: str, policy: str, references: bool
) -> None:
    system = make_system(POLICIES[policy], fake={"references": references})
    check_that_the_index_survives(system, attack)


@pytest.mark.parametrize("attack", ["all three steps", "the index is called an image", "its tag is said to have moved"])
def test_forged_events_delete_no_part_if_the_storage_is_mounted(on_disk: Make, attack: str) -> None:
    system = on_disk(POLICIES["untagged"], fake={"references": True})
    check_that_the_index_survives(system, attack)


@pytest.mark.parametrize("attack", ATTACKS)
def test_forged_events_before_the_first_comparison_of_an_old_registry_delete_no_part(
    make_system: Make, attack: str
) -> None:
    """The true pushes were never reported: the registry is older than pushprune."""
    system = make_system(POLICIES["untagged"], fake={"references": True})
    system.deaf = True
    kept_index(system)
    system.missed.clear()
    system.deaf = False
    index_called_an_image(forger(system))
    for step in ATTACKS[attack]:
        step(forger(system))
    old_pushes_of_its_parts(forger(system))
    system.settle()
    system.later()
    system.push("v1", "v2", "v3", "v4")
    system.settle()
    system.later()
    assert can_be_pulled(system)


@pytest.mark.parametrize("tag", ["v1", "new"])
def test_a_forged_push_of_an_image_in_the_trash_restores_nothing(make_system: Make, tag: str) -> None:
    system = make_system(keep_last(1))
    deleted = system.registry.push_image(SHOP, "v1")
    system.push("v2")
    system.settle()
    long_ago(system)
    forger(system).push(tag, deleted)
    system.settle()
    system.later()
    assert system.tags() == {"v2"}


def test_a_forged_push_moves_no_restored_tag(make_system: Make) -> None:
    system = make_system(keep_last(1))
    other = system.registry.push_image(SHOP, "v0")
    restored = system.registry.push_image(SHOP, "v1")
    system.push("v2")
    system.settle()
    system.wiring.restore.restore(SHOP, tag="v1")
    system.settle()
    long_ago(system)
    forger(system).push("v1", other)
    system.settle()
    system.later()
    assert system.registry.tags(SHOP)["v1"] == restored


def test_a_forged_push_of_a_tag_costs_no_other_tag_of_its_image(make_system: Make) -> None:
    """The image counts by its last push. The forged push makes that push unknown."""
    system = make_system(keep_last(2, protect=["latest"]))
    system.registry.push(SHOP, "latest", OTHER)
    for tag, seed in (("v1", "shared"), ("v2", "v2"), ("v3", "shared")):
        system.registry.push_image(SHOP, tag, seed=seed)
    system.settle()
    system.push("v4")
    forger(system).push("v3", OTHER.digest)
    system.settle()
    system.later()
    assert {"v1", "v3", "v4"} <= system.tags()


@pytest.mark.parametrize("mounted", [False, True])
@pytest.mark.parametrize("version", ["2.8", "3"])
@pytest.mark.parametrize("target", [OTHER.digest, FORGED], ids=["known", "invented"])
def test_a_forged_move_from_before_the_push_of_another_tag_hides_no_tag_of_its_image(
    make_system: Make, on_disk: Make, target: str, version: str, mounted: bool
) -> None:
    """The image is deleted with the other tag. A tag that is hidden would be deleted with it."""
    make = on_disk if mounted else make_system
    system = make(keep_last(1, protect=["latest"]), version, delete={"via": "api"})
    now = datetime.now(UTC)
    for tag, image, minutes in (("v0", OTHER, 50), ("latest", PARTS[0], 40), ("v1", PARTS[0], 20)):
        system.registry.push(SHOP, tag, image, at=now - timedelta(minutes=minutes))
        system.settle()
    forger(system).push("latest", target, later=timedelta(minutes=-30))
    system.push("v2")
    system.settle()
    system.later()
    assert system.registry.tags(SHOP)["latest"] == PARTS[0].digest
    assert can_be_pulled(system)


@pytest.mark.parametrize("age", [timedelta(minutes=11), timedelta(days=1000)])
@pytest.mark.parametrize("is_moved", [False, True], ids=["pushed", "moved and pushed"])
@pytest.mark.parametrize("found_by", ["the first comparison", "a later comparison", "no comparison"])
def test_a_forged_old_push_makes_no_tag_old_whose_push_was_not_reported(
    make_system: Make, found_by: str, age: timedelta, is_moved: bool
) -> None:
    system = make_system(keep_last(2, protect=["latest"], first_plan="hold"))
    system.push("latest")
    if found_by != "the first comparison":
        compared(system)
    system.deaf = True
    digest = system.registry.push_image(SHOP, "v1")
    system.missed.clear()
    system.deaf = False
    if found_by != "no comparison":
        compared(system)
    if is_moved:
        forger(system).push("v1", FORGED, later=-age - AN_HOUR)
    forger(system).push("v1", digest, later=-age)
    system.push("v2", "v3")
    system.settle()
    system.later()
    assert {"v1", "v2", "v3"} <= system.tags()


def test_a_tag_that_a_forged_push_had_restored_does_not_count_as_just_pushed(on_disk: Make) -> None:
    system = on_disk(keep_last(2), delete={"via": "api"})
    for minutes, tag, seed in ((50, "b", "b"), (40, "a", "old"), (30, "a", "a"), (20, "c", "c")):
        digest = system.registry.push_image(SHOP, tag, seed=seed, at=datetime.now(UTC) - timedelta(minutes=minutes))
        if seed == "old":
            old = digest
    system.settle()
    assert system.tags() == {"a", "c"}
    forger(system).push("b", old, later=timedelta(minutes=-45))
    system.settle()
    compared(system)
    system.later()
    assert {"a", "b", "c"} <= system.tags()


def compared(system: System) -> None:
    reconcile.compare(system.store, system.wiring.registry, system.store.history.snapshot(SHOP))


@pytest.mark.parametrize("hides", [tag_moves, deletion_of_latest])
def test_a_push_by_a_clock_that_is_behind_a_forged_event_is_looked_for_before_its_image_is_deleted(
    make_system: Make, hides: Callable[[Forger], None]
) -> None:
    system = make_system(keep_last(1, protect=["latest"]))
    before = system.registry.push_image(SHOP, "latest")
    system.push("v0")
    system.settle()
    hides(forger(system))
    forger(system).push("latest", before)
    system.push("v1", "v2")
    system.settle()
    for seconds, tag in ((30, "latest"), (20, "v3"), (10, "v4")):
        at = datetime.now(UTC) - timedelta(seconds=seconds)
        system.registry.push(SHOP, tag, PARTS[0] if tag != "v4" else PARTS[1], at=at)
    system.settle()
    system.later()
    assert "v3" not in system.tags(), "nothing was pruned"
    assert system.registry.tags(SHOP)["latest"] == PARTS[0].digest


@pytest.mark.parametrize("later", [timedelta(days=-365), -AN_HOUR])
def test_a_forged_push_makes_no_tag_older_whose_deletion_was_forged(make_system: Make, later: timedelta) -> None:
    system = make_system(keep_last(2))
    system.push("v1", "v2")
    digest = system.registry.push_image(SHOP, "v3")
    system.settle()
    forger(system).delete(tag="v3")
    for tag in ("v4", "x1", "x2"):
        (system.push(tag) if tag == "v4" else forger(system).push(tag, invented(tag)))
    system.settle()
    assert "adopted" in {entry.action for entry in system.store.history.entries(SHOP)}
    forger(system).push("v3", digest, later=later)
    forger(system).push("x3", invented("x3"))
    system.settle()
    system.later()
    assert {"v3", "v4"} <= system.tags()


@pytest.mark.parametrize("mounted", [False, True])
@pytest.mark.parametrize("forged", ["deletion", "move"])
@pytest.mark.parametrize("last", [1, 2])
def test_a_forged_event_approves_no_first_clean_up(
    make_system: Make, on_disk: Make, last: int, forged: str, mounted: bool
) -> None:
    system = (on_disk if mounted else make_system)(keep_last(last, first_plan="hold"), reconcile={"late": "0s"})
    system.deaf = True
    system.push("v1", "v2", "v3")
    if mounted:
        age(system, "v1", "v2", "v3")
    system.missed.clear()
    system.deaf = False
    compared(system)
    system.settle()
    for tag in ("v1", "v2"):
        if forged == "deletion":
            forger(system).delete(tag=tag)
        else:
            forger(system).push(tag, system.registry.tags(SHOP)["v3"])
    system.later()
    compared(system)
    system.later()
    system.push("v4", "v5", "v6")
    system.settle()
    system.later()
    assert {"v1", "v2", "v3"} <= system.tags()


def long_ago(system: System) -> None:
    """Pretend that our own writes are an hour old."""
    client: Any = system.store.connection.client
    keys = system.store.connection.keys
    for member in client.zrange(keys.of("trashed"), 0, -1):
        client.zincrby(keys.of("trashed"), -3600 * 1_000_000, member)
    for tag in client.zrange(keys.of("touched", SHOP), 0, -1):
        client.zincrby(keys.of("touched", SHOP), -3600 * 1_000, tag)
    for tag, packed in client.hgetall(keys.of("own_puts", SHOP)).items():
        digest, at_ms, *more = packed.split(" ")
        client.hset(keys.of("own_puts", SHOP), tag, " ".join([digest, str(int(at_ms) - 3_600_000), *more]))


def test_a_tagged_part_of_an_index_that_an_event_called_an_image_is_kept(make_system: Make) -> None:
    """The layout of `docker manifest create`: each platform has a tag of its own, which comes before the index."""
    system = make_system(keep_last(1, protect=["latest"]), fake={"references": True})
    system.deaf = True
    for number, part in enumerate(PARTS):
        system.registry.push(SHOP, f"linux-{number}", part)
    system.registry.push(SHOP, "latest", INDEX)
    system.missed.clear()
    system.deaf = False
    index_called_an_image(forger(system))
    for number, part in enumerate(PARTS):
        forger(system).push(f"linux-{number}", part.digest, later=-AN_HOUR)
    system.push("v1", "v2")
    system.settle()
    system.later()
    assert can_be_pulled(system)
    assert "v1" not in system.tags(), "nothing was pruned"


def test_two_forged_events_delete_no_manifest_without_a_tag(make_system: Make) -> None:
    system = make_system(keep_last(3), fake={"references": True})
    alone = make_image("alone")
    system.push("v1")
    system.registry.push(SHOP, None, alone)
    forger(system).push_index("j", FORGED, alone.digest)
    forger(system).delete(FORGED)
    forger(system).delete(tag="j")
    system.settle()
    system.later()
    system.push("v2", "v3", "v4")
    system.settle()
    system.later()
    assert alone.digest in system.registry.manifests(SHOP)


@pytest.mark.parametrize("media_type", [OCI_INDEX, DOCKER_LIST])
def test_a_part_of_an_index_that_was_not_read_is_kept_when_its_user_deletes_it(
    make_system: Make, media_type: str
) -> None:
    """Only an event had said that the manifest was part of the index."""
    system = make_system(keep_last(3), fake={"references": True})
    index = system.registry.push_index(SHOP, "multi", media_type=media_type)
    parts = system.registry.manifests(SHOP).keys() - {index}
    system.settle()
    Pusher(system.registry.url).delete(SHOP, index)
    system.settle()
    system.later()
    assert parts <= system.registry.manifests(SHOP).keys()


def test_a_forged_deletion_of_a_signed_image_takes_no_signature(make_system: Make) -> None:
    system = make_system(keep_last(3))
    image = system.registry.push_image(SHOP, "v1")
    signature = f"sha256-{image.removeprefix('sha256:')}.sig"
    system.registry.push_image(SHOP, signature, seed="signature")
    system.settle()
    forger(system).delete(image)
    forger(system).delete(tag="v1")
    system.settle()
    system.later()
    assert {"v1", signature} <= system.tags()


@pytest.mark.parametrize("later", [-TEN_MINUTES, timedelta(), TEN_MINUTES])
def test_a_forged_deletion_of_a_restored_tag_deletes_nothing(make_system: Make, later: timedelta) -> None:
    system = make_system(keep_last(1))
    system.push("v1", "v2")
    system.settle()
    assert system.tags() == {"v2"}
    system.wiring.restore.restore(SHOP, tag="v1")
    system.settle()
    forger(system).delete(tag="v1", later=later)
    system.settle()
    system.later()
    assert system.tags() == {"v1", "v2"}


@pytest.mark.parametrize("forged", ["the image", "the tag", "both"])
@pytest.mark.parametrize("pulled", ["v1", None])
def test_a_forged_deletion_of_a_used_image_ends_no_use_of_it(
    make_system: Make, pulled: str | None, forged: str
) -> None:
    keep = {"last": 1, "pulled_within": "7d"}
    system = make_system(
        Policy.model_validate({"hold_over": 100, "hold_min": 100, "rules": [{"name": "used", "keep": keep}]})
    )
    digest = system.registry.push_image(SHOP, "v1", at=datetime.now(UTC) - timedelta(days=30))
    forger(system).pull(pulled, digest)
    system.push("v2")
    if forged != "the tag":
        forger(system).delete(digest)
    if forged != "the image":
        forger(system).delete(tag="v1")
    system.settle()
    system.push("v3", "v4")
    system.settle()
    system.later()
    assert "v1" in system.tags()


@pytest.mark.parametrize("forged", ["deletion", "move"])
@pytest.mark.parametrize("pulled", ["v1", None])
def test_a_forged_event_ends_no_use_of_an_image_whose_push_time_the_storage_proves(
    on_disk: Make, pulled: str | None, forged: str
) -> None:
    keep = {"last": 1, "pulled_within": "7d"}
    system = on_disk(
        keep_last(1).model_copy(update={"rules": Policy.model_validate({"rules": [{"keep": keep}]}).rules})
    )
    digest = system.registry.push_image(SHOP, "v1", at=datetime.now(UTC) - timedelta(days=30))
    age(system, "v1", ago=timedelta(days=30))
    forger(system).pull(pulled, digest)
    system.settle()
    if forged == "deletion":
        forger(system).delete(tag="v1")
    else:
        forger(system).push("v1", invented("v1"))
    system.settle()
    system.registry.push_image(SHOP, "v2", at=datetime.now(UTC) - timedelta(days=20))
    system.push("v3")
    system.settle()
    system.later()
    assert system.tags() == {"v1", "v3"}


@pytest.mark.parametrize("later", [timedelta(), timedelta(minutes=9)])
@pytest.mark.parametrize("first", ["push", "forgery"])
@pytest.mark.parametrize("deleted", [False, True])
def test_tags_said_to_point_elsewhere_push_no_kept_tag_out(
    make_system: Make, later: timedelta, first: str, deleted: bool
) -> None:
    system = make_system(keep_last(3))
    system.push("v0", "v1", "v2", "v3")
    system.settle()
    if first == "push":
        system.push("v9")
    for tag in ("v1", "v2", "v3", "x1", "x2", "x3"):
        if deleted:
            forger(system).delete(tag=tag, later=later)
        forger(system).push(tag, invented(tag), later=later)
    # Without any older tag, the registry looks as if its storage was another one: nothing is deleted.
    system.work()
    if first == "forgery":
        system.push("v9")
    system.work()
    system.later()
    assert {"v2", "v3", "v9"} <= system.tags()


def test_a_forged_push_from_the_future_pushes_no_later_push_out(make_system: Make) -> None:
    system = make_system(keep_last(3))
    system.push("v0")
    pushed = {tag: system.registry.push_image(SHOP, tag) for tag in ("v1", "v2", "v3")}
    system.settle()
    for tag, digest in pushed.items():
        forger(system).push(tag, digest, later=timedelta(seconds=590))
    system.settle()
    system.push("v9")
    system.settle()
    system.later()
    assert system.tags() == {"v2", "v3", "v9"}


@pytest.mark.parametrize("via", ["storage", "api"])
@pytest.mark.parametrize("later", [timedelta(), timedelta(seconds=590)])
def test_a_forged_repetition_of_old_pushes_pushes_nothing_out_where_the_storage_is_mounted(
    on_disk: Make, via: str, later: timedelta
) -> None:
    system = on_disk(keep_last(3), delete={"via": via})
    system.push("v0")
    pushed = {tag: system.registry.push_image(SHOP, tag) for tag in ("v1", "v2", "v3")}
    system.settle()
    age(system, "v1", "v2", "v3")
    system.push("v9")
    for tag, digest in pushed.items():
        forger(system).push(tag, digest, later=later)
    system.settle()
    system.later()
    assert "v9" in system.tags()
    assert system.tags() == {"v2", "v3", "v9"}
    assert "dated" in {entry.action for entry in system.store.history.entries(SHOP)}


def test_a_forged_repetition_from_before_a_forged_deletion_pushes_nothing_out_where_the_storage_is_mounted(
    on_disk: Make,
) -> None:
    system = on_disk(keep_last(2))
    digest = system.registry.push_image(SHOP, "v1")
    age(system, "v1")
    system.push("v2")
    system.settle()
    before = datetime.now(UTC) - timedelta(milliseconds=1)
    forger(system).delete(tag="v1")
    for tag in ("x1", "x2"):
        forger(system).push(tag, invented(tag))
    system.settle()
    forger(system).push("v1", digest, later=before - datetime.now(UTC))
    system.push("v3")
    system.settle()
    system.later()
    assert system.tags() == {"v2", "v3"}


def test_a_true_repetition_of_an_old_push_counts_where_the_storage_is_mounted(on_disk: Make) -> None:
    system = on_disk(keep_last(2))
    system.push("v0", "v1", "v2")
    system.settle()
    age(system, "v1", "v2")
    system.push("v1", "v3")
    system.settle()
    system.later()
    assert system.tags() == {"v1", "v3"}


def test_a_push_so_young_that_its_link_may_be_written_yet_is_waited_for(
    on_disk: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reconcile, "YOUNG_S", 10.0)
    monkeypatch.setattr(reconcile, "_LONGEST_PAUSE_S", 0.02)
    system = on_disk(keep_last(2))
    system.push("v0")
    pushed = {tag: system.registry.push_image(SHOP, tag) for tag in ("v1", "v2")}
    system.settle()
    age(system, "v1", "v2")
    forger(system).push("v1", pushed["v1"])
    system.push("v3")
    system.work()
    assert system.tags() == {"v1", "v2", "v3"}


def age(system: System, *tags: str, ago: timedelta = AN_HOUR) -> None:
    """Date the links of these tags in the storage."""
    storage = system.wiring.registry.storage
    assert isinstance(storage, Storage)
    at_s = (datetime.now(UTC) - ago).timestamp()
    for number, tag in enumerate(tags):
        utime(storage.tag_folder(SHOP, tag) / "current" / "link", (at_s + number, at_s + number))


@pytest.mark.parametrize("actor", [UNANNOUNCED, FOUND, FOUND_AND_UNANNOUNCED])
def test_no_name_of_a_user_makes_a_push_one_whose_time_is_unknown(make_system: Make, actor: str) -> None:
    """A push of unknown time would take the time of any older report of it."""
    system = make_system(keep_last(2))
    system.push("v1", "v2", "v3")
    system.settle()
    image = system.registry.tags(SHOP)["v3"]
    Forger(system.hear, SHOP, actor=actor).push("v3", image)
    forger(system).push("v3", image, later=-2 * AN_HOUR)
    system.push("v4")
    system.later()
    assert {"v3", "v4"} <= system.tags()


def test_a_tag_that_is_reported_to_have_moved_is_not_said_to_be_old(make_system: Make) -> None:
    """A push that came before the last move of a tag is not the push that put its image there."""
    system = make_system(keep_last(2))
    system.push("v1", "v2", "v3")
    system.settle()
    image, forged = system.registry.tags(SHOP)["v3"], forger(system)
    forged.push("v3", invented("moved"))
    system.settle()
    reconcile.compare(system.store, system.wiring.registry, system.store.history.snapshot(SHOP))
    forged.push("v3", image, later=-2 * AN_HOUR)
    system.push("v4")
    system.later()
    assert {"v3", "v4"} <= system.tags()
