"""What there is and was: repositories, tags with their verdicts, where a tag stood when. For command line and API."""

from bisect import bisect_left, bisect_right
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from service.domain.errors import NoSuchRepository, NoSuchTag
from service.domain.history.entry import Entry
from service.domain.history.interval import Interval, intervals
from service.domain.page import Page, Place, page
from service.domain.policy.patterns import Matcher
from service.domain.retention.plan import Doomed, Verdict
from service.domain.retention.state import Tag
from service.reports.verdicts import Outlook, Weighed
from service.store.approvals import Hold
from service.store.archive import Archive
from service.store.catalog import Catalog, Shelf
from service.store.history import History

RepositoryOrder = Literal["name", "-name", "pushed", "-pushed", "tags", "-tags"]
TagOrder = Literal["name", "-name", "pushed", "-pushed", "pulled", "-pulled", "size", "-size"]

_SHELF_PLACES: dict[str, Callable[[Shelf], int | str]] = {
    "name": lambda shelf: shelf.repository,
    "pushed": lambda shelf: shelf.pushed_us or 0,
    "tags": lambda shelf: shelf.tags,
}
_TAG_PLACES: dict[str, Callable[[Tag], int | str]] = {
    "name": lambda tag: tag.name,
    "pushed": lambda tag: tag.pushed_us or 0,
    "pulled": lambda tag: tag.pulled_us or 0,
    "size": lambda tag: tag.size_bytes,
}
_PAGE = 1000
_MOST_READ = 100_000  # entries that one answer looks through


@dataclass(frozen=True, slots=True)
class Listed:
    """A live tag and its verdict. held: why the plan that would delete it waits for approval; None: none waits."""

    repository: str
    verdict: Verdict
    held: str | None


@dataclass(frozen=True, slots=True)
class Listing:
    """The live tags of a repository at one moment. waits: digest → why the plan that would delete it waits."""

    repository: str
    weighed: Weighed
    waits: Mapping[str, str]

    def page(
        self, found: Matcher, order: TagOrder = "-pushed", after: Place | None = None, limit: int | None = None
    ) -> Page[Listed]:
        """Those whose names are `found`, a page of them or all. Only what is on the page is decided."""
        place, tags = _TAG_PLACES[order.lstrip("-")], self.weighed.tags
        chosen = page(
            (tag for tag in tags if found(tag.name)),
            lambda tag: (place(tag), tag.name),
            descending=order.startswith("-"),
            after=after,
            limit=len(tags) + 1 if limit is None else limit,
        )
        return Page(tuple(map(self._listed, chosen.rows)), chosen.after, chosen.total)

    def _listed(self, tag: Tag) -> Listed:
        verdict = self.weighed.verdict(tag)
        return Listed(self.repository, verdict, None if verdict.kept else self.waits.get(tag.digest))


@dataclass(frozen=True, slots=True)
class Told:
    """Entries of a history, the newest first. before: the id that older ones stand before; None: there are none."""

    entries: tuple[Entry, ...]
    before: str | None


@dataclass(frozen=True, slots=True)
class Planned:
    """What is planned for a repository. going: to be deleted next; would_go: that would be, but for dry_run.

    held: the plan that waits for approval; None: none does.
    """

    repository: str
    going: tuple[Doomed, ...]
    would_go: tuple[Doomed, ...]
    held: Hold | None


