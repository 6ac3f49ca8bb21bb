"""The storage that images use, as the workers measure it: of each repository, and of all over time."""

from collections.abc import Iterable, Mapping

from service.domain.usage import RepositorySize, Usage
from service.store.connection import Connection

# One record an hour for 400 days.
MOST_RECORDS = 9600
_PREFIX = "prefix "


class UsageRecords:
    """The measured storage in Redis. Every method raises StoreUnavailable if Redis is unavailable."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._of = connection.keys.of

    def note(self, usage: Usage, *, hourly: bool) -> None:
        """Store the usage as the current one, and (hourly) as a record of the stream as well."""
        fields = _packed(usage)
        with self._connection.reached() as client, client.pipeline() as pipe:
            pipe.delete(self._of("usage:now"))
            pipe.hset(self._of("usage:now"), mapping={"at_ms": usage.at_ms, **fields})
            if hourly:
                pipe.xadd(self._of("usage"), fields, maxlen=MOST_RECORDS, approximate=True)
            pipe.execute()

    def now(self) -> Usage | None:
        """Return the last measured usage, or None before the first measurement."""
        with self._connection.reached() as client:
            fields = client.hgetall(self._of("usage:now"))
        return _unpacked(int(fields["at_ms"]), fields) if fields else None

    def last_record_ms(self) -> int | None:
        """Return the time of the newest record of the stream, or None if there is none."""
        with self._connection.reached() as client:
            rows = client.xrevrange(self._of("usage"), count=1)
        return _time_ms(rows[0][0]) if rows else None

    def since(self, since_ms: int) -> tuple[Usage, ...]:
        """Return the hourly records since this time, the oldest first."""
        with self._connection.reached() as client:
            rows = client.xrange(self._of("usage"), min=max(since_ms, 0))
        return tuple(_unpacked(_time_ms(identifier), fields) for identifier, fields in rows)

    def sizes(self, repositories: Iterable[str] | None = None) -> dict[str, RepositorySize]:
        """Return the measured sizes of these repositories, or of all (None), as far as they are measured."""
        with self._connection.reached() as client:
            if repositories is None:
                packed = client.hgetall(self._of("sizes"))
            else:
                names = tuple(repositories)
                packed = dict(zip(names, client.hmget(self._of("sizes"), names), strict=True)) if names else {}
        return {name: _unpacked_size(text) for name, text in packed.items() if text}

    def note_size(self, repository: str, size: RepositorySize) -> None:
        """Store the measured size of a repository."""
        with self._connection.reached() as client:
            client.hset(self._of("sizes"), repository, _packed_size(size))

    def forget_sizes(self, repositories: Iterable[str]) -> None:
        """Forget the sizes of repositories that do not exist any more."""
        names = tuple(repositories)
        if names:
            with self._connection.reached() as client:
                client.hdel(self._of("sizes"), *names)


def _packed(usage: Usage) -> dict[str, int]:
    fields = {
        "size": usage.size_bytes,
        "shared": usage.shared_bytes,
        "other": usage.other_bytes,
        "unknown": usage.unknown,
        "repositories": usage.repositories,
    }
    return fields | {f"{_PREFIX}{name}": size for name, size in usage.prefixes.items()}


def _unpacked(at_ms: int, fields: Mapping[str, str]) -> Usage:
    return Usage(
        at_ms=at_ms,
        size_bytes=int(fields["size"]),
        prefixes={name.removeprefix(_PREFIX): int(size) for name, size in fields.items() if name.startswith(_PREFIX)},
        other_bytes=int(fields["other"]),
        shared_bytes=int(fields["shared"]),
        unknown=int(fields["unknown"]),
        repositories=int(fields["repositories"]),
    )


def _time_ms(identifier: str) -> int:
    return int(identifier.partition("-")[0])


def _packed_size(size: RepositorySize) -> str:
    days = (f"{day}:{day_bytes}" for day, day_bytes in size.days)
    return " ".join((str(size.size_bytes), str(size.unknown), size.generation, str(size.at_ms), *days))


def _unpacked_size(text: str) -> RepositorySize:
    size_bytes, unknown, generation, at_ms, *days = text.split(" ")
    pairs = (entry.split(":") for entry in days)
    return RepositorySize(
        int(size_bytes), int(unknown), generation, int(at_ms), tuple((int(day), int(size)) for day, size in pairs)
    )
