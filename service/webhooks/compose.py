"""Make the events for a webhook from what was recorded since its last look."""

import uuid
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from service.domain.collection.run import Run
from service.domain.history.entry import Entry
from service.domain.timestamps import rfc3339
from service.domain.webhooks.event import (
    IMAGE_BROKEN,
    PLAN_HELD,
    REGISTRY_AWAY,
    REGISTRY_BACK,
    TAGS_DELETED,
    TAGS_RESTORED,
    WebhookEvent,
)
from service.store.approvals import Hold
from service.store.outbox import Trouble

# Action of an entry of the history → type of the event.
TYPES = {
    "pruned": TAGS_DELETED,
    "still listed": TAGS_DELETED,
    "restored": TAGS_RESTORED,
    "healed": TAGS_RESTORED,
}
MOST_TAGS = 100
_RESULTS = ("done", "failed", "postponed")
_REGISTRY = "registry"
# The first words of troubles about one image: found after a collection, without a part, deleted during its push.
_BROKEN = ("broken", "part", "lost")


def of_entries(entries: Iterable[Entry]) -> Iterator[WebhookEvent]:
    """Yield an event for the deletions or restores that follow each other in a repository, 100 at most in each."""
    groups: list[tuple[str, list[Entry]]] = []
    latest: dict[str, tuple[str, list[Entry]]] = {}
    for entry in entries:
        kind, group = latest.get(entry.repository, ("", []))
        if kind != TYPES[entry.action] or len(group) == MOST_TAGS:
            latest[entry.repository] = kind, group = TYPES[entry.action], []
            groups.append((kind, group))
        group.append(entry)
    for kind, group in groups:
        repository = group[0].repository
        data = {"repository": repository, "count": len(group), "tags": [_tag(entry) for entry in group]}
        yield _event(kind, group[-1].at_us, data, repository)


def of_runs(runs: Iterable[Run]) -> Iterator[WebhookEvent]:
    """Yield an event for each collection that succeeded, failed or was postponed."""
    for run in runs:
        if run.result not in _RESULTS:
            continue
        data = {
            "reason": run.reason,
            "started_at": rfc3339(run.started_ms * 1000),
            "ended_at": rfc3339(run.ended_ms * 1000),
            "blobs": run.blobs,
            "bytes_freed": run.bytes_freed,
            "unlinked_blobs": run.unlinked,
            "message": run.message,
            "note": run.note,
        }
        yield _event(f"collection.{run.result}", run.ended_ms * 1000, data)


def of_holds(holds: Iterable[Hold]) -> Iterator[WebhookEvent]:
    """Yield an event for each plan that waits for approval."""
    for hold in holds:
        data = {"repository": hold.repository, "reason": hold.reason, "images": len(hold.digests)}
        yield _event(PLAN_HELD, hold.at_us, data, hold.repository)


def event_troubles(troubles: Iterable[Trouble]) -> dict[str, Trouble]:
    """Return the troubles that are events: about the registry, and about broken images."""
    kinds = (_REGISTRY, *_BROKEN)
    return {trouble.about: trouble for trouble in troubles if trouble.about.partition(" ")[0] in kinds}


def of_troubles(known: Mapping[str, int], current: Mapping[str, Trouble], now_us: int) -> Iterator[WebhookEvent]:
    """Yield an event for each new trouble, and one when the registry is back.

    Args:
        known: subject → since when (ms), at the last look.
        current: subject → trouble, now.
        now_us: the time of the look, as nothing records when a trouble ended.
    """
    for about, trouble in current.items():
        if about in known:
            continue
        at_us = trouble.at_ms * 1000
        if about == _REGISTRY:
            yield _event(REGISTRY_AWAY, at_us, {"message": trouble.message})
            continue
        image = about.partition(" ")[2]
        repository = image.partition("@")[0] if "@" in image else image.rpartition(":")[0]
        data = {"repository": repository, "image": image, "message": trouble.message}
        yield _event(IMAGE_BROKEN, at_us, data, repository)
    if _REGISTRY in known and _REGISTRY not in current:
        yield _event(REGISTRY_BACK, now_us, {"away_since": rfc3339(known[_REGISTRY] * 1000)})


def _tag(entry: Entry) -> dict[str, Any]:
    return {
        "tag": entry.tag or None,
        "digest": entry.digest,
        "size_bytes": entry.size_bytes or None,
        "at": rfc3339(entry.at_us),
        "by": entry.actor or None,
        "reason": entry.reason,
        "rule": entry.rule or None,
    }


def _event(kind: str, at_us: int, data: dict[str, Any], repository: str = "") -> WebhookEvent:
    return WebhookEvent(str(uuid.uuid4()), kind, repository, at_us, data)
