"""Manifests without a tag: what moving tags leave behind, when it goes, and everything that keeps it."""

from datetime import UTC, datetime, timedelta
from typing import Any

from service.prune import planning
from service.store.keys import short
from tests.fakes.images import index_over, make_image, make_index
from tests.support.makers import policy
from tests.support.system import SHOP, Make, System
from tests.support.untagged import ago, moved, pull

DAY = policy("rules: [{name: moving, keep: always, untagged: 24h}]")


def pruned(system: System) -> dict[str, tuple[str, str]]:
    """digest → (tag, reason) of what was deleted."""
    entries = system.wiring.history.entries(SHOP)
    return {entry.digest: (entry.tag, entry.reason) for entry in entries if entry.action == "pruned"}


def test_what_a_moving_tag_left_behind_goes_when_its_time_is_over(make_system: Make) -> None:
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
    client: Any = system.wiring.connection.client
    due_ms = client.zscore(system.wiring.connection.keys.of("due"), SHOP)
    assert abs(due_ms / 1000 - (ago(2).timestamp() + 86_400)) < 60
    field = system.wiring.connection.keys.of("untagged", SHOP)
    client.hset(field, short(second), f"{round(ago(25).timestamp() * 1e6)} latest")
    system.later()
    assert set(system.registry.manifests(SHOP)) == {third}


def test_without_the_key_nothing_untagged_goes(make_system: Make) -> None:
    system = make_system(policy("rules: [{keep: {last: 1}}]"))
    digests = moved(system, 500, 400, 300)
    system.settle()
    assert set(system.registry.manifests(SHOP)) == set(digests)


def test_the_last_revisions_of_a_moving_tag_stay(make_system: Make) -> None:
    system = make_system(policy("rules: [{name: moving, keep: {revisions: 2}, untagged: 0s}]"))
    digests = moved(system, 50, 40, 30, 20)
    system.settle()
    assert set(system.registry.manifests(SHOP)) == set(digests[1:])
    assert pruned(system) == {digests[0]: ("", "untagged for 0s or more (rule moving)")}


def test_a_digest_that_another_tag_holds_stays(make_system: Make) -> None:
    system = make_system(policy("rules: [{keep: always, untagged: 0s}]"))
    first = system.registry.push(SHOP, "v1", make_image("one"), at=ago(60))
    system.registry.push(SHOP, "latest", make_image("one"), at=ago(59))
    second = system.registry.push(SHOP, "latest", make_image("two"), at=ago(50))
    system.settle()
    assert system.registry.tags(SHOP) == {"v1": first, "latest": second}


def test_what_is_tagged_again_before_it_goes_is_rescued(make_system: Make) -> None:
    system = make_system(policy("rules: [{keep: always, untagged: 0s}]"))
    image = make_image("first")
    first = system.registry.push(SHOP, "latest", image, at=ago(50))
    (second,) = moved(system, 40)
    messages = list(system.messages.sent)
    system.messages.sent.clear()
    planning.enforce(system.wiring, SHOP)
    assert [doomed.digest for doomed in system.wiring.history.doomed(SHOP)] == [first]
    system.registry.push(SHOP, "stable", image)
    system.messages.sent[:0] = messages
    system.settle()
    assert system.registry.tags(SHOP) == {"latest": second, "stable": first}
    assert first in system.registry.manifests(SHOP)


def test_what_somebody_else_deleted_is_forgotten(make_system: Make) -> None:
    system = make_system(policy("rules: [{keep: always, untagged: 0s}]"))
    system.deaf = True
    first, second = moved(system, 50, 40)
    system.hear_late()
    system.registry.storage.delete_manifest(SHOP, first, lambda: None)
    system.settle()
    assert set(system.registry.manifests(SHOP)) == {second}
    assert system.wiring.history.snapshot(SHOP).untagged == ()
    assert pruned(system) == {}


