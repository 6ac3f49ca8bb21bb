"""Repositories with deleted, doomed or untagged images, and pushes in the past."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from service.domain.oci import tombstone
from service.domain.retention.state import Tag
from service.prune import planning
from tests.conftest import keep_last
from tests.fakes.images import Image, make_image
from tests.support.makers import event
from tests.support.system import SHOP, Make, System


def ago(hours: float) -> datetime:
    return datetime.now(UTC) - timedelta(hours=hours)


def moved(system: System, *hours: float, tag: str = "latest") -> list[str]:
    """The tag is pushed anew at each of these times; returns the digests in order."""
    return [system.registry.push_image(SHOP, tag, seed=f"{tag} {at}", at=ago(at)) for at in hours]


def pull(system: System, reference: str, agent: str = "docker/29") -> None:
    tag = None if ":" in reference else reference
    item = event("pull", SHOP, tag, reference, useragent=agent, instance=system.registry.notifier.instance)
    item["timestamp"] = datetime.now(UTC).isoformat()
    system.hear({"events": [item]})


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
    """Return a system in which all images but the newest are doomed: enough of them that tags are removed first."""
    system = make_system(keep_last(1), version, **{**DELETES, **more})
    for number in range(count):
        system.registry.push_image(SHOP, f"v{number}", layers=0)
    planning.enforce(system.wiring, SHOP)
    system.messages.sent.clear()
    return system


def pruned(make_system: Make, image: Image | None = None, version: str = "2.8", **more: Any) -> System:
    """v1 was pushed an hour ago and has been deleted for v2."""
    system = make_system(keep_last(1), version, **more)
    system.registry.push(SHOP, "v1", image or make_image("one"), at=ago(1))
    system.push("v2")
    system.settle()
    assert system.tags() == {"v2"}
    return system


def live(system: System, tag: str) -> Tag | None:
    return next((item for item in system.store.history.live(SHOP) if item.name == tag), None)


def no_tombstone(system: System) -> bool:
    """True if no tombstone is in the registry, among the live tags or in the history."""
    messages = {entry.digest for entry in system.store.history.entries(SHOP, 5000)}
    tags = {tag.digest for tag in system.store.history.live(SHOP)}
    return not tombstone.DIGESTS & {*messages, *tags, *system.registry.manifests(SHOP)}
