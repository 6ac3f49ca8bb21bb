"""The archive: the recorded history and pulls, read from the streams page by page."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from service.domain.history.entry import Entry
from service.domain.simulation.timeline import Kind, TimelineEvent
from service.store.chunks import AT_ONCE, by_id
from service.store.connection import Connection
from service.store.dictionary import Dictionary
from service.store.keys import entry_ms, paired
from service.store.limits import Limits
from service.store.packing import unpack_entry

_MOST_READ = 20_000

# The other actions in history:R (rescued, healed, lost) do not change where a tag points.
_KINDS: Mapping[str, Kind] = {
    "push": "pushed",
    "adopted": "adopted",
    "delete": "deleted",
    "vanished": "vanished",
    "pruned": "pruned",
    "still listed": "pruned",
}


@dataclass(frozen=True, slots=True)
class RejectedEvent:
    """An event that pushprune could not parse: when (`at_ms`), the reason, and the first characters of the event."""

    at_ms: int
    reason: str
    excerpt: str


@dataclass(frozen=True, slots=True)
class RecordedPush:
    """A manifest that was pushed. tag: "" if it was pushed by its digest."""

    repository: str
    tag: str
    digest: str


class Archive:
    """The recorded past. Every method raises StoreUnavailable when Redis is away."""

    def __init__(self, connection: Connection, limits: Limits | None = None) -> None:
        self._connection = connection
        self._keys = connection.keys
        self.limits = limits or Limits()

    def events(self, repository: str) -> tuple[TimelineEvent, ...]:
        """Return all recorded changes to the tags of a repository, without pulls.

        Always reads the whole record, whatever period the caller needs: the state at the start of a period follows from
        the changes before it. The order is that of arrival, which is not always chronological.
        """
        rows = map(Dictionary(self._connection).flat_row, self._rows(self._keys.of("history", repository)))
        return tuple(_event(_kind(row), row) for row in rows if row["action"] in _KINDS)

    def pulls(self) -> Mapping[str, tuple[TimelineEvent, ...]]:
        """Return the recorded pulls of clients: repository → its pulls, in the order of arrival.

        One read serves all repositories.
        """
        pulls: dict[str, list[TimelineEvent]] = {}
        for row in self._rows(self._keys.of("pulls")):
            pulls.setdefault(row["repository"], []).append(_event("pulled", row))
        return {repository: tuple(events) for repository, events in pulls.items()}

    def of_tag(self, repository: str, tag: str) -> tuple[Entry, ...]:
        """Return the entries of one tag, and those of its repository that name no tag, in the order of arrival."""
        flat = Dictionary(self._connection).flat_row
        # Only these are unpacked: most entries of a large repository are about other tags.
        return tuple(
            unpack_entry(identifier, flat(fields), repository)
            for identifier, fields in by_id(self._connection.redis, self._keys.of("history", repository))
            if fields["tag"] in (tag, "")
        )

    def after(self, identifier: str, actions: Sequence[str]) -> tuple[str, tuple[Entry, ...]]:
        """Return the id of the last entry that was read, and the entries with these actions after `identifier`.

        At most `_MOST_READ` entries are read; the next call continues after them.
        """
        entries: list[Entry] = []
        for _ in range(_MOST_READ // AT_ONCE):
            read, identifier, matches = self._connection.run(
                "read_actions", after=identifier, maximum=AT_ONCE, actions=actions
            )
            entries += (unpack_entry(name, paired(flat), None) for name, flat in matches)
            if read < AT_ONCE:
                break
        return identifier, tuple(entries)

    def rejected(self, count: int) -> tuple[RejectedEvent, ...]:
        """Return the newest events that pushprune could not parse, newest first."""
        rows = self._connection.redis.xrevrange(self._keys.of("rejected"), count=count)
        return tuple(RejectedEvent(entry_ms(name), row.get("reason", ""), row.get("excerpt", "")) for name, row in rows)

    def pushes_since(self, recorded_ms: int) -> tuple[RecordedPush, ...]:
        """Return the manifests whose push was recorded at `recorded_ms` or later, by the clock of Redis."""
        rows = self._rows(self._keys.of("events"), str(recorded_ms))
        return tuple(
            RecordedPush(row["repository"], row["tag"], row["digest"]) for row in rows if row["action"] == "push"
        )

    def pulls_from_us(self) -> int | None:
        """Return the time (µs) since which all pulls are known; None if no recorded pull was ever dropped."""
        stream = self._stream(self._keys.of("pulls"))
        # Before Redis 7 a stream does not report how many entries it ever had: there, the oldest entry left is the
        # answer.
        if not stream or stream.get("entries-added") == stream["length"]:
            return None
        return _oldest_ms(stream) * 1000

    def dropped_until_ms(self, repository: str | None) -> int | None:
        """Return the time before which entries of one repository or of all were dropped; None if none was dropped."""
        key = self._keys.of("history", repository) if repository else self._keys.of("events")
        stream = self._stream(key)
        if not stream:
            return None
        # Before Redis 7 a stream does not report how many entries it ever had: a full one counts as cut.
        most = self.limits.repository_entries if repository else self.limits.events
        added = stream.get("entries-added", stream["length"] + (stream["length"] >= most))
        return _oldest_ms(stream) if added > stream["length"] else None

    def is_full(self) -> bool:
        """True if there are as many events of all repositories as there may be."""
        return int(self._connection.redis.xlen(self._keys.of("events"))) >= self.limits.events

    def drop_before(self, at_ms: int) -> int:
        """Drop what was recorded before this time about all repositories; return the number of entries dropped."""
        with self._connection.redis.pipeline(transaction=False) as pipe:
            for name in ("events", "pulls", "rejected"):
                # Exactly: an approximate XTRIM leaves up to 100 entries, which a quiet registry would keep for ever.
                pipe.xtrim(self._keys.of(name), minid=at_ms, approximate=False)
            return sum(pipe.execute())

    def _stream(self, key: str) -> dict[str, Any]:
        client = self._connection.redis
        return client.xinfo_stream(key) if client.exists(key) else {}

    def _rows(self, key: str, after: str = "-") -> Iterator[Mapping[str, str]]:
        return (fields for _, fields in by_id(self._connection.redis, key, after))


def _oldest_ms(stream: Mapping[str, Any]) -> int:
    """Return when the oldest entry that is left was recorded; of an empty stream, the last one that it had."""
    first = stream["first-entry"]
    identifier: str = first[0] if first else stream["last-generated-id"]
    return entry_ms(identifier)


def _kind(row: Mapping[str, str]) -> Kind:
    """Return the kind of a history row. A "pruned" row without a rule was a manual deletion, so no policy caused it."""
    kind = _KINDS[row["action"]]
    return "deleted" if kind == "pruned" and not row["rule"] else kind


def _event(kind: Kind, row: Mapping[str, str]) -> TimelineEvent:
    return TimelineEvent(
        kind=kind,
        at_us=int(row["at_us"]),
        tag=row["tag"],
        digest=row["digest"],
        size_bytes=int(row.get("size") or 0),
        actor=row["actor"],
        useragent=row["agent"],
        address=row["address"],
    )
