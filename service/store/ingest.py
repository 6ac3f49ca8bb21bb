"""Record envelopes: build the arguments of record.lua, and read its answer."""

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from service.domain.collection.gate import client_of
from service.domain.events import Envelope, Event
from service.domain.oci import tombstone
from service.store.connection import Connection
from service.store.keys import SEEN_BUCKET_S, short
from service.store.limits import Limits, PushLimits
from service.store.live_tags import pack_digest
from service.store.outbox import RESEND_MS
from service.store.packing import pack_layers, pack_media
from service.store.script import Argument

# The clocks of the registry and of Redis may differ by this much.
_SKEW_US = 10 * 60 * 1_000_000


@dataclass(frozen=True, slots=True)
class RecordResult:
    """The changes that one envelope made.

    Attributes:
        due: repositories that became due; each needs a message.
        refused: events about a repository or a tag that was never seen at the registry, beyond the limit for such.
        unrecordable: events of which Redis refused a part, because another kind of value stands under one of our keys.
        outcomes: a letter for each event, see record.lua.
    """

    events: int
    duplicates: int
    due: tuple[str, ...]
    refused: int = 0
    unrecordable: int = 0
    outcomes: str = ""


def record(
    connection: Connection,
    envelopes: Sequence[Envelope],
    word: str,
    limits: Limits,
    gate: PushLimits,
    look_again_ms: int,
    late_us: int,
    message_of: Callable[[str], str] | None,
) -> tuple[RecordResult, ...]:
    """Record envelopes exactly once, in one atomic call; a repetition changes nothing.

    Args:
        word: the secret word of this installation, which identifies its own traffic.
        late_us: for how long after a comparison the events of pushes that it found may still arrive.
        message_of: returns the message that asks the workers to plan a repository; None: the caller sends it.

    Raises:
        StoreUnavailable: Redis is away.
    """
    numbers: dict[str, int] = {}
    messages: dict[str, str] = {}
    for envelope in envelopes:
        for event in envelope.events:
            numbers.setdefault(event.repository, len(numbers) + 1)
            # A blob makes no repository due.
            if message_of and not event.is_blob and event.repository not in messages:
                messages[event.repository] = message_of(event.repository)
    hour = int(time.time()) // SEEN_BUCKET_S
    rejected = [rejected for envelope in envelopes for rejected in envelope.rejected]
    outcomes, *due = connection.run(
        "record",
        repositories=tuple(numbers),
        HOUR=hour,
        # An event that is sent again may have been recorded in the hour before.
        HOUR_BEFORE=hour - 1,
        **limits.of_history,
        resend_ms=RESEND_MS,
        again_ms=look_again_ms,
        late_us=max(late_us, _SKEW_US),
        youth_ms=gate.youth_ms,
        seen_s=2 * SEEN_BUCKET_S,
        pull_entries=limits.pulls,
        rejected_entries=limits.rejected,
        max_pushes=gate.pushes,
        max_blobs=gate.blobs,
        max_layers=limits.repository_layers,
        max_unseen=limits.unseen_repositories,
        max_unseen_tags=limits.unseen_tags,
        messages=[messages.get(repository, "") for repository in numbers],
        # A user who may read rejected events must not learn the word.
        unparsed=[{"reason": event.reason, "excerpt": event.excerpt.replace(word, "…")} for event in rejected],
        received=[_row(event, numbers[event.repository], word) for envelope in envelopes for event in envelope.events],
    )
    return tuple(_results(envelopes, outcomes, due))


def _results(envelopes: Sequence[Envelope], outcomes: str, due: Sequence[str]) -> Iterator[RecordResult]:
    """Yield the result of each envelope. outcomes: one letter for each event, see record.lua."""
    start = 0
    for envelope in envelopes:
        own = outcomes[start : start + len(envelope.events)]
        start += len(envelope.events)
        named = {event.repository for event in envelope.events} if due else ()
        repositories = tuple(name for name in due if name in named)
        yield RecordResult(own.count("r"), own.count("d"), repositories, own.count("f"), own.count("u"), own)


def _row(event: Event, repository: int, word: str) -> dict[str, Argument]:
    kind = "own" if event.is_ours(word) else "blob" if event.is_blob else "manifest" if event.counts else "ignored"
    if kind == "manifest" and event.action == "push" and event.digest in tombstone.DIGESTS:
        kind = "other tombstone" if event.is_by_pushprune else "tombstone"
    digest, is_push = event.digest or "", event.action == "push"
    # A name that begins with "?" could be taken for the mark of a push that was not reported (keys.UNANNOUNCED).
    actor = event.actor.lstrip("?")
    return {
        "id": event.id,
        "at_us": event.at_us,
        "action": event.action,
        "repository": repository,
        "tag": event.tag or "",
        "digest": digest,
        "short": short(digest),
        "packed": pack_digest(digest),
        "size": event.size_bytes,
        "index": int(event.needs_its_manifest),
        "actor": actor,
        "agent": event.useragent,
        "address": event.address,
        "instance": event.instance,
        "kind": kind,
        "media": pack_media(event.media_type) if is_push else "",
        "client": client_of(event.address, event.useragent),
        "references": _references(event) if is_push else "",
        "layers": pack_layers(event.blobs) if is_push else "",
    }


def _references(event: Event) -> str:
    """Return the config, layers and children of a pushed manifest that the registry sent, as one text."""
    return " ".join(short(digest) for digest in (*(blob for blob, _ in event.blobs or ()), *(event.children or ())))
