"""Manifests without a tag, which moving tags leave behind: when they are deleted, and everything that keeps them."""

from dataclasses import replace
from datetime import timedelta
from typing import Any

from service.store.keys import short
from tests.fakes.images import index_over, make_image, make_index
from tests.support.deletions import ago, moved
from tests.support.makers import policy
from tests.support.system import SHOP, Make, System

DAY = policy("rules: [{name: moving, keep: always, untagged: 24h}]")


def pruned(system: System) -> dict[str, tuple[str, str]]:
    """Map each deleted digest to (tag, reason)."""
    entries = system.store.history.entries(SHOP)
    return {entry.digest: (entry.tag, entry.reason) for entry in entries if entry.action == "pruned"}


def test_the_manifest_that_a_moving_tag_lost_is_deleted_when_its_time_is_over(make_system: Make) -> None:
    system = make_system(DAY)
    first, second, third = moved(system, 50, 30, 2)
    system.settle()
    assert set(system.registry.manifests(SHOP)) == {second, third}
    assert pruned(system) == {first: ("", "untagged for 1d or more (rule moving)")}
    assert system.tags() == {"latest"}


def test_the_repository_is_planned_again_when_the_next_one_is_due(make_system: Make) -> None:
    system = make_system(DAY)
    _, second, third = moved(system, 50, 30, 2)
    system.settle()
    client: Any = system.store.connection.client
    due_ms = client.zscore(system.store.connection.keys.of("due"), SHOP)
    assert abs(due_ms / 1000 - (ago(2).timestamp() + 86_400)) < 60
    field = system.store.connection.keys.of("untagged", SHOP)
    client.hset(field, short(second), f"{round(ago(25).timestamp() * 1e6)} latest")
    system.later()
    assert set(system.registry.manifests(SHOP)) == {third}


def test_a_manifest_that_another_deleted_is_forgotten(make_system: Make) -> None:
    system = make_system(policy("rules: [{keep: always, untagged: 0s}]"))
    system.deaf = True
    first, second = moved(system, 50, 40)
    system.hear_late()
    system.registry.storage.delete_manifest(SHOP, first, lambda: None)
    system.settle()
    assert set(system.registry.manifests(SHOP)) == {second}
    assert system.store.history.snapshot(SHOP).untagged == ()
    assert pruned(system) == {}


def test_parts_that_were_pushed_under_the_tag_of_their_index_take_no_place_of_a_revision(make_system: Make) -> None:
    system = make_system(policy("rules: [{name: moving, keep: {revisions: 1}, untagged: 0s}]"))
    images = [make_index(number, platforms=3) for number in range(3)]
    for number, image in enumerate(images):
        # As Docker with the containerd image store does it.
        for part, child in enumerate(image.children):
            system.registry.push(SHOP, "latest", child, at=ago(50 - number) + timedelta(seconds=part))
        index = replace(image, children=())
        system.registry.push(SHOP, "latest", index, at=ago(50 - number) + timedelta(seconds=9))
    system.settle()
    kept = {digest for image in images[1:] for digest in (image.digest, *(child.digest for child in image.children))}
    assert set(system.registry.manifests(SHOP)) == kept


def test_the_parts_of_nested_indexes_take_no_place_of_a_revision(make_system: Make) -> None:
    system = make_system(policy("rules: [{name: moving, keep: {revisions: 1}, untagged: 0s}]"))
    kept: set[str] = set()
    for number in range(3):
        parts = [make_image(f"part {number} {part}") for part in range(2)]
        inner = [index_over([part], seed=f"inner {number} {nth}") for nth, part in enumerate(parts)]
        outer = index_over(inner, seed=f"outer {number}")
        for second, image in enumerate((*parts, *inner, outer)):
            alone = replace(image, children=())
            system.registry.push(SHOP, "latest", alone, at=ago(50 - number) + timedelta(seconds=second))
        kept |= {image.digest for image in (*parts, *inner, outer)} if number else set()
    system.settle()
    assert set(system.registry.manifests(SHOP)) == kept


def test_no_revision_is_deleted_while_the_parts_of_an_index_are_pushed_under_its_tag(make_system: Make) -> None:
    system = make_system(policy("rules: [{name: moving, keep: {revisions: 2}, untagged: 1h}]"))
    before = moved(system, 50, 40, 30)
    image = make_index("next", platforms=3)
    for part in (*image.children, replace(image, children=())):
        system.registry.push(SHOP, "latest", part)
        system.settle()
    assert set(before[1:]) <= set(system.registry.manifests(SHOP))


def test_the_parts_of_a_pushed_index_are_kept_and_are_deleted_after_it(make_system: Make) -> None:
    system = make_system(policy("rules: [{name: moving, keep: always, untagged: 0s}]"))
    old = system.registry.push_index(SHOP, "latest", seed="old", at=ago(50))
    new = system.registry.push_index(SHOP, "latest", seed="new", at=ago(40))
    parts = {child.digest for child in make_index("new").children}
    system.settle()
    assert set(system.registry.manifests(SHOP)) == {new, *parts}
    assert pruned(system).keys() == {old, *(child.digest for child in make_index("old").children)}
    assert system.store.connection.client.exists(system.store.connection.keys.of("untagged", SHOP)) == 0


def test_a_part_that_two_indexes_share_is_kept_with_the_one_that_stands(make_system: Make) -> None:
    system = make_system(policy("rules: [{name: moving, keep: always, untagged: 0s}]"))
    shared, alone = make_image("shared"), make_image("alone")
    system.registry.push(SHOP, "latest", index_over([shared, alone]), at=ago(50))
    kept = system.registry.push(SHOP, "latest", index_over([shared]), at=ago(40))
    system.settle()
    assert set(system.registry.manifests(SHOP)) == {kept, shared.digest}


def test_no_meaningless_entry_remains_in_redis(make_system: Make) -> None:
    """A tag that moves leaves a field for its old digest; where another tag holds that, the next plan drops it."""
    system = make_system(DAY)
    for hours, tag, seed in ((5, "v1", "one"), (4, "latest", "one"), (3, "latest", "two")):
        system.registry.push(SHOP, tag, make_image(seed), at=ago(hours))
    client: Any = system.store.connection.client
    key = system.store.connection.keys.of("untagged", SHOP)
    assert client.hlen(key) == 1
    system.settle()
    assert client.hlen(key) == 0
    assert system.store.history.snapshot(SHOP).revisions == {"latest": (make_image("one").digest,)}
