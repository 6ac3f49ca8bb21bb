"""Record one envelope: build the arguments of record.lua in the order that its head names, and read its answer."""

import time
from collections.abc import Iterator
from dataclasses import dataclass

from service.domain.events import Envelope, Event
from service.domain.gate import client_of
from service.domain.oci import tombstone
from service.store.connection import Connection
from service.store.gate import PushLimits
from service.store.keys import SEEN_BUCKET_S, Keys, short
from service.store.limits import Limits
from service.store.outbox import RESEND_MS
from service.store.packing import pack_layers, pack_media

SHARED = (
    "due", "generation", "instances", "restarts", "events", "pulls", "rejected", "counters", "doomed", "healing",
    "last_notification", "unread_manifests", "pushing", "unreferenced", "unconfirmed", "unseen", "compared", "trashed",
)  # fmt: skip
EACH = (
    "tags", "live", "pulled", "voided", "links", "doomed", "heal", "history", "trash", "touched", "own_puts",
    "untagged", "revisions", "created", "approvals", "manual", "manual_deleted", "untagging", "layers",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class RecordResult:
    """The changes that one envelope made.

    Attributes:
        due: repositories that became due; each needs a message.
        refused: events about a repository or a tag that was never seen at the registry, beyond the limit for such.
    """

    events: int
    duplicates: int
    due: tuple[str, ...]
    refused: int = 0


def record(
    connection: Connection, envelope: Envelope, word: str, limits: Limits, gate: PushLimits, look_again_ms: int
) -> RecordResult:
    """Record an envelope exactly once, in one atomic call; a repetition changes nothing.

    Args:
        word: the secret word of this installation, which identifies its own traffic.

    Raises:
        StoreUnavailable: Redis is away.
    """
    numbers: dict[str, int] = {}
    for event in envelope.events:
        numbers.setdefault(event.repository, len(numbers) + 1)
    args: list[str | int] = [len(numbers), len(envelope.rejected), len(envelope.events)]
    args += [RESEND_MS, limits.repository_entries, limits.events, limits.pulls, limits.rejected, 2 * SEEN_BUCKET_S]
    args += [look_again_ms, gate.youth_ms, gate.pushes, gate.blobs, limits.repository_layers]
    args += [limits.unseen_repositories, limits.unseen_tags, *numbers]
    for rejected in envelope.rejected:
        # A user who may read rejected events must not learn the word.
        args += [rejected.reason, rejected.excerpt.replace(word, "…")]
    for event in envelope.events:
        args += _args(event, numbers[event.repository], word)
    keys = list(_keys(connection.keys, numbers))
    recorded, duplicates, refused, *due = connection.script("record", keys, args)
    return RecordResult(int(recorded), int(duplicates), tuple(due), int(refused))


def _keys(keys: Keys, repositories: dict[str, int]) -> Iterator[str]:
    bucket = int(time.time()) // SEEN_BUCKET_S
    yield keys.of("seen", bucket)
    # An event that is sent again may have been recorded in the bucket before.
    yield keys.of("seen", bucket - 1)
    yield from map(keys.of, SHARED)
    for repository in repositories:
        yield from (keys.of(name, repository) for name in EACH)


def _args(event: Event, repository: int, word: str) -> tuple[str | int, ...]:
    kind = "own" if event.is_ours(word) else "blob" if event.is_blob else "manifest" if event.counts else "ignored"
    if kind == "manifest" and event.action == "push" and event.digest == tombstone.DIGEST:
        kind = "other tombstone" if event.is_by_pushprune else "tombstone"
    digest, is_push = event.digest or "", event.action == "push"
    # A name that begins with "?" could be taken for the mark of a push that was not reported (keys.SIGHTED).
    actor = event.actor.lstrip("?")
    return (
        event.id, event.at_us, event.action, repository, event.tag or "", digest, short(digest), event.size_bytes,
        int(event.must_be_looked_into), actor, event.useragent, event.address, event.instance, kind,
        pack_media(event.media_type) if is_push else "", client_of(event.address, event.useragent),
        _references(event) if is_push else "", pack_layers(event.blobs) if is_push else "",
    )  # fmt: skip


def _references(event: Event) -> str:
    """Return the config, layers and children of a pushed manifest that the registry sent, as one text."""
    return " ".join(short(digest) for digest in (*(blob for blob, _ in event.blobs or ()), *(event.children or ())))
