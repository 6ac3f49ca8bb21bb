"""A tag that was moved to a doomed image, while the notification waits in the queue of the registry it went through."""

import pytest

from service.prune import deleting
from tests.fakes.images import make_image
from tests.fakes.pusher import Pusher
from tests.support.system import SHOP, Make, doomed_system

DOOMED = make_image(f"{SHOP}:v1")


@pytest.mark.parametrize("version", ["2.8", "3"])
def test_a_tag_is_restored_to_its_last_reported_image_until_the_notification_arrives(
    make_system: Make, version: str
) -> None:
    system = doomed_system(make_system, version=version)
    reported = system.registry.tags(SHOP)["v2"]
    system.deaf = True
    Pusher(system.registry.url).put(SHOP, "v2", DOOMED.media_type, DOOMED.manifest)
    system.deaf = False
    deleting.delete(system.wiring, SHOP)
    system.settle()
    assert system.registry.tags(SHOP) == {"v2": reported}
    system.hear_late()
    system.settle()
    assert system.registry.tags(SHOP) == {"v2": DOOMED.digest}