def test_the_parts_of_a_pushed_index_stay_and_go_after_it(make_system: Make) -> None:
    system = make_system(policy("rules: [{name: moving, keep: always, untagged: 0s}]"))
    old = system.registry.push_index(SHOP, "latest", seed="old", at=ago(50))
    new = system.registry.push_index(SHOP, "latest", seed="new", at=ago(40))
    parts = {child.digest for child in make_index("new").children}
    system.settle()
    assert set(system.registry.manifests(SHOP)) == {new, *parts}
    assert pruned(system).keys() == {old, *(child.digest for child in make_index("old").children)}
    assert system.wiring.connection.client.exists(system.wiring.connection.keys.of("untagged", SHOP)) == 0


def test_a_part_that_two_indexes_share_stays_with_the_one_that_stands(make_system: Make) -> None:
    system = make_system(policy("rules: [{name: moving, keep: always, untagged: 0s}]"))
    shared, alone = make_image("shared"), make_image("alone")
    system.registry.push(SHOP, "latest", index_over([shared, alone]), at=ago(50))
    kept = system.registry.push(SHOP, "latest", index_over([shared]), at=ago(40))
    system.settle()
    assert set(system.registry.manifests(SHOP)) == {kept, shared.digest}


def test_what_was_pushed_without_a_tag_is_given_an_hour(make_system: Make) -> None:
    system = make_system(policy("rules: [{keep: always, untagged: 0s}]"))
    system.push("v1")
    young = system.registry.push(SHOP, None, make_image("young"), at=ago(0.9))
    old = system.registry.push(SHOP, None, make_image("old"), at=ago(1.1))
    system.wiring.outbox.mark_due([SHOP])
    system.messages.enforce(SHOP)
    system.settle()
    assert young in system.registry.manifests(SHOP)
    assert old not in system.registry.manifests(SHOP)


def test_a_lease_keeps_a_digest_until_it_is_over(make_system: Make) -> None:
    system = make_system(policy("rules: [{keep: none, untagged: 0s}]\nhold_over: 100%"))
    client: Any = system.wiring.connection.client
    v1, left = make_image("v1").digest, make_image("left").digest
    until_ms = (datetime.now(UTC) + timedelta(hours=1)).timestamp() * 1000
    client.zadd(system.wiring.connection.keys.of("leased", SHOP), {v1: until_ms, left: until_ms, "sha256:x": 1})
    system.registry.push(SHOP, "v1", make_image("v1"))
    system.registry.push(SHOP, "latest", make_image("left"), at=ago(50))
    moved(system, 40)
    system.settle()
    assert set(system.registry.manifests(SHOP)) == {v1, left}
    assert client.zcard(system.wiring.connection.keys.of("leased", SHOP)) == 2


def test_a_pull_by_digest_counts_for_the_tags_that_stand_there(make_system: Make) -> None:
    system = make_system(policy("rules: [{keep: {pulled_within: 1d}}]\nhold_over: 100%"))
    system.deaf = True
    used = system.registry.push_image(SHOP, "v1", at=ago(50))
    system.registry.push_image(SHOP, "v2", at=ago(49))
    system.hear_late()
    pull(system, used)
    system.settle()
    assert system.tags() == {"v1"}


def test_our_own_pulls_are_no_use(make_system: Make) -> None:
    system = make_system(policy("rules: [{keep: {pulled_within: 1d}}]\nhold_over: 100%"))
    system.deaf = True
    system.registry.push_image(SHOP, "v1", at=ago(50))
    system.hear_late()
    pull(system, "v1", agent="pushprune/1")
    system.settle()
    assert system.tags() == set()


def test_nothing_that_says_nothing_stays_in_redis(make_system: Make) -> None:
    """A tag that moves leaves a field for its old digest; where another tag holds that, the next plan drops it."""
    system = make_system(DAY)
    for hours, tag, seed in ((5, "v1", "one"), (4, "latest", "one"), (3, "latest", "two")):
        system.registry.push(SHOP, tag, make_image(seed), at=ago(hours))
    client: Any = system.wiring.connection.client
    key = system.wiring.connection.keys.of("untagged", SHOP)
    assert client.hlen(key) == 1
    system.settle()
    assert client.hlen(key) == 0
    assert system.wiring.history.snapshot(SHOP).revisions == {"latest": (make_image("one").digest,)}
