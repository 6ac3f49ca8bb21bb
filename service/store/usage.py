"""The storage that images use, as the workers measure it: of each repository, and of all over time."""

from collections.abc import Iterable, Iterator, Mapping, Sequence

from service.domain.retention.state import Tag
from service.domain.usage import RepositorySize, Usage
from service.store.chunks import AT_ONCE, chunks
from service.store.connection import Connection
from service.store.keys import entry_ms, short
from service.store.packing import unpack_layers

# One record an hour for 400 days.
MOST_RECORDS = 9600
_PREFIX = "prefix "
# Redis serves other clients between two requests.
_REPOSITORIES_AT_ONCE = 50


class UsageRecords:
    """The measured storage in Redis. Every method raises StoreUnavailable if Redis is unavailable."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._of = connection.keys.of

    def now_ms(self) -> int:
        """Return the time of the Redis server (ms)."""
        return self._connection.now_ms()

    def note(self, usage: Usage, *, hourly: bool) -> None:
        """Store the usage as the current one, and (hourly) as a record of the stream as well."""
        fields = pack_usage(usage)
        with self._connection.redis.pipeline() as pipe:
            pipe.delete(self._of("usage:now"))
            pipe.hset(self._of("usage:now"), mapping={"at_ms": usage.at_ms, **fields})
            if hourly:
                pipe.xadd(self._of("usage"), fields, maxlen=MOST_RECORDS, approximate=True)
            pipe.execute()

    def now(self) -> Usage | None:
        """Return the last measured usage, or None before the first measurement."""
        fields = self._connection.redis.hgetall(self._of("usage:now"))
        return _unpacked(int(fields["at_ms"]), fields) if fields else None

    def last_record_ms(self) -> int | None:
        """Return the time of the newest record of the stream, or None if there is none."""
        rows = self._connection.redis.xrevrange(self._of("usage"), count=1)
        return entry_ms(rows[0][0]) if rows else None

    def since(self, since_ms: int) -> tuple[Usage, ...]:
        """Return the hourly records since this time, the oldest first."""
        rows = self._connection.redis.xrange(self._of("usage"), min=max(since_ms, 0))
        return tuple(_unpacked(entry_ms(identifier), fields) for identifier, fields in rows)

    def sizes(self, repositories: Iterable[str] | None = None) -> dict[str, RepositorySize]:
        """Return the measured sizes of these repositories, or of all (None), as far as they are measured."""
        client = self._connection.redis
        if repositories is None:
            packed = dict(client.hscan_iter(self._of("sizes"), count=AT_ONCE))
        else:
            names = tuple(repositories)
            texts = [text for part in chunks(names) for text in client.hmget(self._of("sizes"), part)]
            packed = dict(zip(names, texts, strict=True))
        return {name: _unpacked_size(text) for name, text in packed.items() if text}

    def size_bytes(self) -> dict[str, int]:
        """Return the size of each measured repository. Much cheaper than `sizes` for all of them."""
        packed = dict(self._connection.redis.hscan_iter(self._of("sizes"), count=AT_ONCE))
        return {name: int(text[: text.index(" ")]) for name, text in packed.items()}

    def note_size(self, repository: str, size: RepositorySize) -> None:
        """Store the measured size of a repository."""
        self._connection.redis.hset(self._of("sizes"), repository, _packed_size(size))

    def note_image_sizes(self, repository: str, sizes: Mapping[Tag, int]) -> None:
        """Store the sizes of the images that these tags point at. A tag that has moved since is left alone."""
        rows = [{"tag": tag.name, "short": short(tag.digest), "size": size} for tag, size in sizes.items()]
        for part in chunks(rows):
            self._connection.run("size", repository, sizes=part)

    def changed(self) -> tuple[str, ...]:
        """Return the repositories that changed since they were measured, those that waited longest first.

        The sizes of repositories that do not exist any more are forgotten.
        """
        versions = versions_of(self._connection)
        sizes = self.sizes()
        if gone := sizes.keys() - versions.keys():
            for part in chunks(tuple(gone)):
                self._connection.redis.hdel(self._of("sizes"), *part)
        stale = [
            (sizes[name].at_ms if name in sizes else 0, name)
            for name, version in versions.items()
            if name not in sizes or sizes[name].version != version
        ]
        return tuple(name for _, name in sorted(stale))

    def shrunk(self, repository: str) -> str | None:
        """Return how many manifests pushprune deleted in the repository; None: no manifest."""
        count: str | None = self._connection.redis.hget(self._of("shrunk"), repository)
        return count

    def blobs(self, repositories: Sequence[str]) -> Iterator[tuple[str, tuple[tuple[str, int], ...]]]:
        """Yield each repository with the (mark, size in bytes) of its known blobs, each blob once."""
        for names in chunks(repositories, _REPOSITORIES_AT_ONCE):
            with self._connection.redis.pipeline(transaction=False) as pipe:
                for name in names:
                    pipe.hvals(self._of("layers", name))
                packed = pipe.execute()
            for name, texts in zip(names, packed, strict=True):
                # A word names a blob and its size, so that equal words are sorted out before they are read.
                yield name, unpack_layers(" ".join(set(" ".join(texts).split())))


def versions_of(connection: Connection) -> dict[str, str]:
    """Return the version of each repository: it changes with its tags, and with each deletion by pushprune."""
    # In parts, because one answer about 500,000 repositories would keep Redis from all other work. A repository
    # that changes between the two has an old version, which the next call finds changed.
    generations, shrunk = (
        dict(connection.redis.hscan_iter(connection.keys.of(name), count=AT_ONCE)) for name in ("generation", "shrunk")
    )
    return {name: version(generation, shrunk.get(name)) for name, generation in generations.items()}


def version(generation: str, shrunk: str | None) -> str:
    """Return the version of a repository, which a measurement notes."""
    return f"{generation}+{shrunk or 0}"


def pack_usage(usage: Usage) -> dict[str, int]:
    """Return the fields of a record of the stream."""
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


def _packed_size(size: RepositorySize) -> str:
    days = (f"{day}:{day_bytes}" for day, day_bytes in size.days)
    return " ".join((str(size.size_bytes), str(size.unknown), size.version, str(size.at_ms), *days))


def _unpacked_size(text: str) -> RepositorySize:
    size_bytes, unknown, version, at_ms, *days = text.split(" ")
    pairs = (entry.split(":") for entry in days)
    return RepositorySize(
        int(size_bytes), int(unknown), version, int(at_ms), tuple((int(day), int(size)) for day, size in pairs)
    )
