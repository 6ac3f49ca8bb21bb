"""Makers for tests of untagging."""

from typing import Any

import pytest

from service.prune import planning
from tests.conftest import keep_last
from tests.support.system import SHOP, Make, System

both = pytest.mark.parametrize("version", ["2.8", "3"])
# Where many images take seconds.
one = pytest.mark.parametrize("version", ["2.8", pytest.param("3", marks=pytest.mark.deep)])


DELETES = {"delete": {"parallel": 1}}


def shared(make_system: Make, version: str = "2.8", **more: Any) -> System:
    """v1 is doomed alone: its image is also the protected latest. The message about it is lost."""
    system = make_system(keep_last(1, protect=["latest"]), version, **more)
    for tag in ("v1", "latest"):
        system.registry.push_image(SHOP, tag, seed="one")
    system.push("v2")
    planning.enforce(system.wiring, SHOP)
    system.messages.sent.clear()
    assert [doomed.tags for doomed in system.store.history.doomed(SHOP)] == [("v1",)]
    return system


def many(make_system: Make, version: str = "2.8", count: int = 150, **more: Any) -> System:
    """All but the newest of so many images are doomed: so many that their tags are taken off first."""
    system = make_system(keep_last(1), version, **{**DELETES, **more})
    for number in range(count):
        system.registry.push_image(SHOP, f"v{number}", layers=0)
    planning.enforce(system.wiring, SHOP)
    system.messages.sent.clear()
    return system
