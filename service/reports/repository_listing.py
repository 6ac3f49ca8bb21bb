"""List the repositories: their tags, last push, size and growth, in any order."""

import sys
from bisect import bisect_left, bisect_right
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final, Literal

from service.domain.page import Page, Place, page
from service.domain.policy.patterns import Matcher
from service.domain.retention.selector import every_name
from service.domain.usage import RepositorySize
from service.store.approvals import Approvals
from service.store.catalog import Catalog, IndexOrder, RepositorySummary
from service.store.chunks import chunks
from service.store.history import History
from service.store.usage import UsageRecords

RepositoryOrder = Literal[
    "name", "-name", "pushed", "-pushed", "tags", "-tags", "size", "-size", "doomed", "-doomed", "expires", "-expires"
]  # fmt: skip
RepositoryStatus = Literal["delete", "held"]
# A repository that is due within this time is planned at once, for example after a push.
_SOON_MS = 60_000
_PAGE = 1000
# Rows that are read in one call.
_BLOCK = 500
_INDEXED: Final = ("name", "-name", "pushed", "-pushed", "tags", "-tags")
# The largest part of an index that is read in one call.
_MOST_INDEXED = 1000


@dataclass(frozen=True, slots=True)
class ListedRepository:
    """The summary of a repository.

    Attributes:
        pushed_us: the last push of a live tag, None if no push was recorded.
        doomed: number of images and tags to delete next.
        held: the reason why its plan waits for approval; None if no plan waits.
        next_us: the earliest time (µs) of a further deletion by age, when the repository is planned again; None: only
            after a push.
        unannounced: number of tags that are kept only because the events of their pushes were lost.
        size_bytes: of its configs and layers, each counted once; None if it was not measured yet. Other repositories
            may share some of them, so that all sizes can add up to more than the storage used.
        unsized: number of tags whose size is not known and left out: then say "at least".
        growth_bytes: the change of the size within seven days; None if that is not known.
        measured_ms: when the size was measured; None for never. A change shows within seconds, or minutes if there is
            much to measure.
    """

    repository: str
    tags: int
    pushed_us: int | None
    doomed: int
    held: str | None
    unannounced: int
    next_us: int | None = None
    size_bytes: int | None = None
    unsized: int = 0
    growth_bytes: int | None = None
    measured_ms: int | None = None


@dataclass(frozen=True, slots=True)
class SizedRepository:
    """A repository and its size, for a map of the storage."""

    repository: str
    size_bytes: int


