"""The messages to webhooks: a CloudEvent, or text for a chat."""

import json
import re
from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType
from typing import Any

from service.domain.policy.units import spell_count, spell_size
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

CLOUDEVENT = "application/cloudevents+json; charset=utf-8"
JSON = "application/json; charset=utf-8"
_NAMES = 10
_LONGEST = 300
# Letters that no sentence needs: line ends would begin a line of ours, the others turn text around or hide it.
_CONTROL = re.compile(r"[\s\x00-\x1f\x7f-\x9f\u200b-\u200f\u2028-\u202e\u2060-\u2069\ufeff]+")
_INVISIBLE = "\u200b"


def cloudevent(event: WebhookEvent, source: str) -> bytes:
    """Return an event as CloudEvents 1.0 writes it in structured mode. source: the registry, or pushprune."""
    envelope = {
        "specversion": "1.0",
        "id": event.id,
        "source": source,
        "type": f"pushprune.{event.type}",
        **({"subject": event.repository} if event.repository else {}),
        "time": rfc3339(event.at_us),
        "datacontenttype": "application/json",
        "data": event.data,
    }
    return json.dumps(envelope, ensure_ascii=False).encode()


def chat_message(events: Sequence[WebhookEvent], source: str) -> bytes:
    """Return text about all these events, as Slack and the chats that are compatible with it take it.

    Events of one type share a line, unless there is only one of them, or each needs an operator.
    """
    lines = [f"pushprune at {sentence(source)}"]
    by_type: dict[str, list[WebhookEvent]] = {}
    for event in events:
        by_type.setdefault(event.type, []).append(event)
    for kind, of_type in by_type.items():
        single, several = _WORDS[kind]
        if several and len(of_type) > 1:
            lines.append(several(of_type))
        else:
            lines += (single(event.data) for event in of_type[:_NAMES])
            if len(of_type) > _NAMES:
                lines.append(f"… and {len(of_type) - _NAMES:,} more of these")
    return json.dumps({"text": "\n".join(lines)}).encode()


def sentence(text: object) -> str:
    """Return a text that a client or a registry may have chosen, so that a chat shows it and does not obey it."""
    shown = _CONTROL.sub(" ", str(text)).strip()
    shown = shown if len(shown) <= _LONGEST else f"{shown[: _LONGEST - 1]}…"
    # Slack reads <!here> and <https://…|text>; Mattermost reads @channel and [text](https://…).
    shown = shown.replace("](", f"]{_INVISIBLE}(").replace("`", "'")
    shown = re.sub(r"@(?!sha256:)", f"@{_INVISIBLE}", shown)
    return shown.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def name(text: object) -> str:
    """Return the name of a tag, an image or a repository as code, in which no chat looks for mentions and links."""
    return f"`{sentence(text)}`"


def _tags(data: Mapping[str, Any]) -> str:
    shown = [name(tag["tag"] or tag["digest"]) for tag in data["tags"][:_NAMES]]
    more = data["count"] - len(shown)
    return ", ".join(shown) + (f" and {more} more" if more else "")


def _deleted(data: Mapping[str, Any]) -> str:
    return f"deleted in {name(data['repository'])}: {_tags(data)} ({sentence(data['tags'][0]['reason'])})"


def _restored(data: Mapping[str, Any]) -> str:
    by = data["tags"][0]["by"]
    return f"restored in {name(data['repository'])}: {_tags(data)}{f' (by {name(by)})' if by else ''}"


def _summary(verb: str) -> Callable[[Sequence[WebhookEvent]], str]:
    def line(events: Sequence[WebhookEvent]) -> str:
        counts: dict[str, int] = {}
        for event in events:
            counts[event.repository] = counts.get(event.repository, 0) + event.data["count"]
        largest = sorted(counts, key=lambda repository: -counts[repository])[:_NAMES]
        shown = ", ".join(f"{name(repository)} {counts[repository]:,}" for repository in largest)
        more = f" and {len(counts) - len(largest):,} more repositories" if len(counts) > len(largest) else ""
        return f"{verb} {sum(counts.values()):,} tags: {shown}{more}"

    return line


def _held(data: Mapping[str, Any]) -> str:
    repository, images = data["repository"], data["images"]
    what = f"a plan to delete {spell_count(images, 'image')} waits for approval"
    return f"{name(repository)}: {what}: {sentence(data['reason'])}; {name(f'pushprune prune --approve {repository}')}"


def _all_held(events: Sequence[WebhookEvent]) -> str:
    shown = ", ".join(name(event.repository) for event in events[:_NAMES])
    more = f" and {len(events) - _NAMES:,} more" if len(events) > _NAMES else ""
    return f"{len(events):,} plans wait for approval: {shown}{more}; {name('pushprune prune --held')}"


def _collected(data: Mapping[str, Any]) -> str:
    freed = f", {spell_size(data['bytes_freed'])}" if data["bytes_freed"] is not None else ""
    note = f" ({sentence(data['note'])})" if data["note"] else ""
    return f"garbage collection done: {data['blobs']:,} blobs deleted{freed}{note}"


_Single = Callable[[Mapping[str, Any]], str]
_Several = Callable[[Sequence[WebhookEvent]], str]
# Type of the event → the line about one, and the line about several; None: each has its own.
_WORDS: Mapping[str, tuple[_Single, _Several | None]] = MappingProxyType(
    {
        TAGS_DELETED: (_deleted, _summary("deleted")),
        TAGS_RESTORED: (_restored, _summary("restored")),
        PLAN_HELD: (_held, _all_held),
        "collection.done": (_collected, None),
        "collection.failed": (lambda data: f"garbage collection failed: {sentence(data['message'])}", None),
        "collection.postponed": (lambda data: f"garbage collection postponed: {sentence(data['message'])}", None),
        IMAGE_BROKEN: (lambda data: f"broken image {name(data['image'])}: {sentence(data['message'])}", None),
        REGISTRY_AWAY: (lambda data: f"the registry is away: {sentence(data['message'])}", None),
        REGISTRY_BACK: (lambda data: f"the registry answers again (away since {data['away_since']})", None),
    }
)