@dataclass(frozen=True)
class Inventory:
    """Answers from what is recorded; nothing is changed by asking. Raises StoreUnavailable when Redis is away."""

    history: History
    catalog: Catalog
    archive: Archive
    outlook: Outlook

    def known(self, repository: str) -> str:
        """The same name. Raises NoSuchRepository where nothing is known of it."""
        if not self.catalog.is_known(repository):
            raise NoSuchRepository(f"no repository {repository!r} is known")
        return repository

    def repositories(
        self,
        found: Matcher,
        order: RepositoryOrder = "name",
        after: Place | None = None,
        limit: int = _PAGE,
    ) -> Page[Shelf]:
        """The repositories whose names are `found`, a page of them. after: of the page before."""
        names = tuple(filter(found, self.history.repositories()))
        by, descending = order.lstrip("-"), order.startswith("-")
        if by == "name":
            return self._by_name(names, descending=descending, after=after, limit=limit)
        place = _SHELF_PLACES[by]
        return page(
            self.catalog.shelves(names),
            lambda shelf: (place(shelf), shelf.repository),
            descending=descending,
            after=after,
            limit=limit,
        )

    def _by_name(self, names: Sequence[str], *, descending: bool, after: Place | None, limit: int) -> Page[Shelf]:
        """Only what stands on the page is read. names: sorted."""
        total = len(names)
        if descending:
            behind = names[: bisect_left(names, after[1])] if after else names
            chosen = tuple(reversed(behind[-limit:]))
        else:
            behind = names[bisect_right(names, after[1]) :] if after else names
            chosen = tuple(behind[:limit])
        following: Place | None = (chosen[-1], chosen[-1]) if len(behind) > limit else None
        return Page(self.catalog.shelves(chosen), following, total)

    def tags(
        self,
        repository: str,
        found: Matcher,
        order: TagOrder = "-pushed",
        after: Place | None = None,
        limit: int | None = None,
    ) -> Page[Listed]:
        """The live tags of a repository whose names are `found`, a page of them or all."""
        return self.listing(repository).page(found, order, after, limit)

    def listing(self, repository: str) -> Listing:
        """The live tags of a repository as they stand now."""
        waits = {digest: hold.reason for hold in self.history.holds([repository]) for digest in hold.digests}
        return Listing(repository, self.outlook.weighed(repository), waits)

    def planned(self, found: Matcher, after: Place | None = None, limit: int = _PAGE) -> Page[Planned]:
        """The repositories for which something is planned, by name, a page of them."""
        names = tuple(filter(found, self.history.repositories()))
        holds = {hold.repository: hold for hold in self.history.holds(names)}
        shelves = self.catalog.shelves(names)
        some = [one.repository for one in shelves if one.doomed or one.dry or one.repository in holds]
        chosen = page(some, lambda name: (name, name), descending=False, after=after, limit=limit)
        rows = (
            Planned(name, self.history.doomed(name), self.history.doomed(name, dry=True), holds.get(name))
            for name in chosen.rows
        )
        return Page(tuple(rows), chosen.after, chosen.total)

    def told(
        self, repository: str | None, wanted: Callable[[Entry], bool], before: str | None = None, limit: int = 100
    ) -> Told:
        """The newest entries that are `wanted`, of one repository or of all, older than the id `before`."""
        entries: list[Entry] = []
        read, last = 0, before
        for batch in self._batches(repository, before):
            for entry in batch:
                if wanted(entry):
                    entries.append(entry)
                last = entry.id
                if len(entries) == limit:
                    return Told(tuple(entries), last if self._is_older(repository, last) else None)
            read += len(batch)
            if read >= _MOST_READ:
                return Told(tuple(entries), last)
        return Told(tuple(entries), None)

    def _is_older(self, repository: str | None, before: str) -> bool:
        return bool(self.archive.newest(repository, 1, before))

    def _batches(self, repository: str | None, before: str | None) -> Iterator[tuple[Entry, ...]]:
        while batch := self.archive.newest(repository, _PAGE, before):
            yield batch
            if len(batch) < _PAGE:
                return
            before = batch[-1].id

    def intervals(self, repository: str, tag: str) -> tuple[Interval, ...]:
        """Where a tag stood, the latest first. Raises NoSuchTag where nothing was ever heard of it."""
        entries = [entry for batch in self._batches(repository, None) for entry in batch]
        standing = self.catalog.standing(repository, tag)
        found = intervals(tag, reversed(entries), standing)
        if not found and not any(entry.tag == tag for entry in entries):
            raise NoSuchTag(f"nothing is known of a tag {tag!r} in {repository!r}")
        return found
