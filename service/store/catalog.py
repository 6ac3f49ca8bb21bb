"""The catalog: the figures that a listing shows for each repository, read for many repositories at once."""

from collections.abc import Sequence
from dataclasses import dataclass

from service.domain.retention.state import Tag
from service.store.connection import Connection
from service.store.packing import unpack_live

# A script blocks Redis while it runs: between two chunks, Redis can serve other clients.
_CHUNK = 500


@dataclass(frozen=True, slots=True)
class RepositorySummary:
    """The figures of one repository.

    Attributes:
        tags: number of live tags.
        pushed_us: the last push of a live tag (µs), None if no push was seen.
        doomed: number of digests to delete next.
        next_ms: when the repository is planned again, because time alone may change the plan; None: only after a push.
        dry: number of digests that would be deleted if the policy had no dry_run.
    """

    repository: str
    tags: int
    pushed_us: int | None
    doomed: int
    dry: int = 0
    next_ms: int | None = None


class Catalog:
    """The figures of repositories in Redis. Every method raises StoreUnavailable when Redis is away."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._keys = connection.keys

    def is_known(self, repository: str) -> bool:
        """Return True if anything is recorded about the repository."""
        with self._connection.reached() as client:
            return bool(client.hexists(self._keys.of("generation"), repository))

    def tag(self, repository: str, tag: str) -> Tag | None:
        """Return a live tag without its pulls and creation date; None if the tag is not live."""
        with self._connection.reached() as client, client.pipeline() as pipe:
            pipe.zscore(self._keys.of("tags", repository), tag)
            pipe.hget(self._keys.of("live", repository), tag)
            score, live = pipe.execute()
        if score is None or live is None:
            return None
        return unpack_live(tag, live, int(score) or None)

    def summaries(self, repositories: Sequence[str]) -> tuple[RepositorySummary, ...]:
        """Return the figures of these repositories, in the same order."""
        return tuple(
            summary
            for start in range(0, len(repositories), _CHUNK)
            for summary in self._read(repositories[start : start + _CHUNK])
        )

    def _read(self, names: Sequence[str]) -> list[RepositorySummary]:
        flat = self._connection.run("summaries", repositories=names)
        rows = zip(names, *(flat[place::5] for place in range(5)), strict=True)
        return [
            RepositorySummary(name, tags, int(float(newest)) or None, doomed, dry, int(float(next_ms)) or None)
            for name, tags, newest, doomed, dry, next_ms in rows
        ]
