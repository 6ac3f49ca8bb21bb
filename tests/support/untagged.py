"""Makers for tests of untagged."""

from datetime import UTC, datetime, timedelta

from tests.support.makers import event
from tests.support.system import SHOP, System


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
