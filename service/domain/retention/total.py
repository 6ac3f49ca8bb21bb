"""Totals of deletions: by rule, by repository, by day, or of all."""

from collections.abc import Iterable
from dataclasses import dataclass

from service.domain.policy.units import spell_size
from service.domain.retention.plan import Verdict


@dataclass(frozen=True, slots=True)
class Total:
    """A total of deletions.

    Attributes:
        name: of the rule, the repository or the day; "" for all of them, or for no rule.
        size_bytes: of the images of known size. Shared layers count once per image.
        unsized: number of images of unknown size.
    """

    name: str
    tags: int
    digests: int
    size_bytes: int
    unsized: int = 0

    @property
    def size(self) -> str:
        """The size in words. Unknown sizes are never counted as 0."""
        if self.digests and self.unsized == self.digests:
            return "unknown size"
        size = spell_size(self.size_bytes)
        return f"at least {size}, {self.unsized} of unknown size" if self.unsized else size


def total(name: str, verdicts: Iterable[Verdict]) -> Total:
    """Return the total of these deletions. A digest with several tags counts once."""
    verdicts = tuple(verdicts)
    sizes = {verdict.tag.digest: verdict.tag.size_bytes for verdict in verdicts if not verdict.kept_as}
    tags, unsized = sum(1 for verdict in verdicts if verdict.tag.name), sum(1 for size in sizes.values() if not size)
    return Total(name, tags, len(sizes), sum(sizes.values()), unsized)


def added(name: str, totals: Iterable[Total]) -> Total:
    """Return the sum of these totals. An image in two of them counts twice."""
    columns = zip((0, 0, 0, 0), *((t.tags, t.digests, t.size_bytes, t.unsized) for t in totals), strict=True)
    return Total(name, *(sum(column) for column in columns))
