"""Safety rule 5: a tag that one of our deletions removed during its push is restored at the digest of that push."""

import pytest

from service.prune import deleting, planning
from service.registry import Registry
from tests.fakes.images import index_over, make_image, sha256
from tests.support.pushes import put, unheard
from tests.support.system import SHOP, Make, doomed_system


def test_a_tag_that_our_delete_removed_during_its_push_is_restored_at_that_push(make_system: Make) -> None:
    """The registry's fault "lost re-push" (service/README.md, Deleting)."""
    system = doomed_system(make_system)
    pushed: list[str] = []
    system.registry.during_delete(lambda: pushed.append(system.registry.push_image("shop/api", "v1", seed="again")))
    deleting.delete(system.wiring, "shop/api")
    assert pushed, "the race was not provoked"
    system.settle()
    assert system.registry.tags("shop/api") == {"v1": pushed[0]}


def test_a_late_event_of_a_push_to_a_deleted_digest_restores_the_image_from_the_trash(make_system: Make) -> None:
    system = doomed_system(make_system)
    system.deaf = True
    digest = system.registry.push_image("shop/api", "stable", seed="shop/api:v1")
    deleting.delete(system.wiring, "shop/api")
    assert system.tags() == {"v2"}
    system.hear_late()
    system.settle()
    assert system.registry.tags("shop/api") == {"stable": digest}
    assert "stable" in system.reasons("healed")


def test_an_image_that_is_pushed_between_trash_and_delete_is_healed(make_system: Make) -> None:
    system = doomed_system(make_system)
    digest = system.registry.tags("shop/api")["v1"]
    system.registry.before(
        "DELETE", "", lambda: system.registry.push_image("shop/api", "stable", seed="shop/api:v1"), times=1
    )
    deleting.delete(system.wiring, "shop/api")
    system.settle()
    assert system.registry.tags("shop/api") == {"stable": digest, "v1": digest}


def test_an_image_is_healed_although_an_online_collection_has_deleted_its_links(
    make_system: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The push came during our delete, and is reported after gc.youth."""
    system = doomed_system(make_system)
    system.deaf = True
    digest = system.registry.push_image("shop/api", "stable", seed="shop/api:v1")
    deleting.delete(system.wiring, "shop/api")
    linked, lost = system.registry.storage.repositories["shop/api"].blobs, set(map(sha256, V1.blobs))
    linked -= lost

    def relink(registry: Registry, repository: str, blob: str) -> bool:
        linked.add(blob)
        return blob in lost

    monkeypatch.setattr(Registry, "relink", relink)
    system.hear_late()
    system.settle()
    assert system.registry.tags("shop/api") == {"stable": digest}
    assert lost <= linked


V1 = make_image(f"{SHOP}:v1")


def test_a_push_that_overlaps_our_own_put_wins(make_system: Make) -> None:
    system = doomed_system(make_system)
    newest: list[str] = []
    system.registry.during_delete(lambda: system.registry.push_image(SHOP, "v1", seed="second"))
    system.registry.before(
        "PUT", "manifests/v1", lambda: newest.append(system.registry.push_image(SHOP, "v1", seed="third"))
    )
    deleting.delete(system.wiring, SHOP)
    system.settle()
    system.later()
    assert newest, "nothing was healed"
    assert system.registry.tags(SHOP)["v1"] == newest[0]


def test_a_push_during_our_delete_that_is_reported_later_is_restored(make_system: Make) -> None:
    system = doomed_system(make_system)
    pushed: list[str] = []

    def push() -> str:
        return system.registry.push_image(SHOP, "v1", seed="second")

    system.registry.during_delete(lambda: pushed.append(unheard(system, push)))
    deleting.delete(system.wiring, SHOP)
    assert system.tags() == {"v2"}
    system.hear_late()
    system.later()
    assert system.registry.tags(SHOP)["v1"] == pushed[0]


def test_a_tag_that_a_user_pushed_after_its_deletion_is_kept_before_that_push_is_reported(make_system: Make) -> None:
    system = doomed_system(make_system)
    deleting.delete(system.wiring, SHOP)
    pushed = unheard(system, lambda: system.registry.push_image(SHOP, "v1", seed="second"))
    system.store.deletions.request_healing(SHOP, ["v1"])
    planning.enforce(system.wiring, SHOP)
    assert system.store.history.snapshot(SHOP).heal == ()
    assert system.registry.tags(SHOP)["v1"] == pushed


def test_the_children_of_an_index_that_is_reported_too_late_are_restored(make_system: Make) -> None:
    system = doomed_system(make_system)
    unheard(system, lambda: put(system, "v2", index_over([V1], seed="multi")))
    deleting.delete(system.wiring, SHOP)
    system.hear_late()
    system.later()
    system.pull_whole("v2")
