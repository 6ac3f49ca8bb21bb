"""Makers for tests of undo."""

from datetime import UTC, datetime, timedelta
from typing import Any

from service.domain.retention.state import Tag
from tests.conftest import keep_last
from tests.fakes.images import Image, make_image
from tests.support.system import SHOP, Make, System


def pruned(make_system: Make, image: Image | None = None, version: str = "2.8", **more: Any) -> System:
    """v1 was pushed an hour ago and has been deleted for v2."""
    system = make_system(keep_last(1), version, **more)
    system.registry.push(SHOP, "v1", image or make_image("one"), at=an_hour_ago())
    system.push("v2")
    system.settle()
    assert system.tags() == {"v2"}
    return system


def an_hour_ago() -> datetime:
    return datetime.now(UTC) - timedelta(hours=1)


def live(system: System, tag: str) -> Tag | None:
    return next((item for item in system.store.history.live(SHOP) if item.name == tag), None)
