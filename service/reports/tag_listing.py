"""The live tags of one repository at one moment: verdicts, referrers, expected deletions; filtered and sorted."""

import sys
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Literal

from service.domain.page import Page, Place, page
from service.domain.policy.patterns import Matcher
from service.domain.retention.explanation import Explanation, with_hold
from service.domain.retention.plan import Verdict
from service.domain.retention.referrers import Referrer
from service.domain.retention.state import Tag
from service.reports.verdicts import LiveVerdicts

TagOrder = Literal[
    "name", "-name", "pushed", "-pushed", "pulled", "-pulled", "size", "-size", "expires", "-expires", "status",
    "-status",
]  # fmt: skip
TagStatus = Literal["keep", "delete", "held", "signed"]

_TAG_PLACES: dict[str, Callable[[Tag], int | str]] = {
    "name": lambda tag: tag.name,
    "pushed": lambda tag: tag.pushed_us or 0,
    "pulled": lambda tag: tag.pulled_us or 0,
    "size": lambda tag: tag.size_bytes,
}
_NEVER = sys.maxsize


@dataclass(frozen=True, slots=True)
class TagVerdict:
    """A live tag and its verdict.

    Attributes:
        held: the reason why the plan that would delete the tag waits for approval; None if no plan waits.
        referrers: the signatures, attestations and SBOMs of its image.
        leased_us: until when (µs) a user or a restore protects its image from deletion; 0 if neither does.
    """

    repository: str
    verdict: Verdict
    held: str | None
    referrers: tuple[Referrer, ...] = ()
    leased_us: int = 0

    @property
    def status(self) -> Literal["keep", "delete", "held"]:
        """The verdict in one word; held: to be deleted once its plan is approved."""
        return "keep" if self.verdict.kept else "held" if self.held else "delete"

    @property
    def is_signed(self) -> bool:
        """True if the image has a signature. pushprune does not verify signatures."""
        return any(referrer.kind == "signature" for referrer in self.referrers)

    def has(self, status: TagStatus) -> bool:
        """True if a listing that is filtered by this status has the tag."""
        return self.is_signed if status == "signed" else self.status == status


_ROW_PLACES: dict[str, Callable[[TagVerdict], int]] = {
    # What is deleted next comes first, what does not expire by age last.
    "expires": lambda row: (row.verdict.until_us or _NEVER) if row.verdict.kept else int(row.held is not None),
    "status": lambda row: ("delete", "held", "keep").index(row.status),
}


@dataclass(frozen=True, slots=True)
class TagTotals:
    """The totals of a repository's tags, without the tags of referrers.

    Attributes:
        counts: number of tags by status.
        images: number of digests that these tags point at.
        next_us: the earliest time at which a kept tag may be deleted by age alone; None if none can.
    """

    tags: int
    images: int
    counts: Mapping[str, int]
    next_us: int | None


@dataclass(frozen=True)
class TagListing:
    """The live tags of a repository at one moment.

    Attributes:
        waits: digest → the reason why the plan that would delete the digest waits for approval.
    """

    repository: str
    live: LiveVerdicts
    waits: Mapping[str, str]

    def page(
        self,
        matches: Matcher,
        order: TagOrder = "-pushed",
        after: Place | None = None,
        limit: int | None = None,
        *,
        status: TagStatus | None = None,
        folded: bool = False,
    ) -> Page[TagVerdict]:
        """Return a page of the tags whose names match, or all of them if there is no limit.

        Args:
            folded: leave out the tags of signatures and other referrers whose image is listed.
        """
        by = order.lstrip("-")
        tags = [tag for tag in (self.images if folded else self.live.tags) if matches(tag.name)]
        most, descending = len(tags) + 1 if limit is None else limit, order.startswith("-")
        if status is None and by in _TAG_PLACES:
            # Only the tags on the page get their verdicts: deciding about all tags would be slow.
            place = _TAG_PLACES[by]
            chosen = page(tags, lambda tag: (place(tag), tag.name), descending=descending, after=after, limit=most)
            return Page(tuple(map(self._listed, chosen.rows)), chosen.after, chosen.total)
        rows = [row for row in map(self._row, tags) if status is None or row.has(status)]
        return page(rows, lambda row: _row_place(row, by), descending=descending, after=after, limit=most)

    def explain(self, tag: str) -> Explanation | None:
        """Return the explanation of the verdict on a tag; None if the tag is not live."""
        explained = self.live.explain((tag,))
        for digest, reason in self.waits.items():
            explained = with_hold(explained, [digest], reason)
        return explained[0] if explained else None

    @cached_property
    def images(self) -> tuple[Tag, ...]:
        """The tags without those of signatures and other referrers whose image has a tag, newest push first."""
        folded = {referrer.tag for referrers in self.live.referrers.values() for referrer in referrers}
        return tuple(tag for tag in self.live.tags if tag.name not in folded)

    @cached_property
    def totals(self) -> TagTotals:
        """The totals of all tags. This needs the verdict on every tag."""
        rows = [self._row(tag) for tag in self.images]
        counts = Counter[str](row.status for row in rows)
        ends_us = (row.verdict.until_us for row in rows if row.verdict.kept and row.verdict.until_us)
        signed = sum(row.is_signed for row in rows)
        return TagTotals(
            tags=len(rows),
            images=len({tag.digest for tag in self.images}),
            counts=counts | Counter(signed=signed),
            next_us=min(ends_us, default=None),
        )

    @cached_property
    def _rows(self) -> Mapping[str, TagVerdict]:
        return {tag.name: self._listed(tag) for tag in self.live.tags}

    def _row(self, tag: Tag) -> TagVerdict:
        return self._rows[tag.name]

    def _listed(self, tag: Tag) -> TagVerdict:
        verdict = self.live.verdict(tag)
        return TagVerdict(
            self.repository,
            verdict,
            None if verdict.kept else self.waits.get(tag.digest),
            self.live.referrers.get(tag.digest, ()),
            self.live.leased_us(tag),
        )


def _row_place(row: TagVerdict, by: str) -> Place:
    tag = row.verdict.tag
    place = _TAG_PLACES[by](tag) if by in _TAG_PLACES else _ROW_PLACES[by](row)
    return place, tag.name
