"""Restoring a tag to a digest that it has left for another loses no image and no push."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from service.domain.errors import NotRestorable
from service.domain.policy.model import Policy
from service.prune import deleting, planning
from service.reconcile import compare
from tests.conftest import keep_last
from tests.fakes.forger import Forger
from tests.fakes.images import make_image
from tests.fakes.pusher import Pusher
from tests.support.makers import policy
from tests.support.system import SHOP, Make, System, doomed_system

ONE, TWO = make_image("one").digest, make_image("two").digest
UNTAGGED_GOES = "rules: [{name: all, keep: {last: 9}, untagged: 0s}]"


def moved(make_system: Make, rules: Policy, version: str = "2.8") -> System:
    """A repository whose tag v1 pointed at ONE, and points at TWO now."""
    system = make_system(rules, version)
    for name, minutes in (("one", 60), ("two", 10)):
        system.registry.push(SHOP, "v1", make_image(name), at=datetime.now(UTC) - timedelta(minutes=minutes))
    system.settle()
    assert system.registry.tags(SHOP) == {"v1": TWO}
    return system


@pytest.mark.parametrize("version", ["2.8", "3"])
@pytest.mark.parametrize("rules", [keep_last(9), policy(UNTAGGED_GOES)], ids=["in the registry", "in the trash"])
def test_a_tag_goes_back_and_what_it_leaves_is_not_lost(make_system: Make, rules: Policy, version: str) -> None:
    system = moved(make_system, rules, version)
    system.later()
    assert (ONE in system.registry.manifests(SHOP)) is (rules == keep_last(9))
    assert ONE in system.wiring.restore.existing(SHOP) | system.wiring.restore.trashed(SHOP)
    undone = system.wiring.restore.restore(SHOP, tag="v1", digest=ONE, replaces=TWO, by="alice")
    assert (undone.tags, undone.digest, undone.replaced) == (("v1",), ONE, TWO)
    system.later()
    assert system.registry.tags(SHOP) == {"v1": ONE}
    puller = Pusher(system.registry.url)
    assert (puller.pull_whole(SHOP, "v1"), puller.pull_whole(SHOP, TWO)) == (ONE, TWO)
    (entry,) = (item for item in system.store.history.entries(SHOP) if item.action == "restored")
    assert (entry.actor, entry.reason) == ("alice", f"restored in place of {TWO}")
    system.wiring.restore.restore(SHOP, tag="v1", digest=TWO, replaces=ONE)
    assert system.registry.tags(SHOP) == {"v1": TWO}


def test_a_restored_image_counts_as_old_as_the_push_that_it_replaces(make_system: Make) -> None:
    system = moved(make_system, keep_last(2))
    system.registry.push(SHOP, "w", make_image("w"), at=datetime.now(UTC) - timedelta(minutes=30))
    system.settle()
    system.wiring.restore.restore(SHOP, tag="v1", digest=ONE, replaces=TWO, lease_s=0)
    system.push("x")
    system.later()
    assert system.tags() == {"v1", "x"}


@pytest.mark.parametrize("finished", [None, ONE, make_image("three").digest])
def test_a_tag_that_points_elsewhere_than_the_user_saw_is_not_overwritten(
    make_system: Make, finished: str | None
) -> None:
    system = moved(make_system, keep_last(9))
    with pytest.raises(NotRestorable, match=f"was pushed again since and points at {TWO}"):
        system.wiring.restore.restore(SHOP, tag="v1", digest=ONE, replaces=finished)
    assert system.registry.tags(SHOP) == {"v1": TWO}


@pytest.mark.parametrize(("method", "path"), [("GET", ONE), ("PUT", "/manifests/v1")])
def test_a_push_at_that_moment_wins(make_system: Make, method: Any, path: str) -> None:
    system = moved(make_system, keep_last(9))
    pushed: list[str] = []
    system.registry.before(method, path, lambda: pushed.append(system.registry.push_image(SHOP, "v1", seed="users")))
    with pytest.raises(NotRestorable, match=r"was pushed again since|was pushed at this moment"):
        system.wiring.restore.restore(SHOP, tag="v1", digest=ONE, replaces=TWO)
    system.later()
    assert system.registry.tags(SHOP) == {"v1": pushed[0]}


def test_a_tag_that_is_gone_is_restored_to_any_of_its_digests(make_system: Make) -> None:
    system = moved(make_system, keep_last(1))
    system.push("v2")
    system.later()
    assert system.tags() == {"v2"}
    undone = system.wiring.restore.restore(SHOP, tag="v1", digest=ONE)
    assert (undone.tags, undone.replaced, system.registry.tags(SHOP)["v1"]) == (("v1",), "", ONE)
    assert system.reasons("restored") == {"v1": "restored after it was overwritten"}


def test_a_digest_at_which_the_tag_never_stood_is_not_put_there(make_system: Make) -> None:
    system = moved(make_system, keep_last(9))
    other = system.registry.push_image(SHOP, "w")
    with pytest.raises(NotRestorable, match="v1 exists"):
        system.wiring.restore.restore(SHOP, tag="v1", digest=other, replaces=TWO)


def test_an_image_that_cannot_be_restored_any_more_is_named(make_system: Make) -> None:
    system = moved(make_system, policy(UNTAGGED_GOES))
    system.later()
    system.store.trash.collected()
    with pytest.raises(NotRestorable, match=f"{ONE}, at which shop/api:v1 pointed, is neither"):
        system.wiring.restore.restore(SHOP, tag="v1", digest=ONE, replaces=TWO)


def test_no_other_digest_is_restored_than_the_one_that_is_named(make_system: Make) -> None:
    """The deletion of v1 at ONE can be undone; nothing is known of it at TWO."""
    system = make_system(keep_last(1, protect=["latest"]))
    for tag in ("v1", "latest"):
        system.registry.push(SHOP, tag, make_image("one"))
    system.push("v2")
    system.settle()
    assert system.tags() == {"latest", "v2"}
    with pytest.raises(NotRestorable):
        system.wiring.restore.restore(SHOP, tag="v1", digest=TWO)
    assert system.tags() == {"latest", "v2"}


def test_an_image_whose_push_was_not_reported_does_not_count_as_the_oldest(make_system: Make) -> None:
    """Neither push was reported, and the tag is protected: the creation of its image is not read."""
    system = make_system(keep_last(1, protect=["latest"]))
    system.deaf = True
    for name in ("one", "two"):
        system.registry.push(SHOP, "latest", make_image(name))
        compare.compare(system.store, system.wiring.registry, system.store.history.snapshot(SHOP))
    system.wiring.restore.restore(SHOP, tag="latest", digest=ONE, replaces=TWO)
    (latest,) = system.store.history.live(SHOP)
    assert (latest.digest, latest.pushed_us) == (ONE, None)


def test_an_earlier_digest_is_found_however_much_has_happened_since(make_system: Make) -> None:
    system = make_system(keep_last(9), history={"repository_entries": 3000})
    system.registry.push(SHOP, "v1", make_image("one"))
    system.registry.push(SHOP, "v1", make_image("two"))
    client: Any = system.store.connection.client
    key = system.store.connection.keys.of("history", SHOP)
    (_, newest), *_ = client.xrevrange(key, count=1)
    for _ in range(1100):
        client.xadd(key, newest)
    undone = system.wiring.restore.restore(SHOP, tag="v1", digest=ONE, replaces=TWO)
    assert undone.replaced == TWO


def test_a_restored_tag_whose_deletion_is_reported_is_kept_while_the_registry_has_it(make_system: Make) -> None:
    """A holder of the notify token may report any deletion, and a real one may be reported late."""
    system = doomed_system(make_system)
    deleting.delete(system.wiring, SHOP)
    system.wiring.restore.restore(SHOP, tag="v1")
    Forger(system.hear, SHOP).delete(tag="v1")
    assert "v1" not in {tag.name for tag in system.store.history.live(SHOP)}
    system.store.deletions.request_healing(SHOP, ["v1"])
    planning.enforce(system.wiring, SHOP)
    assert "v1" in system.registry.tags(SHOP)
