"""Images that users restore by their digest alone, without a tag."""

from typing import Any

from service.domain.errors import NotRestorable
from tests.machine.goods import called
from tests.machine.oracle import closure
from tests.machine.shops import SHOP
from tests.machine.world import World


def trashed_images(world: World) -> frozenset[str]:
    """Return the images in the trash, indexes included, that are about no other image."""
    with world.ground.life.somebody_else():
        trashed = world.wiring.restore.trashed(SHOP)
    return trashed & world.model.contents.keys() - world.model.subjects.keys()


def restore_digest(world: World, digest: str) -> None:
    """Run `pushprune restore REPO@DIGEST` in another process: the image exists again, with its deleted tags."""
    deleted = {push.tag: push for push in world.deleted() if push.digest == digest}
    missing = closure(digest, world.model.children) - world.registry.manifests().keys()
    standing, refused = world.registry.tags(), ""
    try:
        with world.another_process():
            restored = world.wiring.restore.restore(SHOP, digest=digest, by="alice")
    except NotRestorable as error:
        refused = str(error)
    if refused:
        moved = [tag for tag in deleted if standing.get(tag, digest) != digest]
        assert moved or missing - world.model.binned, f"{called(digest)} is not restored: {refused}"
        return
    assert set(restored.tags) == deleted.keys(), f"{called(digest)} was restored with other tags"
    broken = closure(digest, world.model.children) - world.registry.manifests().keys()
    assert not broken, f"{called(digest)} was restored without {[called(missed) for missed in sorted(broken)]}"
    with world.pardoning():
        for tag in restored.tags:
            world.model.restored(deleted[tag], tag, missing, restored.referrers)
        world.model.was_restored_alone(digest, missing, restored.referrers)


def let_leases_end(world: World) -> None:
    """Let the leases of restored images end: a day passes, and the repository is due."""
    client: Any = world.ground.plain
    client.delete(world.keys.of("restored", SHOP))
    world.model.leases_end()
    world.wiring.store.outbox.mark_due([SHOP])
    world.wiring.dispatch.enforce(SHOP)
