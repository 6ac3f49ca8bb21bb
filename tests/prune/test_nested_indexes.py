"""Indexes inside indexes: parts of a kept index are kept at any depth, also if only the outer push was reported."""

import pytest

from tests.conftest import keep_last
from tests.fakes.images import index_over, make_image
from tests.fakes.pusher import Pusher
from tests.support.system import SHOP, Make


@pytest.mark.parametrize("version", ["2.8", "3"])
def test_a_part_of_an_unreported_index_is_kept_with_the_index_that_lists_it(make_system: Make, version: str) -> None:
    system = make_system(keep_last(1), version, fake={"references": True})
    part = make_image("part")
    inner = index_over([part], seed="inner")
    outer = index_over([inner], seed="outer")
    system.registry.push(SHOP, "part", part)
    system.settle()
    system.deaf = True
    system.registry.push(SHOP, None, inner)
    system.missed.clear()
    system.deaf = False
    Pusher(system.registry.url).put(SHOP, "multi", outer.media_type, outer.manifest)
    system.settle()
    system.later()
    system.pull_whole("multi")
    assert part.digest in system.registry.manifests(SHOP)
