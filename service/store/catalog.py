"""The catalog: the figures that a listing shows for each repository, read for many repositories at once."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from time import monotonic, thread_time

from service.domain.retention.state import Tag
from service.store.connection import Connection
from service.store.packing import unpack_live
from service.store.usage import versions_of

# A script blocks Redis while it runs: between two chunks, Redis can serve other clients.
_CHUNK = 500
# An answer that takes more CPU time than _DEAR_S is remembered for _LASTS times as long, for _LONGEST_S at most.
_DEAR_S, _LASTS, _LONGEST_S = 0.25, 10, 30.0


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


@dataclass(frozen=True, slots=True)
class LiveTags:
    """The number of live tags of a repository and the last push of one (µs, 0 if no push was seen)."""

    version: str
    count: int
    pushed_us: int


class Catalog:
    """The figures of repositories in Redis. Every method raises StoreUnavailable when Redis is away."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._keys = connection.keys
        self._live_tags: Mapping[str, LiveTags] = {}
        self._fresh_until_s = 0.0

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

    def live_tags(self) -> Mapping[str, LiveTags]:
        """Return the number and the last push of the live tags of every repository.

        Of very many repositories, the answer is remembered for ten times as long as this process needed to read it,
        half a minute at most.
        """
        if monotonic() < self._fresh_until_s:
            return self._live_tags
        began_s = thread_time()
        # Only repositories whose version changed are read again.
        versions = versions_of(self._connection)
        known = self._live_tags
        current = {name: known[name] for name, version in versions.items() if _has(known, name, version)}
        changed = [name for name in versions if name not in current]
        for start in range(0, len(changed), _CHUNK):
            names = changed[start : start + _CHUNK]
            flat = self._connection.run("live_tags", repositories=names)
            for name, count, pushed_us in zip(names, flat[::2], flat[1::2], strict=True):
                current[name] = LiveTags(versions[name], count, int(float(pushed_us)))
        self._live_tags = current
        used_s = thread_time() - began_s
        if used_s > _DEAR_S:
            self._fresh_until_s = monotonic() + min(used_s * _LASTS, _LONGEST_S)
        return current

    def doomed(self) -> tuple[str, ...]:
        """Return the repositories with images to delete next."""
        with self._connection.reached() as client:
            names = client.zrange(self._keys.of("doomed"), 0, -1)
        return tuple(names)

    def planned_ms(self) -> dict[str, int]:
        """Return when each repository is planned again (ms); without those that only a push changes."""
        with self._connection.reached() as client:
            due = client.zrange(self._keys.of("due"), 0, -1, withscores=True)
        return {name: int(score) for name, score in due if score}

    def _read(self, names: Sequence[str]) -> list[RepositorySummary]:
        flat = self._connection.run("summaries", repositories=names)
        rows = zip(names, *(flat[place::5] for place in range(5)), strict=True)
        return [
            RepositorySummary(name, tags, int(float(newest)) or None, doomed, dry, int(float(next_ms)) or None)
            for name, tags, newest, doomed, dry, next_ms in rows
        ]


def _has(known: Mapping[str, LiveTags], repository: str, version: str) -> bool:
    return repository in known and known[repository].version == version
