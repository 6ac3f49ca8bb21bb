"""The overwritten digests of tags that rules keep by `revisions`."""

from collections.abc import Iterator, Mapping
from copy import copy
from dataclasses import dataclass
from functools import cached_property

from service.domain.policy.model import Keep
from service.domain.retention.selection import Selections
from service.domain.retention.state import State

# While the push of an index has not ended, the tag may have lost only a part of it (lib/revisions.lua says why).
ONE_PUSH_US = 600 * 1_000_000


@dataclass(frozen=True, slots=True)
class Revision:
    """An overwritten digest of a tag. The rule keeps it as long as the tag is kept.

    Attributes:
        until_us: the time at which a younger digest may take its place; None if it has its place already.
    """

    tag: str
    reason: str
    rule: str
    until_us: int | None = None


class Revisions:
    """The revisions of all tags of one state."""

    def __init__(self, state: State, selections: Selections, now_us: int) -> None:
        self._state, self._selections, self._now_us = state, selections, now_us

    def at(self, selections: Selections, now_us: int) -> "Revisions":
        """Return the revisions at another moment."""
        # Compute what all copies share before the copy.
        _ = self._overwritten, self._counts_us
        other = copy(self)
        other._selections, other._now_us = selections, now_us
        return other

    def of(self, digest: str) -> Iterator[Revision]:
        """Yield the revisions as which rules keep the digest, one per tag, as long as that tag is kept."""
        for tag, number in self._overwritten.get(digest, ()):
            times_us = [self._counts_us.get(before, 0) for before in self._state.revisions[tag][: number - 1]]
            later_us = [counts_us for counts_us in times_us if counts_us > self._now_us]
            place = number - len(later_us)
            for name, rule in self._selections.naming(tag):
                most = rule.keep.revisions if isinstance(rule.keep, Keep) else 0
                if place <= most:
                    order = "the last revision" if most == 1 else f"number {place} of the last {most} revisions"
                    until_us = min(later_us) if number > most else None
                    yield Revision(tag, f"{order} of {tag} (rule {name})", name, until_us)
                    break

    @cached_property
    def _overwritten(self) -> Mapping[str, tuple[tuple[str, int], ...]]:
        """Digest → (tag, number of the digest among the revisions of that tag, from 1), sorted by tag."""
        if not any(isinstance(rule.keep, Keep) and rule.keep.revisions for _, rule in self._selections.rules):
            return {}
        revisions: dict[str, list[tuple[str, int]]] = {}
        for name, digests in sorted(self._state.revisions.items()):
            for number, digest in enumerate(digests, 1):
                revisions.setdefault(digest, []).append((name, number))
        return {digest: tuple(numbers) for digest, numbers in revisions.items()}

    @cached_property
    def _counts_us(self) -> Mapping[str, int]:
        """Digest → the time (µs) from which it counts: until then it may be a part of an index that is being pushed."""
        times_us: dict[str, int] = {}
        # A part may have other tags, too.
        for tag in self._state.tags:
            if tag.pushed_us:
                times_us[tag.digest] = max(times_us.get(tag.digest, 0), tag.pushed_us + ONE_PUSH_US)
        return times_us | {untagged.digest: untagged.since_us + ONE_PUSH_US for untagged in self._state.untagged}
