"""Makers of past events, and of their replay: `pushed("v1", 5)` is a push of v1, 5 s after the start."""

from typing import Any

from service.domain.policy.model import Policy
from service.domain.retention.state import State
from service.domain.simulation.replay import replay
from service.domain.simulation.report import RepositoryOutcome
from service.domain.simulation.timeline import Kind, Timeline, TimelineEvent
from tests.support.makers import digest_of, policy, us

SIZE = 1000
DAY = 86_400
END = 30 * DAY
LAST_2 = policy("rules: [{name: newest, keep: {last: 2}}]")


def event(kind: Kind, name: str, at: float, digest: str | None = None, **more: Any) -> TimelineEvent:
    """digest: a short name, the tag's own unless given."""
    return TimelineEvent(kind, us(at), name, digest_of(name if digest is None else digest), **more)


def pushed(name: str, at: float, digest: str | None = None, size: int = SIZE) -> TimelineEvent:
    return event("pushed", name, at, digest, size_bytes=size, actor="ci")


def adopted(name: str, at: float, digest: str | None = None) -> TimelineEvent:
    return event("adopted", name, at, digest)


def pruned(name: str, at: float, digest: str | None = None) -> TimelineEvent:
    return event("pruned", name, at, digest)


def pulled(
    name: str, at: float, digest: str | None = None, by: str = "cluster", agent: str = "containerd"
) -> TimelineEvent:
    """A pull by tag; by digest if the name is empty."""
    return event("pulled", name, at, digest, actor=by, useragent=agent, address="10.0.0.5:1")


def deleted(name: str, at: float) -> TimelineEvent:
    """A tag that a user pushed."""
    return TimelineEvent("deleted", us(at), name, actor="alice")


def deleted_digest(digest: str, at: float) -> TimelineEvent:
    return TimelineEvent("deleted", us(at), "", digest_of(digest), actor="alice")


def vanished(name: str, at: float) -> TimelineEvent:
    return TimelineEvent("vanished", us(at), name)


THREE = (pushed("v1", 1), pushed("v2", 2), pushed("v3", 3))


def lived(
    rules: Policy,
    *events: TimelineEvent,
    start: float = 0,
    end: float = END,
    approve_holds: bool = False,
    **present: Any,
) -> RepositoryOutcome:
    """Replay shop/api. present: parts of its current state."""
    timeline = Timeline(State(repository="shop/api", **present), events)
    return replay(timeline, rules, us(start), us(end), approve_holds=approve_holds)


def gone(outcome: RepositoryOutcome) -> list[tuple[str, float]]:
    """(tags, when) of each deletion."""
    return [(",".join(item.tags) or f"({item.lost_tag})", item.at_us / 1e6 - us(0) / 1e6) for item in outcome.deletions]


def missed(outcome: RepositoryOutcome) -> list[tuple[str, int]]:
    """(tags, times it was pulled afterwards)."""
    return [(",".join(item.deletion.tags) or f"({item.deletion.lost_tag})", len(item.pulls)) for item in outcome.missed]


def left(outcome: RepositoryOutcome) -> list[str]:
    return [tag.name for tag in outcome.left]
