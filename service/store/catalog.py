"""The catalog: what a listing says of each repository, read for many of them at once."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from service.domain.retention.state import Tag
from service.store.connection import Connection
from service.store.packing import unpack_live

_CHUNK = 500  # Redis serves others in between


@dataclass(frozen=True, slots=True)
class Shelf:
    """A repository at a glance. tags: live ones. pushed_us: the last push of them, None when none was seen.

    doomed: digests to be deleted next; dry: those that would be, but for dry_run.
    """

    repository: str
    tags: int
    pushed_us: int | None
    doomed: int
    dry: int = 0


class Catalog:
    """Raises StoreUnavailable when Redis is away."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._keys = connection.keys

    def is_known(self, repository: str) -> bool:
        """Whether anything is known of it."""
        with self._connection.reached() as client:
            return bool(client.hexists(self._keys.of("generation"), repository))

    def standing(self, repository: str, tag: str) -> Tag | None:
        """A live tag, without what pulls and configs say of it; None where it is not live."""
        with self._connection.reached() as client, client.pipeline() as pipe:
            pipe.zscore(self._keys.tags(repository), tag)
            pipe.hget(self._keys.live(repository), tag)
            score, live = pipe.execute()
        if score is None or live is None:
            return None
        return replace(unpack_live(tag, live), pushed_us=int(score) or None)

    def shelves(self, repositories: Sequence[str]) -> tuple[Shelf, ...]:
        """These repositories, in the same order."""
        return tuple(
            shelf
            for start in range(0, len(repositories), _CHUNK)
            for shelf in self._read(repositories[start : start + _CHUNK])
        )

    def _read(self, names: Sequence[str]) -> list[Shelf]:
        keys = [key(name) for name in names for key in (self._keys.tags, self._keys.doomed, self._keys.dry)]
        flat = self._connection.script("catalog", keys, [])
        rows = zip(names, flat[::4], flat[1::4], flat[2::4], flat[3::4], strict=True)
        return [Shelf(name, tags, int(float(newest)) or None, *counts) for name, tags, newest, *counts in rows]
