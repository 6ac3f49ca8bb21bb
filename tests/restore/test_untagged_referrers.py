"""A referrer without a tag, such as a signature in the form of OCI 1.1, is restored with its image."""

import pytest

from service.prune import deleting, planning
from tests.fakes.images import Image, index_over, make_image
from tests.support.makers import policy
from tests.support.system import SHOP, Make, System

PART, ONE = make_image("part"), make_image("one")
INDEX = index_over([PART])
subjects = pytest.mark.parametrize(
    ("image", "subject"), [(ONE, ONE), (INDEX, INDEX), (INDEX, PART)], ids=["image", "index", "part"]
)


def signed(make_system: Make, image: Image, referrers: list[Image]) -> System:
    """A system in which v1 is to be deleted, and then its referrers."""
    system = make_system(policy("rules: [{name: all, keep: {last: 1}}]"), "3")
    system.registry.push(SHOP, "v1", image)
    for referrer in referrers:
        system.registry.push(SHOP, None, referrer)
    system.settle()
    system.push("v2")
    return system


def restore(system: System) -> tuple[str, ...]:
    return system.wiring.restore.restore(SHOP, tag="v1", by="alice").referrers


def check_that_it_is_whole(system: System, *images: Image) -> None:
    system.later()
    assert {image.digest for image in images} <= system.registry.manifests(SHOP).keys()
    assert system.wiring.restore.deleted(SHOP) == ()
    # The history knows the referrers again, so that they are deleted with their image.
    released = system.store.history.snapshot(SHOP).restored
    system.store.manual.request(SHOP, {"v1": images[0].digest}, "alice", released=released)
    system.later(rounds=6)
    assert not {image.digest for image in images} & system.registry.manifests(SHOP).keys()


@subjects
def test_a_referrer_is_restored_with_its_image(make_system: Make, image: Image, subject: Image) -> None:
    signature = make_image("signature", subject=subject)
    of_signature = make_image("signature of the signature", subject=signature)
    system = signed(make_system, image, [signature, of_signature])
    system.later(rounds=6)
    assert not {signature.digest, of_signature.digest} & system.registry.manifests(SHOP).keys()
    assert restore(system) == (signature.digest, of_signature.digest)
    check_that_it_is_whole(system, image, subject, signature, of_signature)


@subjects
def test_a_referrer_is_restored_again_if_its_delete_was_sent_before_its_image_was_restored(
    make_system: Make, image: Image, subject: Image
) -> None:
    signature = make_image("signature", subject=subject)
    system = signed(make_system, image, [signature])
    restored: list[tuple[str, ...]] = []
    system.registry.before("DELETE", signature.digest, lambda: restored.append(restore(system)))
    system.later(rounds=6)
    assert restored == [()]
    check_that_it_is_whole(system, image, subject, signature)


def test_a_part_that_is_restored_with_its_index_is_no_deletion_of_its_own(make_system: Make) -> None:
    system = signed(make_system, INDEX, [])
    planning.enforce(system.wiring, SHOP)
    deleting.delete(system.wiring, SHOP)
    system.later()
    assert PART.digest not in system.registry.manifests(SHOP)
    assert [deletion.tag for deletion in system.wiring.restore.deleted(SHOP)] == ["v1"]
