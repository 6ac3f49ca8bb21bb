"""A doomed tag that is kept after all keeps its revisions, which were doomed with it."""

from typing import Any

import pytest

from service.clock import now_us
from service.prune import deleting, planning
from tests.fakes.images import make_image
from tests.support.deletions import ago
from tests.support.makers import policy
from tests.support.system import SHOP, Make, System

OLD, NEW = make_image("old"), make_image("new")
_DAY_MS = 86_400_000


@pytest.fixture
def system(make_system: Make) -> System:
    """v1 is doomed, and with it the image that v1 lost. Another tag of its present image was deleted before."""
    system = make_system(policy("rules: [{name: moving, count: tags, keep: {last: 1, revisions: 2}, untagged: 0s}]"))
    system.registry.push(SHOP, "other", NEW, at=ago(60))
    for hours, image in ((50, OLD), (40, NEW)):
        system.registry.push(SHOP, "v1", image, at=ago(hours))
    system.settle()
    assert system.tags() == {"v1"}
    system.push("v2")
    planning.enforce(system.wiring, SHOP)
    assert {doomed.digest for doomed in system.store.history.doomed(SHOP)} == {OLD.digest, NEW.digest}
    return system


def assert_the_revision_is_kept(system: System) -> None:
    deleting.delete(system.wiring, SHOP)
    system.settle()
    assert OLD.digest in system.registry.manifests(SHOP)


@pytest.mark.parametrize("image", [NEW, make_image("another")])
def test_a_push_of_a_doomed_tag_keeps_its_revisions(system: System, image: Any) -> None:
    system.registry.push(SHOP, "v1", image)
    assert_the_revision_is_kept(system)


def test_a_lease_of_the_image_of_a_doomed_tag_keeps_the_revisions_of_the_tag(system: System) -> None:
    client: Any = system.store.connection.client
    client.zadd(system.store.connection.keys.of("leased", SHOP), {NEW.digest: now_us() // 1000 + _DAY_MS})
    assert_the_revision_is_kept(system)


def test_a_restore_of_another_tag_of_the_image_keeps_the_revisions_of_a_doomed_tag(system: System) -> None:
    system.wiring.restore.restore(SHOP, tag="other")
    assert_the_revision_is_kept(system)
