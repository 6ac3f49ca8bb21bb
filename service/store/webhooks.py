"""The webhooks in Redis: how far each has looked, the events that wait for it, and how its attempts ended."""

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field

from service.domain.webhooks.event import WebhookEvent
from service.store.connection import Connection
from service.store.keys import entry_ms

MOST_WAITING = 10_000
KEEP_MS = 86_400_000
_LIFE_S = 7 * 86_400
_MOST_HOLDS = 500


@dataclass(frozen=True, slots=True)
class WebhookState:
    """One webhook at one moment.

    Attributes:
        look: the number of looks at what happened; 0 if nothing is known yet.
        entries_id: the last entry of `events` that was read.
        runs_id: the last entry of `gc:runs` that was read.
        troubles: the troubles that are known: subject → since when (ms).
        waiting: the number of events that wait.
        oldest_ms: since when the oldest of them has waited; None if none waits.
        until_ms: nothing is sent before this time.
        attempts: failed attempts in a row.
        since_ms: the first of them.
        error: one sentence about the last of them.
        is_gone: True if the receiver answered that it does not want any more events.
        message_id: the last event of the message whose sending was begun and has not succeeded; "" for none.
        refusals: attempts with this message that the receiver refused.
        sent: events that were received, since the beginning.
        failed: failed attempts.
        dropped: events that were given up.
    """

    look: int = 0
    entries_id: str = "0"
    runs_id: str = "0"
    troubles: Mapping[str, int] = field(default_factory=dict)
    waiting: int = 0
    oldest_ms: int | None = None
    until_ms: int = 0
    attempts: int = 0
    since_ms: int = 0
    error: str = ""
    is_gone: bool = False
    message_id: str = ""
    refusals: int = 0
    sent: int = 0
    failed: int = 0
    dropped: int = 0


@dataclass(frozen=True, slots=True)
class Look:
    """The end of a look at what happened. It is recorded together with the events that were made from it."""

    entries_id: str
    runs_id: str
    troubles: Mapping[str, int]
    held: Sequence[str] = ()
    ended: Sequence[str] = ()


class Webhooks:
    """The webhooks in Redis. Every method raises StoreUnavailable when Redis is away."""

    def __init__(self, connection: Connection) -> None:
        self._connection, self._keys = connection, connection.keys

    def state(self, name: str) -> WebhookState:
        """Return the state of a webhook."""
        queue = self._keys.of("webhook_queue", name)
        with self._connection.redis.pipeline() as pipe:
            pipe.hgetall(self._keys.of("webhook", name))
            pipe.xlen(queue)
            pipe.xrange(queue, count=1)
            fields, waiting, first = pipe.execute()
        return WebhookState(
            look=int(fields.get("look", 0)),
            entries_id=fields.get("entries_id", "0"),
            runs_id=fields.get("runs_id", "0"),
            troubles=json.loads(fields.get("troubles", "{}")),
            waiting=waiting,
            oldest_ms=entry_ms(first[0][0]) if first else None,
            until_ms=int(fields.get("until_ms", 0)),
            attempts=int(fields.get("attempts", 0)),
            since_ms=int(fields.get("since_ms", 0)),
            error=fields.get("error", ""),
            is_gone="gone" in fields,
            message_id=fields.get("message_id", ""),
            refusals=int(fields.get("refusals", 0)),
            sent=int(fields.get("sent", 0)),
            failed=int(fields.get("failed", 0)),
            dropped=int(fields.get("dropped", 0)),
        )

    def holds(self, name: str) -> tuple[tuple[str, ...], tuple[str, ...]]:
        """Return the repositories with a hold that the webhook does not know, and those whose hold has ended."""
        known, held = self._keys.of("webhook_held", name), self._keys.of("held")
        with self._connection.redis.pipeline() as pipe:
            pipe.sdiff(held, known)
            pipe.sdiff(known, held)
            new, ended = pipe.execute()
        return tuple(sorted(new))[:_MOST_HOLDS], tuple(sorted(ended))[:_MOST_HOLDS]

    def queue(self, name: str, state: WebhookState, look: Look, events: Iterable[WebhookEvent] = ()) -> bool:
        """Put events into the queue of a webhook, and record how far it has looked, in one call.

        Args:
            state: at the beginning of this look.

        Returns:
            False if another worker has looked meanwhile; nothing is changed then.
        """
        counts = self._connection.run(
            "queue_webhook_events",
            NAME=name,
            look=state.look,
            entries_id=look.entries_id,
            runs_id=look.runs_id,
            troubles=json.dumps(look.troubles),
            is_first=state.look == 0,
            most=MOST_WAITING,
            keep_ms=KEEP_MS,
            life_s=_LIFE_S,
            held=look.held,
            ended=look.ended,
            events=[json.dumps(asdict(event)) for event in events],
        )
        return bool(counts)

    def next(self, name: str, count: int, until_id: str = "") -> tuple[tuple[str, WebhookEvent], ...]:
        """Return the events that have waited for longest, each with its id in the queue.

        until_id: the last event that is wanted; "" for no limit.
        """
        rows = self._connection.redis.xrange(self._keys.of("webhook_queue", name), max=until_id or "+", count=count)
        return tuple((identifier, WebhookEvent(**json.loads(row["event"]))) for identifier, row in rows)

    def begin(self, name: str, message_id: str) -> None:
        """Record which event is the last of the message that is sent now: a retry must have the same content."""
        self._connection.redis.hset(self._keys.of("webhook", name), mapping={"message_id": message_id, "refusals": 0})

    def succeeded(self, name: str, ids: Sequence[str], until_ms: int) -> None:
        """Remove the events of a message that was received. until_ms: the next message is not sent before."""
        self._end(name, ids, "sent", until_ms, ("attempts", "since_ms", "error"))

    def give_up(self, name: str, ids: Sequence[str]) -> None:
        """Remove the events of a message that the receiver does not take. The failed attempts remain counted."""
        self._end(name, ids, "dropped", 0)

    def failed(self, name: str, error: str, until_ms: int, now_ms: int, *, is_refused: bool = False) -> None:
        """Record a failed attempt.

        Args:
            until_ms: the next one is not made before.
            is_refused: True if the receiver does not take this message.
        """
        key = self._keys.of("webhook", name)
        with self._connection.redis.pipeline() as pipe:
            pipe.hincrby(key, "attempts", 1)
            pipe.hincrby(key, "failed", 1)
            pipe.hincrby(key, "refusals", int(is_refused))
            pipe.hsetnx(key, "since_ms", now_ms)
            pipe.hset(key, mapping={"error": error, "until_ms": until_ms})
            pipe.execute()

    def stop(self, name: str) -> None:
        """Record that the receiver does not want any more events."""
        self._connection.redis.hset(self._keys.of("webhook", name), "gone", 1)

    def reopen(self, name: str) -> None:
        """Send again to a receiver that did not want any more events: the operator may have corrected that."""
        self._connection.redis.hdel(self._keys.of("webhook", name), "gone")

    def _end(self, name: str, ids: Sequence[str], counter: str, until_ms: int, fields: Sequence[str] = ()) -> None:
        """Remove a message. fields: others to remove, about failed attempts."""
        key = self._keys.of("webhook", name)
        with self._connection.redis.pipeline() as pipe:
            pipe.xdel(self._keys.of("webhook_queue", name), *ids)
            pipe.hincrby(key, counter, len(ids))
            pipe.hdel(key, "message_id", "refusals", *fields)
            pipe.hset(key, "until_ms", until_ms)
            pipe.execute()