@dataclass(frozen=True)
class RepositoryListing:
    """The repositories in Redis. Every method raises StoreUnavailable if Redis is unavailable."""

    history: History
    catalog: Catalog
    approvals: Approvals
    usage: UsageRecords

    def page(
        self,
        matches: Matcher,
        order: RepositoryOrder = "name",
        after: Place | None = None,
        limit: int = _PAGE,
        *,
        status: RepositoryStatus | None = None,
        under: str = "",
    ) -> Page[ListedRepository]:
        """Return a page of the repositories whose names match.

        Args:
            status: delete: only repositories with images to delete next; held: only with a plan that waits; None: all.
            under: a path such as shop/, below which the repositories are; "": all.
        """
        chosen = self._names(matches, order, after, limit, status, under)
        return Page(self._listed(self.catalog.summaries(chosen.rows)), chosen.after, chosen.total)

    def rows(
        self, matches: Matcher, order: RepositoryOrder, limit: int, status: RepositoryStatus | None
    ) -> tuple[int, Iterator[ListedRepository]]:
        """Return the number of the repositories whose names match, and the first `limit` of them.

        The names and their order are read at once, all else while the rows are taken.
        """
        if order in ("name", "-name") and _is_of_all(matches, status):
            blocks = self._blocks_by_name(order, limit)
            total = self.catalog.count()
        else:
            chosen = self._names(matches, order, None, limit, status)
            blocks = chunks(chosen.rows, _BLOCK)
            total = chosen.total
        return total, (row for names in blocks for row in self._listed(self.catalog.summaries(names)))

    def _blocks_by_name(self, order: IndexOrder, limit: int) -> Iterator[Sequence[str]]:
        """Yield the first `limit` names in parts, so that the first rows need not wait for all names."""
        after: Place | None = None
        while limit > 0:
            part = self.catalog.page(order, after, min(limit, _MOST_INDEXED))
            yield part.rows
            limit, after = limit - len(part.rows), part.after
            if after is None:
                return

    def _names(
        self,
        matches: Matcher,
        order: RepositoryOrder,
        after: Place | None,
        limit: int,
        status: RepositoryStatus | None,
        under: str = "",
    ) -> Page[str]:
        """Return a page of the names that match."""
        # A longer listing is read at once: in pages by push, a repository that is pushed to meanwhile would be missed.
        if order in _INDEXED and limit <= _MOST_INDEXED and not under and _is_of_all(matches, status):
            return self.catalog.page(order, after, limit)
        names = tuple(filter(matches, self._with_status(status, under)))
        by, descending = order.lstrip("-"), order.startswith("-")
        if by == "name":
            return _page_by_name(names, descending=descending, after=after, limit=limit)
        ranks, rank_of_others = self._ranks(by, names)
        return page(
            names,
            lambda name: (ranks.get(name, rank_of_others), name),
            descending=descending, after=after, limit=limit,
        )  # fmt: skip

    def of(self, repository: str) -> ListedRepository:
        """Return the row of one repository, without a look at the others."""
        return self._listed(self.catalog.summaries([repository]))[0]

    def folders(self, path: str, most: int) -> tuple[tuple[str, int], ...]:
        """The first `most` folders directly below a path such as shop/, each with the number of its repositories."""
        return self.catalog.folders(path, most)

    def largest(self, matches: Matcher) -> tuple[SizedRepository, ...]:
        """Return the repositories whose names match and whose size is known, the largest first."""
        sized = (
            SizedRepository(name, size_bytes) for name, size_bytes in self.usage.size_bytes().items() if matches(name)
        )
        return tuple(sorted(sized, key=lambda row: (-row.size_bytes, row.repository)))

    def next_deletions(self, count: int) -> tuple[ListedRepository, ...]:
        """Return the repositories with the next deletions: first those to make now, then by the time."""
        doomed = self._doomed()
        # Those with deletions to make fill the list, or are fewer than `count` of these.
        later = self.catalog.planned_after(self.usage.now_ms() + _SOON_MS, 2 * count)
        names = (*sorted(doomed), *(name for name in later if name not in doomed))
        return self._listed(self.catalog.summaries(names[:count]))

    def _with_status(self, status: RepositoryStatus | None, under: str) -> Sequence[str]:
        """Return the names of the repositories of this status below a path, in order."""
        names = self.catalog.names(under)
        if status == "held":
            return sorted(hold.repository for hold in self.approvals.holds(names))
        if status == "delete":
            return sorted(self._doomed().keys() & frozenset(names))
        return names

    def _ranks(self, by: str, names: Sequence[str]) -> tuple[Mapping[str, int], int]:
        """Return the sort key of these repositories, and that of those without one."""
        if by == "size":
            # Without a size comes behind every size, also behind that of an empty repository.
            return self.usage.size_bytes(), -1
        if by == "doomed":
            return self._doomed(), 0
        if by == "expires":
            # Repositories with deletions to make come first, those that only a push changes last.
            return self.catalog.planned_ms() | dict.fromkeys(self._doomed(), 0), sys.maxsize
        return self.catalog.ranks("tags" if by == "tags" else "pushed", names), 0

    def _doomed(self) -> dict[str, int]:
        """Return the number of images to delete next by repository, without repositories that have none."""
        summaries = self.catalog.summaries(self.catalog.doomed())
        return {summary.repository: summary.doomed for summary in summaries if summary.doomed}

    def _listed(self, rows: Sequence[RepositorySummary]) -> tuple[ListedRepository, ...]:
        names = [row.repository for row in rows]
        reasons = {hold.repository: hold.reason for hold in self.approvals.holds(names)}
        unannounced, sizes = self.history.unannounced(names), self.usage.sizes(names)
        now_ms = self.usage.now_ms()

        def listed(row: RepositorySummary, size: RepositorySize | None) -> ListedRepository:
            return ListedRepository(
                repository=row.repository,
                tags=row.tags,
                pushed_us=row.pushed_us,
                doomed=row.doomed,
                held=reasons.get(row.repository),
                unannounced=unannounced.get(row.repository, 0),
                next_us=row.next_ms * 1000 if row.next_ms else None,
                size_bytes=size.size_bytes if size else None,
                unsized=size.unknown if size else 0,
                growth_bytes=size.growth_bytes(now_ms) if size else None,
                measured_ms=size.at_ms if size else None,
            )

        return tuple(listed(row, sizes.get(row.repository)) for row in rows)


def _is_of_all(matches: Matcher, status: RepositoryStatus | None) -> bool:
    return matches is every_name and status is None


def _page_by_name(names: Sequence[str], *, descending: bool, after: Place | None, limit: int) -> Page[str]:
    """Return a page of the names. names: all of them, sorted."""
    if descending:
        behind = names[: bisect_left(names, after[1])] if after else names
        chosen = tuple(reversed(behind[-limit:]))
    else:
        behind = names[bisect_right(names, after[1]) :] if after else names
        chosen = tuple(behind[:limit])
    following: Place | None = (chosen[-1], chosen[-1]) if len(behind) > limit else None
    return Page(chosen, following, len(names))
