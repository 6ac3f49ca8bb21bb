"""The events that pushprune sends to webhooks."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal, get_args

TAGS_DELETED = "tags.deleted"
TAGS_RESTORED = "tags.restored"
PLAN_HELD = "plan.held"
IMAGE_BROKEN = "image.broken"
REGISTRY_AWAY = "registry.away"
REGISTRY_BACK = "registry.back"

EventType = Literal[
    "tags.deleted",
    "tags.restored",
    "plan.held",
    "collection.done",
    "collection.failed",
    "collection.postponed",
    "image.broken",
    "registry.away",
    "registry.back",
]
EVENT_TYPES: tuple[str, ...] = get_args(EventType)


@dataclass(frozen=True, slots=True)
class WebhookEvent:
    """One event for a webhook.

    Attributes:
        id: a random name. It stays the same when the event is sent again.
        type: one of EVENT_TYPES.
        repository: the repository that the event is about; "" if it is about the whole registry.
        at_us: when it happened; of several deletions, the time of the last.
        data: what happened, as plain data for JSON.
    """

    id: str
    type: str
    repository: str
    at_us: int
    data: Mapping[str, Any]
