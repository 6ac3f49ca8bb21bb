"""Indexes whose parts are pushed first: no part is deleted before its index arrives, so that no push is refused."""

from dataclasses import replace

import pytest

from tests.fakes.images import make_index
from tests.support.makers import policy
from tests.support.system import SHOP, Make, System

NEWEST_VERSION = "rules: [{keep: {last: 1}, order: semver, untagged: 0s}]"
NOTHING = "rules: [{keep: none}]"
MOVING = "rules: [{keep: always, untagged: 0s}]"


def push_part_by_part(system: System, tag: str, *, under_tag: bool = True) -> None:
    """Push an index as Docker does. under_tag: as with its containerd image store, which ended in 2025."""
    image = make_index("multi-arch", platforms=3)
    for part in image.children:
        system.registry.push(SHOP, tag if under_tag else None, part)
        system.settle()
    system.registry.push(SHOP, tag, replace(image, children=()))


@pytest.mark.parametrize("under_tag", [True, False])
@pytest.mark.parametrize("rules", [NEWEST_VERSION, NOTHING, MOVING])
def test_no_part_is_deleted_before_its_index_is_pushed(make_system: Make, rules: str, under_tag: bool) -> None:
    system = make_system(policy(rules))
    system.push("2.0.0")
    system.settle()
    push_part_by_part(system, "1.0.1", under_tag=under_tag)
    assert "1.0.1" in system.registry.tags(SHOP)
