"""Distribution 2.8 on object storage leaves a tag while another begins with its name: that is noticed and finished."""

from typing import Any

import pytest

from service.domain.oci import tombstone
from service.store.capabilities import Capabilities
from tests.conftest import keep_last
from tests.fakes.pusher import Pusher
from tests.support.system import SHOP, Make, System

OURS = "pushprune/"


def on_s3(make_system: Make, count: int = 1, **more: Any) -> System:
    return make_system(keep_last(count, **more), "2.8", {"driver": "s3"})


def listed(system: System) -> set[str]:
    return set(system.wiring.registry.client.tags(SHOP))


@pytest.mark.parametrize("sibling", ["main-1", "main.1"])
def test_a_tag_that_is_still_listed_is_not_called_pruned_and_a_trouble_names_it(
    make_system: Make, sibling: str
) -> None:
    system = on_s3(make_system, protect=[sibling])
    system.push("main", sibling, "v2")
    system.settle()
    assert listed(system) == {"main", sibling, "v2"}
    assert system.wiring.registry.client.head(SHOP, "main") is None
    assert "main" not in system.reasons()
    assert system.reasons("still listed") == {"main": "older than the newest (rule last)"}
    (trouble,) = system.store.outbox.troubles()
    assert trouble.about == f"still listed {SHOP}"
    assert "(main)" in trouble.message
    assert "Upgrade the registry" in trouble.message


def test_a_left_tag_is_removed_once_no_tag_begins_with_its_name_and_the_trouble_ends(make_system: Make) -> None:
    system = on_s3(make_system, protect=["main-1"])
    system.push("main", "main-1", "v2")
    system.settle()
    with Pusher(system.registry.url) as user:
        assert user.delete(SHOP, system.registry.tags(SHOP)["main-1"]) == 202
    system.push("v3")
    system.settle()
    system.later()
    assert listed(system) == {"v3"}
    assert system.store.outbox.troubles() == ()
    assert system.store.deletions.dangling(SHOP) == frozenset()


def test_a_left_tag_at_a_tombstone_is_not_forgotten_while_that_tombstone_exists_again(make_system: Make) -> None:
    system = on_s3(make_system, protect=["main-1"])
    system.push("main", "main-1", "v2")
    system.settle()
    assert system.store.deletions.dangling(SHOP) == {"main"}
    # As it does while the tags of another step are moved to it.
    system.wiring.registry.client.put(SHOP, "main", tombstone.MEDIA_TYPE, tombstone.FIRST.content)
    system.push("v3")
    system.settle()
    assert system.store.deletions.dangling(SHOP) == {"main"}
    assert len(system.store.outbox.troubles()) == 1


def test_tags_that_are_deleted_together_leave_no_dangling_tag(make_system: Make) -> None:
    system = on_s3(make_system)
    system.deaf = True
    system.push("main", "main-1", "main-1-a", "v2")
    system.hear_late()
    system.settle()
    system.later()
    assert listed(system) == {"v2"}
    assert system.store.outbox.troubles() == ()


def test_a_tag_that_is_removed_alone_is_noticed_as_well(make_system: Make) -> None:
    system = on_s3(make_system, 2, protect=["main-1", "stays"])
    system.registry.push_image(SHOP, "main", seed="shared")
    system.registry.push_image(SHOP, "stays", seed="shared")
    system.push("main-1", "v2", "v3")
    system.settle()
    assert "main" in listed(system)
    assert "main" in system.reasons("still listed")
    assert len(system.store.outbox.troubles()) == 1


def test_a_deleted_tag_that_is_still_listed_can_be_restored(make_system: Make) -> None:
    system = on_s3(make_system, protect=["main-1"])
    system.push("main", "main-1", "v2")
    digest = system.registry.tags(SHOP)["main"]
    system.settle()
    system.wiring.restore.restore(SHOP, tag="main")
    assert system.wiring.registry.client.head(SHOP, "main", unless=digest) is not None


def test_a_registry_that_leaves_none_is_looked_at_once(make_system: Make) -> None:
    system = make_system(keep_last(2), "2.8")
    system.push("1.2", "1.2.1", "1.2.2")
    system.settle()
    assert listed(system) == {"1.2.1", "1.2.2"}
    before = len(system.registry.requests)
    system.push("1.2.1-a")
    system.settle()
    assert len(system.registry.requests) - before == 3, "a push that overflows by one tag costs 3 requests"


def test_redis_is_asked_once_for_a_batch_if_the_registry_leaves_tags(
    make_system: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    system, asked, leaves_tags = on_s3(make_system), list[str](), Capabilities.leaves_tags

    def noted(capabilities: Capabilities, restarts: str) -> bool | None:
        asked.append(restarts)
        return leaves_tags(capabilities, restarts)

    monkeypatch.setattr(Capabilities, "leaves_tags", noted)
    system.deaf = True
    system.push("v1", "v2", "v3", "v4", "v5")
    system.hear_late()
    system.settle()
    assert listed(system) == {"v5"}
    assert len(asked) == 1
