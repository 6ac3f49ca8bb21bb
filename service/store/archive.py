"""The archive: what is recorded of the past, read from the streams page by page."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from service.domain.history.entry import Entry
from service.domain.simulation.timeline import Happening, Kind
from service.store.connection import Connection
from service.store.entry import entry_of

_PAGE = 1000

# Of what stands in history:R the rest (rescued, healed, lost) changes nothing that a tag points at.
_KINDS: Mapping[str, Kind] = {
    "push": "pushed",
    "adopted": "adopted",
    "delete": "deleted",
    "vanished": "vanished",
    "pruned": "pruned",
    "still listed": "pruned",
}


@dataclass(frozen=True, slots=True)
class Rejected:
    """An event that could not be understood, at_ms: why, and the beginning of what was sent."""

    at_ms: int
    reason: str
    excerpt: str


@dataclass(frozen=True, slots=True)
class Push:
    """A manifest that was pushed; tag: "" where it was pushed by its digest."""

    repository: str
    tag: str
    digest: str


class Archive:
    """The recorded past. Every method raises StoreUnavailable when Redis is away."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._keys = connection.keys

    def happenings(self, repository: str) -> tuple[Happening, ...]:
        """What happened to the tags of a repository, without pulls, as far back as it is recorded.

        All of it, whatever period is asked about: what stood there at its start follows from what came before. In the
        order of arrival, which is not always that of time.
        """
        rows = self._rows(self._keys.history(repository))
        return tuple(_happening(_kind(row), row) for row in rows if row["action"] in _KINDS)

    def pulls(self) -> Mapping[str, tuple[Happening, ...]]:
        """The recorded pulls by others: repository → pulls in the order of arrival. One reading serves all."""
        pulls: dict[str, list[Happening]] = {}
        for row in self._rows(self._keys.of("pulls")):
            pulls.setdefault(row["repository"], []).append(_happening("pulled", row))
        return {repository: tuple(found) for repository, found in pulls.items()}

    def newest(self, repository: str | None, count: int, before: str | None = None) -> tuple[Entry, ...]:
        """The newest entries of one repository or of all, the newest first; of those older than the id `before`."""
        key = self._keys.history(repository) if repository else self._keys.of("events")
        with self._connection.reached() as client:
            rows = client.xrevrange(key, max=f"({before}" if before else "+", count=count)
        return tuple(entry_of(identifier, fields, repository) for identifier, fields in rows)

    def rejected(self, count: int) -> tuple[Rejected, ...]:
        """The newest events that could not be understood, the newest first."""
        with self._connection.reached() as client:
            rows = client.xrevrange(self._keys.of("rejected"), count=count)
        return tuple(
            Rejected(int(name.partition("-")[0]), row.get("reason", ""), row.get("excerpt", "")) for name, row in rows
        )

    def pushes_since(self, recorded_ms: int) -> tuple[Push, ...]:
        """The manifests whose push was recorded then or later, by the clock of Redis."""
        rows = self._rows(self._keys.of("events"), str(recorded_ms))
        return tuple(Push(row["repository"], row["tag"], row["digest"]) for row in rows if row["action"] == "push")

    def pulls_from_us(self) -> int | None:
        """Since when pulls are known (µs); None when none that was ever recorded has been dropped.

        Before Redis 7 a stream does not tell how many entries it had: there the oldest that is left is the answer.
        """
        key = self._keys.of("pulls")
        with self._connection.reached() as client:
            if not client.exists(key):
                return None
            told = client.xinfo_stream(key)
        if not told["length"] or told.get("entries-added") == told["length"]:
            return None
        return int(told["first-entry"][0].partition("-")[0]) * 1000

    def _rows(self, key: str, after: str = "-") -> Iterator[Mapping[str, str]]:
        """One page after the other: one answer of everything would hold Redis, and everybody else, up."""
        while True:
            with self._connection.reached() as client:
                page = client.xrange(key, min=after, count=_PAGE)
            for _, fields in page:
                yield fields
            if len(page) < _PAGE:
                return
            after = f"({page[-1][0]}"


def _kind(row: Mapping[str, str]) -> Kind:
    """What went by no rule went by hand, which was no policy's doing."""
    kind = _KINDS[row["action"]]
    return "deleted" if kind == "pruned" and not row["rule"] else kind


def _happening(kind: Kind, row: Mapping[str, str]) -> Happening:
    return Happening(
        kind=kind,
        at_us=int(row["at_us"]),
        tag=row["tag"],
        digest=row["digest"],
        size_bytes=int(row.get("size") or 0),
        actor=row["actor"],
        useragent=row["agent"],
        address=row["address"],
    )
