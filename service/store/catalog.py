"""The catalog: the figures that a listing shows for each repository, read for many repositories at once."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import chain
from typing import Literal

from service.domain.page import Page, Place
from service.domain.retention.state import Tag
from service.store.chunks import AT_ONCE, chunks
from service.store.connection import Connection
from service.store.dictionary import Dictionary
from service.store.live_tags import unpack_live

IndexOrder = Literal["name", "-name", "pushed", "-pushed", "tags", "-tags"]
_INDEXES = {"name": "by_name", "pushed": "by_push", "tags": "by_tags"}


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
        return bool(self._connection.redis.hexists(self._keys.of("generation"), repository))

    def tag(self, repository: str, tag: str) -> Tag | None:
        """Return a live tag without its pulls and creation date; None if the tag is not live."""
        score, live = self._connection.run_undecoded("read_tag", repository, tag=tag)
        if score is None or live is None:
            return None
        return unpack_live(tag, live, Dictionary(self._connection).name, int(float(score)) or None)

    def summaries(self, repositories: Sequence[str]) -> tuple[RepositorySummary, ...]:
        """Return the figures of these repositories, in the same order."""
        return tuple(summary for names in chunks(repositories) for summary in self._read(names))

    def count(self) -> int:
        """Return the number of all repositories."""
        return int(self._connection.redis.zcard(self._keys.of("by_name")))

    def live_tags(self) -> int:
        """Return the number of all live tags."""
        return int(self._connection.redis.get(self._keys.of("live_tags")) or 0)

    def page(self, order: IndexOrder, after: Place | None, limit: int) -> Page[str]:
        """Return a page of the names of all repositories, in the order of an index."""
        index, descending = order.lstrip("-"), order.startswith("-")
        # All scores of the index by name are the same.
        score, name = ("0" if index == "name" else after[0], after[1]) if after else ("", "")
        count, more, *flat = self._connection.run(
            "repositories", INDEX=_INDEXES[index], descending=descending, score=score, after=name, limit=limit
        )
        names = tuple(flat[::2])
        if not more:
            return Page(names, None, count)
        last = names[-1] if index == "name" else int(float(flat[-1]))
        return Page(names, (last, names[-1]), count)

    def names(self, path: str) -> tuple[str, ...]:
        """Return the names of all repositories below a path such as shop/, sorted; "": of all."""
        # "0" is the character after "/": all names below shop/ come before shop0.
        start, end = (f"[{path}", f"({path[:-1]}0") if path else ("-", "+")
        names: list[str] = []
        while True:
            part = self._connection.redis.zrangebylex(self._keys.of("by_name"), start, end, start=0, num=AT_ONCE)
            names += part
            if len(part) < AT_ONCE:
                return tuple(names)
            start = f"({part[-1]}"

    def ranks(self, order: IndexOrder, repositories: Sequence[str]) -> dict[str, int]:
        """Return the last push (µs), or the number of live tags, of each of these repositories."""
        key = self._keys.of(_INDEXES[order.lstrip("-")])
        scores = [score for names in chunks(repositories) for score in self._connection.redis.zmscore(key, list(names))]
        return {name: int(score or 0) for name, score in zip(repositories, scores, strict=True)}

    def folders(self, path: str, most: int) -> tuple[tuple[str, int], ...]:
        """Return the folders directly below a path, each with the number of repositories in it.

        Args:
            path: such as shop/; "" for the top.
            most: the number of folders to return.
        """
        folders: list[tuple[str, int]] = []
        start = ""
        while len(folders) < most:
            start, *flat = self._connection.run("folders", path=path, start=start, most=most - len(folders))
            folders += zip(flat[::2], flat[1::2], strict=True)
            if not start:
                break
        return tuple(folders[:most])

    def correct_indexes(self) -> tuple[str, ...]:
        """Correct the indexes of all repositories, and return the repositories whose entries were wrong."""
        client = self._connection.redis
        names = {name for name, _ in client.hscan_iter(self._keys.of("generation"), count=AT_ONCE)}
        names |= {name for name, _ in client.zscan_iter(self._keys.of("by_name"), count=AT_ONCE)}
        wrong = (self._connection.run("correct_indexes", repositories=some) for some in chunks(sorted(names)))
        return tuple(chain.from_iterable(wrong))

    def doomed(self) -> tuple[str, ...]:
        """Return the repositories with images to delete next."""
        return tuple({name for name, _ in self._connection.redis.zscan_iter(self._keys.of("doomed"), count=AT_ONCE)})

    def planned_ms(self) -> dict[str, int]:
        """Return when each repository is planned again (ms); without those that only a push changes."""
        due = self._connection.redis.zscan_iter(self._keys.of("due"), count=AT_ONCE)
        return {name: int(score) for name, score in due if score}

    def planned_after(self, time_ms: int, most: int) -> tuple[str, ...]:
        """Return the first repositories that are planned again after this time, in the order of their times."""
        return tuple(
            self._connection.redis.zrangebyscore(self._keys.of("due"), f"({time_ms}", "+inf", start=0, num=most)
        )

    def _read(self, names: Sequence[str]) -> list[RepositorySummary]:
        flat = self._connection.run("summaries", repositories=names)
        rows = zip(names, *(flat[place::5] for place in range(5)), strict=True)
        return [
            RepositorySummary(name, tags, int(float(newest)) or None, doomed, dry, int(float(next_ms)) or None)
            for name, tags, newest, doomed, dry, next_ms in rows
        ]
