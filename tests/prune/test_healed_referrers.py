"""A signature that followed an image which a push had rescued comes back with it, and replaces no newer one."""

import pytest

from service.prune import deleting, planning
from tests.conftest import keep_last
from tests.fakes.images import Image, index_over, make_image
from tests.fakes.pusher import Pusher
from tests.support.system import SHOP, Make, System

V1 = make_image(f"{SHOP}:v1")
SIGNATURE = f"{V1.digest.replace(':', '-')}.sig"
SIGNED = make_image("signature")


def push_again(system: System, tag: str = "v1", image: Image = V1) -> None:
    Pusher(system.registry.url).put(SHOP, tag, image.media_type, image.manifest)


def push_unheard(system: System, tag: str = "v1", image: Image = V1) -> None:
    system.deaf = True
    push_again(system, tag, image)
    system.deaf = False


def signed_system(make_system: Make, version: str = "2.8", *more: tuple[str, Image]) -> System:
    """v1 is doomed, and signed; its signature is deleted after it. A push of v1 is accepted; its event is late."""
    system = make_system(keep_last(1), version)
    system.push("v1")
    for tag, image in ((SIGNATURE, SIGNED), *more):
        system.registry.push(SHOP, tag, image)
    system.push("v2")
    planning.enforce(system.wiring, SHOP)
    system.messages.sent.clear()
    return system


@pytest.mark.parametrize("version", ["2.8", "3"])
def test_a_signature_that_was_deleted_after_a_rescued_image_is_restored_with_it(
    make_system: Make, version: str
) -> None:
    system = signed_system(make_system, version)
    push_unheard(system)
    deleting.delete(system.wiring, SHOP)
    system.settle()
    assert system.tags() == {"v2"}
    system.hear_late()
    system.later()
    assert system.registry.tags(SHOP) == {"v1": V1.digest, SIGNATURE: SIGNED.digest}
    assert {tag.name for tag in system.store.history.live(SHOP)} == {"v1", SIGNATURE}


def test_an_attached_artifact_is_restored_with_its_fallback_index(make_system: Make) -> None:
    artifact = make_image("sbom", subject=V1)
    fallback = V1.digest.replace(":", "-")
    system = signed_system(make_system, "3", (fallback, index_over([artifact])))
    push_unheard(system)
    deleting.delete(system.wiring, SHOP)
    system.settle()
    system.later()
    assert artifact.digest not in system.registry.manifests(SHOP)
    system.hear_late()
    system.later()
    system.pull_whole(fallback)
    assert system.tags() == {"v1", SIGNATURE, fallback}


def test_a_signature_of_a_signature_is_restored_as_well(make_system: Make) -> None:
    second = f"{SIGNED.digest.replace(':', '-')}.sig"
    system = signed_system(make_system, "2.8", (second, make_image("second signature")))
    push_unheard(system)
    deleting.delete(system.wiring, SHOP)
    system.settle()
    system.later()
    assert system.tags() == {"v2"}
    system.hear_late()
    system.later()
    assert system.tags() == {"v1", SIGNATURE, second}


def test_a_newer_signature_is_not_overwritten(make_system: Make) -> None:
    system = signed_system(make_system)
    newer = make_image("newer signature")
    push_unheard(system)
    deleting.delete(system.wiring, SHOP)
    system.settle()
    system.deaf = True
    system.registry.push(SHOP, SIGNATURE, newer)
    system.hear_late()
    system.later()
    assert system.registry.tags(SHOP) == {"v1": V1.digest, SIGNATURE: newer.digest}


def test_a_signature_whose_delete_was_under_way_when_its_image_was_restored_is_restored_later(
    make_system: Make,
) -> None:
    system = signed_system(make_system)
    push_unheard(system)
    deleting.delete(system.wiring, SHOP)

    def heal() -> None:
        system.hear_late()
        planning.enforce(system.wiring, SHOP)
        assert "v1" in system.tags()
        system.deaf = True

    system.registry.before("DELETE", SIGNED.digest, heal)
    system.settle()
    system.missed.clear()  # the registry's own word on that DELETE is lost
    system.deaf = False
    system.later()
    assert system.tags() == {"v1", SIGNATURE}


def test_a_signature_that_was_deleted_while_its_image_was_pushed_again_is_restored(make_system: Make) -> None:
    """The image exists by its user's own push; the signature was deleted after that."""
    system = signed_system(make_system)
    deleting.delete(system.wiring, SHOP)
    system.registry.before("DELETE", SIGNED.digest, lambda: push_unheard(system))
    system.settle()
    assert system.tags() == {"v1", "v2"}
    system.hear_late()
    system.later()
    assert system.tags() == {"v1", SIGNATURE}


def test_a_signature_that_had_followed_its_image_before_that_was_pushed_again_stays_deleted(make_system: Make) -> None:
    system = signed_system(make_system)
    deleting.delete(system.wiring, SHOP)
    system.settle()
    assert system.tags() == {"v2"}
    push_again(system)
    system.later()
    assert system.tags() == {"v1"}


def test_a_signature_that_the_registry_refuses_for_a_while_is_restored_after_that(make_system: Make) -> None:
    system = signed_system(make_system)
    push_unheard(system)
    deleting.delete(system.wiring, SHOP)
    system.settle()
    system.registry.fail_next("PUT", SIGNATURE, status=403, times=None)
    system.hear_late()
    system.later()
    assert SIGNATURE not in system.tags()
    system.registry.faults.clear()
    system.later()
    assert system.tags() == {"v1", SIGNATURE}


def test_the_signature_of_a_part_is_restored_with_its_index(make_system: Make) -> None:
    system = make_system(keep_last(1))
    index = index_over([V1], seed="multi")
    system.registry.push(SHOP, "multi", index)
    system.registry.push(SHOP, SIGNATURE, SIGNED)
    system.push("v2")
    planning.enforce(system.wiring, SHOP)
    push_unheard(system, "multi", index)
    deleting.delete(system.wiring, SHOP)
    system.settle()
    system.later()
    assert system.tags() == {"v2"}
    system.hear_late()
    system.later()
    system.pull_whole("multi")
    assert system.tags() == {"multi", SIGNATURE}
