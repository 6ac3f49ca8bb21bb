"""Safety rule 3: before each deletion, the registry is asked where the tag points. Only an unchanged tag is deleted."""

from typing import Any

import pytest

from service.clock import now_us
from service.domain.errors import RegistryUnavailable
from service.prune import deleting, planning
from tests.conftest import keep_last
from tests.fakes.images import index_over, make_image
from tests.fakes.pusher import Pusher
from tests.support.system import SHOP, Make, doomed_system


def test_a_moving_tag_that_moved_meanwhile_is_not_deleted(make_system: Make) -> None:
    system = make_system(keep_last(2))
    system.push("v1", "v2", "v3")
    planning.enforce(system.wiring, "shop/api")
    system.deaf = True
    system.registry.push_image("shop/api", "v1", seed="newer")
    deleting.delete(system.wiring, "shop/api")
    assert system.tags() == {"v1", "v2", "v3"}
    assert system.registry.count("pushprune/", "DELETE") == 0
    system.hear_late()
    system.settle()
    assert system.tags() == {"v1", "v3"}


def test_a_digest_that_does_not_exist_any_more_counts_as_deleted(make_system: Make) -> None:
    system = doomed_system(make_system)
    system.registry.drop_connection("DELETE", handled=True)
    with pytest.raises(RegistryUnavailable):
        deleting.delete(system.wiring, "shop/api")
    system.messages.sent.clear()
    deleting.delete(system.wiring, "shop/api")
    system.settle()
    assert system.tags() == {"v2"}
    assert [tag.name for tag in system.store.history.live("shop/api")] == ["v2"]
    assert system.store.history.doomed("shop/api") == ()
    assert system.reasons() == {"v1": "older than the newest (rule last)"}
    assert system.store.outbox.counters()["rule last"] == 1


def test_a_manifest_with_a_subject_is_recognized_and_kept(make_system: Make) -> None:
    system = make_system(keep_last(1))
    image = make_image("attestation", subject=make_image("shop/api:v9"))
    system.registry.push("shop/api", "att", image)
    system.push("v2")
    system.settle()
    assert system.tags() == {"att", "v2"}


def test_a_tag_that_another_client_deleted_without_an_event_is_removed_from_the_history(make_system: Make) -> None:
    system = doomed_system(make_system)
    system.deaf = True
    Pusher(system.registry.url).delete("shop/api", system.registry.tags("shop/api")["v1"])
    system.deaf = False
    deleting.delete(system.wiring, "shop/api")
    system.settle()
    assert [tag.name for tag in system.store.history.live("shop/api")] == ["v2"]
    assert "v1" in system.reasons("vanished")


def test_a_doomed_image_is_kept_if_an_index_that_lists_it_was_pushed(make_system: Make) -> None:
    system = doomed_system(make_system)
    index = index_over([make_image(f"{SHOP}:v1")], seed="multi")
    pusher = Pusher(system.registry.url)
    pusher.put(SHOP, "multi", index.media_type, index.manifest)
    deleting.delete(system.wiring, SHOP)
    assert system.registry.count("pushprune/", "DELETE") == 0
    system.later()
    pusher.pull_whole(SHOP, "multi")


def test_an_image_that_is_leased_after_it_was_doomed_is_kept(make_system: Make) -> None:
    system = doomed_system(make_system)
    client: Any = system.store.connection.client
    leased = system.store.connection.keys.of("leased", SHOP)
    client.zadd(leased, {system.registry.tags(SHOP)["v1"]: (now_us() // 1000) + 3_600_000})
    deleting.delete(system.wiring, SHOP)
    system.settle()
    assert system.tags() == {"v1", "v2"}
    client.zadd(leased, {system.registry.tags(SHOP)["v1"]: 1})
    system.store.outbox.mark_due([SHOP])
    system.messages.enforce(SHOP)
    system.settle()
    assert system.tags() == {"v2"}


def test_a_known_manifest_is_proved_by_its_tag_alone_and_a_tag_that_points_nowhere_is_removed(
    make_system: Make,
) -> None:
    """The bytes were read before, so only the tag is asked for: 304, although its manifest does not exist."""
    system = doomed_system(make_system)
    digest = system.registry.tags(SHOP)["v1"]
    assert system.wiring.registry.client.get(SHOP, "v1")
    before = len(system.registry.requests)
    system.registry.storage.repositories[SHOP].manifests.pop(digest)
    deleting.delete(system.wiring, SHOP)
    assert (system.registry.requests[before].method, system.registry.requests[before].status) == ("HEAD", 304)
    system.settle()
    assert system.tags() == {"v2"}
    assert system.reasons() == {"v1": "older than the newest (rule last)"}


def test_a_known_manifest_whose_tag_moved_meanwhile_is_kept(make_system: Make) -> None:
    system = doomed_system(make_system)
    assert system.wiring.registry.client.get(SHOP, "v1")
    system.deaf = True
    system.registry.push_image(SHOP, "v1", seed="newer")
    deleting.delete(system.wiring, SHOP)
    assert system.tags() == {"v1", "v2"}
    assert system.registry.count("pushprune/", "DELETE", f"{SHOP}/manifests/sha256") == 0
