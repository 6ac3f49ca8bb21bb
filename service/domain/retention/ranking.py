"""The order in which a rule counts tags, and the place of each in its group."""

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, TypeGuard

from semver import Version

from service.domain.retention.aside import Places
from service.domain.retention.state import Tag

# Reproducible builds date their images to the epoch or to another fixed day; Docker's first release is a floor.
_FIRST_CREATION_US = 1_363_737_600_000_000

Key = Callable[[Tag], Any]


@dataclass(slots=True)
class Ranking:
    """The place of each counted digest, or name, in its group, from 1.

    A digest has the place of the first of its tags, so that all selected tags of a kept digest are kept. Tags are
    ranked only as far as a question needs, because one question about one tag must not rank ten thousand.

    Attributes:
        by_digest: True to count digests, False to count names.
        unread: (tag, group) pairs in their order, not ranked yet.
        rank_of: the sort key; equal for two tags that the order cannot distinguish.
        takes_slot: False for a tag of unknown age in an order of time: it may be older than every other tag. It has a
            place, but takes no place from a tag of known age.
    """

    by_digest: bool
    unread: Iterator[tuple[Tag, str]]
    rank_of: Key
    takes_slot: Callable[[Tag], bool]
    _places: dict[tuple[str, str], tuple[int, Any]] = field(default_factory=dict)
    _slots: defaultdict[str, list[Any]] = field(default_factory=lambda: defaultdict(list))
    _reached: dict[str, Any] = field(default_factory=dict)

    @property
    def counted(self) -> int:
        """The number of digests or names that are ranked so far."""
        return len(self._places)

    def place(self, group: str, tag: Tag, most: int) -> int | None:
        """Return the place of a selected tag, or None if it is beyond the first `most` of its group.

        A tag that ties with the last of the first `most` is not beyond it, although its place is greater than `most`:
        it is not known to be older.
        """
        counted = (group, tag.digest if self.by_digest else tag.name)
        if counted not in self._places and not self._is_full(group, most):
            self._read_on(counted, most)
        if counted not in self._places:
            return None
        place, rank = self._places[counted]
        slots = self._slots[group]
        return place if place <= most or slots[most - 1] == rank else None

    def reserve(self, group: str, places: Places) -> None:
        """Count the first places of a group as taken. Nothing may be ranked yet."""
        self._slots[group] = [places.worst] * places.count
        self._reached[group] = places.worst

    def inside(self, most: int, *, one_group: bool) -> Iterator[str]:
        """Yield the names of the unread tags that are certainly among the first `most` of their group.

        Args:
            one_group: True if all tags are in the same group, so that reading ends once it is full.
        """
        for tag, group in self.unread:
            counted = (group, tag.digest if self.by_digest else tag.name)
            if counted not in self._places:
                self._rank(counted, tag)
            if self._places[counted][0] <= most:
                if self.takes_slot(tag):
                    yield tag.name
            elif one_group and self._is_full(group, most):
                return

    def _is_full(self, group: str, most: int) -> bool:
        """True once the first `most` of a group, and all tags that tie with the last of them, are ranked."""
        slots = self._slots[group]
        return len(slots) >= most and self._reached[group] != slots[most - 1]

    def _read_on(self, wanted: tuple[str, str], most: int) -> None:
        """Rank tags until the wanted tag is ranked or its group is full."""
        for tag, group in self.unread:
            counted = (group, tag.digest if self.by_digest else tag.name)
            if counted not in self._places:
                self._rank(counted, tag)
                if counted == wanted or (group == wanted[0] and self._is_full(group, most)):
                    return

    def _rank(self, counted: tuple[str, str], tag: Tag) -> None:
        group, rank = counted[0], self.rank_of(tag)
        slots = self._slots[group]
        self._places[counted] = (len(slots) + 1, rank)
        self._reached[group] = rank
        if self.takes_slot(tag):
            slots.append(rank)


def rank(ordered: Iterable[tuple[Tag, str]], *, by_digest: bool, order: str = "pushed") -> Ranking:
    """Return the ranking of the selected (tag, group) pairs, which come in this order."""
    return Ranking(by_digest, iter(ordered), RANKS[order], _TAKES_SLOT.get(order, _has_age))


def newest_push_first(tag: Tag) -> tuple[int, str]:
    """Return a sort key that puts the latest push first, and equal times in the order of names."""
    return (-(tag.pushed_us or 0), tag.name)


def _push_rank(tag: Tag) -> int:
    return -(tag.pushed_us or 0)


def _creation_rank(tag: Tag) -> tuple[int, int]:
    return (-created_us(tag), _push_rank(tag))


def _version_rank(tag: Tag) -> tuple[Any, ...]:
    version = _version(tag.name)
    if version is None:
        return (1, _push_rank(tag))
    numbers = (-version.major, -version.minor, -version.patch)
    return (0, numbers, _final_before_prerelease(version.prerelease), _push_rank(tag))


def _name_rank(tag: Tag) -> tuple[int, ...]:
    return _descending(tag.name)


def _use_rank(tag: Tag) -> tuple[int, int]:
    return (-tag.used_us, _push_rank(tag))


RANKS: Mapping[str, Key] = {
    "pushed": _push_rank,
    "created": _creation_rank,
    "semver": _version_rank,
    "name": _name_rank,
    "pulled": _use_rank,
}


def _named_last(rank_of: Key) -> Key:
    # The name makes the result independent of the order of the input.
    return lambda tag: (rank_of(tag), tag.name)


ORDERS: Mapping[str, Key] = {order: _named_last(rank_of) for order, rank_of in RANKS.items()}


def _has_age(tag: Tag) -> bool:
    return not tag.unannounced


def _is_ranked_by_version(tag: Tag) -> bool:
    return not tag.unannounced or _version(tag.name) is not None


def _always(tag: Tag) -> bool:
    return True


# The orders that do not depend on time alone.
_TAKES_SLOT: Mapping[str, Callable[[Tag], bool]] = {"name": _always, "semver": _is_ranked_by_version}


def created_us(tag: Tag) -> int:
    """Return the creation time of the image in µs, or its push time if the config has no believable creation time."""
    # No image is created after its push. A builder whose clock is years ahead must not outrank all later images.
    believed = is_believable(tag.created_us) and not tag.created_us > (tag.pushed_us or tag.created_us)
    return (tag.created_us if believed else tag.pushed_us) or 0


def is_believable(created_us: int | None) -> TypeGuard[int]:
    """True if an image can have been created at that time (µs)."""
    return created_us is not None and created_us >= _FIRST_CREATION_US


def _version(name: str) -> Version | None:
    """Return the version that a tag names, as in 1.4.2, v1.4.2-rc.1 or 1.4; None if it names none."""
    try:
        return Version.parse(name.removeprefix("v").removeprefix("V"), optional_minor_and_patch=True)
    except ValueError:
        return None


def _final_before_prerelease(prerelease: str | None) -> tuple[Any, ...]:
    """Return a sort key for the reverse of semver 2.0.0, 11.3 and 11.4.

    A release comes first, then its pre-releases: words before numbers, longer before shorter.
    """
    if prerelease is None:
        return (0,)
    words = prerelease.split(".")
    return (1, *((1, -int(word)) if word.isdigit() else (0, _descending(word)) for word in words), (2,))


def _descending(text: str) -> tuple[int, ...]:
    return (*(-ord(letter) for letter in text), 1)
