"""List repositories, tags with their verdicts, plans and the past of tags, for the command line and the API."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property

from service.domain.errors import NoSuchRepository, NoSuchTag
from service.domain.history.entry import Entry
from service.domain.history.interval import Interval, intervals
from service.domain.page import Page, Place, page
from service.domain.policy.patterns import Matcher
from service.domain.retention.plan import Doomed
from service.domain.simulation.timeline import Timeline
from service.reports.repository_listing import RepositoryListing
from service.reports.tag_listing import TagListing
from service.reports.verdicts import Verdicts
from service.store.approvals import Approvals, Hold
from service.store.archive import Archive, RejectedEvent
from service.store.catalog import Catalog
from service.store.facts import RegistryFacts
from service.store.history import History
from service.store.usage import UsageRecords

_PAGE = 1000
# The number of history entries that one answer may read.
_MOST_READ = 100_000


@dataclass(frozen=True, slots=True)
class InventoryTotals:
    """The totals of all repositories. held: the number of plans that wait for approval."""

    repositories: int
    tags: int
    doomed: int
    held: int


@dataclass(frozen=True, slots=True)
class HistoryPage:
    """Entries of a history, the newest first.

    Attributes:
        before: the id of the oldest entry that was read, to ask for older entries; None if there are no older ones.
        dropped: the reason why older entries were dropped, for users; "" if none was, or if these are not the oldest.
    """

    entries: tuple[Entry, ...]
    before: str | None
    dropped: str = ""


@dataclass(frozen=True, slots=True)
class PendingPlan:
    """The plan of a repository.

    Attributes:
        deletions: the images that are deleted next.
        dry_run_deletions: the images that would be deleted without `dry_run`.
        held: the plan that waits for approval; None if no plan waits.
    """

    repository: str
    deletions: tuple[Doomed, ...]
    dry_run_deletions: tuple[Doomed, ...]
    held: Hold | None


@dataclass(frozen=True)
class Inventory:
    """Answers from Redis that change nothing. Every method raises StoreUnavailable if Redis is unavailable."""

    history: History
    facts: RegistryFacts
    catalog: Catalog
    archive: Archive
    verdicts: Verdicts
    approvals: Approvals
    usage: UsageRecords

    def known(self, repository: str) -> str:
        """Return the same name. Raises NoSuchRepository if the repository is not known."""
        if not self.catalog.is_known(repository):
            raise NoSuchRepository(f"no repository {repository!r} is known")
        return repository

    def is_known(self, repository: str) -> bool:
        """True if anything is recorded about the repository."""
        return self.catalog.is_known(repository)

    def names(self) -> tuple[str, ...]:
        """The names of all known repositories, in order."""
        return self.history.repositories()

    def tag_names(self, repository: str) -> tuple[str, ...]:
        """The names of the live tags of a repository."""
        return self.history.tag_names(repository)

    def generation(self, repository: str) -> str:
        """The generation of a repository, which changes with each of its changes."""
        return self.history.generation(repository)

    def layers(self, repository: str, digests: Iterable[str] | None = None) -> dict[str, tuple[tuple[str, int], ...]]:
        """The (mark, size) of each config and layer of these images (None: all), as far as known, by digest."""
        return self.facts.layers(repository, digests)

    def totals(self) -> InventoryTotals:
        """The totals of all repositories."""
        doomed = sum(summary.doomed for summary in self.catalog.summaries(self.catalog.doomed()))
        return InventoryTotals(self.catalog.count(), self.catalog.live_tags(), doomed, len(self.approvals.holds()))

    @cached_property
    def repositories(self) -> RepositoryListing:
        """The listing of the repositories."""
        return RepositoryListing(self.history, self.catalog, self.approvals, self.usage)

    def listing(self, repository: str) -> TagListing:
        """The live tags of a repository at this moment."""
        waits = {digest: hold.reason for hold in self.approvals.holds([repository]) for digest in hold.digests}
        return TagListing(repository, self.verdicts.live(repository), waits)

    def plans(self, matches: Matcher, after: Place | None, limit: int) -> Page[PendingPlan]:
        """Return a page of the repositories that have a plan, by name."""
        names = tuple(filter(matches, self.history.repositories()))
        holds = {hold.repository: hold for hold in self.approvals.holds(names)}
        summaries = self.catalog.summaries(names)
        planned = [
            summary.repository for summary in summaries if summary.doomed or summary.dry or summary.repository in holds
        ]
        chosen = page(planned, lambda name: (name, name), descending=False, after=after, limit=limit)
        rows = (
            PendingPlan(name, self.history.doomed(name), self.history.doomed(name, dry=True), holds.get(name))
            for name in chosen.rows
        )
        return Page(tuple(rows), chosen.after, chosen.total)

    def last_entry(self, repository: str, tag: str, count: int) -> Entry | None:
        """The entry of a tag with the latest time, among the newest `count` entries of its repository."""
        of_tag = (entry for entry in self.history.entries(repository, count) if entry.tag == tag)
        return max(of_tag, key=lambda entry: entry.at_us, default=None)

    def timelines(self, names: Iterable[str]) -> Iterator[Timeline]:
        """Yield the recorded past of each of these repositories."""
        pulls = self.archive.pulls()
        for name in names:
            yield Timeline(self.history.snapshot(name), (*self.archive.events(name), *pulls.get(name, ())))

    def pulls_from_us(self) -> int | None:
        """The time since which all pulls are recorded (µs); None if no pull is recorded."""
        return self.archive.pulls_from_us()

    def rejected(self, count: int) -> tuple[RejectedEvent, ...]:
        """The newest events that were rejected."""
        return self.archive.rejected(count)

    def entries(
        self, repository: str | None, wanted: Callable[[Entry], bool], before: str | None = None, limit: int = 100
    ) -> HistoryPage:
        """Return the newest entries of one repository, or of all, for which `wanted` returns True.

        Args:
            before: return only entries that are older than the entry with this id.
        """
        entries: list[Entry] = []
        read, last = 0, before
        for batch in self._batches(repository, before):
            for entry in batch:
                if wanted(entry):
                    entries.append(entry)
                last = entry.id
                if len(entries) == limit:
                    if self.history.entries(repository, 1, last):
                        return HistoryPage(tuple(entries), last)
                    return self._last_page(repository, entries)
            read += len(batch)
            # The caller can continue from here: a filter that matches little must not read the whole history at once.
            if read >= _MOST_READ:
                return HistoryPage(tuple(entries), last)
        return self._last_page(repository, entries)

    def _last_page(self, repository: str | None, entries: Sequence[Entry]) -> HistoryPage:
        dropped, limits = "", self.archive.limits
        if self.archive.dropped_until_ms(repository) is not None:
            limit = f"history.repository_entries keeps the newest {limits.repository_entries:,} of a repository"
            if not repository:
                limit = f"history.events keeps the newest {limits.events:,}, for history.max_age at most"
            dropped = f"Older events were dropped: {limit}."
        return HistoryPage(tuple(entries), None, dropped)

    def _batches(self, repository: str | None, before: str | None) -> Iterator[tuple[Entry, ...]]:
        while batch := self.history.entries(repository, _PAGE, before):
            yield batch
            if len(batch) < _PAGE:
                return
            before = batch[-1].id

    def intervals(self, repository: str, tag: str) -> tuple[Interval, ...]:
        """The digests at which a tag pointed, each with its times, the latest first.

        Raises:
            NoSuchTag: the tag was never reported.
        """
        entries = self.archive.of_tag(repository, tag)
        standing = self.catalog.tag(repository, tag)
        periods = intervals(tag, entries, standing)
        if not periods and not any(entry.tag == tag for entry in entries):
            raise NoSuchTag(f"no tag {tag!r} is known in {repository!r}")
        return periods
