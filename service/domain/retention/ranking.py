"""The order in which a rule counts tags, and the place of each in its group."""

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, TypeGuard

from semver import Version

from service.domain.retention.state import Tag

# Reproducible builds date their images to the epoch or to another fixed day; Docker's first release is a floor.
_FIRST_CREATION_US = 1_363_737_600_000_000

Key = Callable[[Tag], Any]


@dataclass(slots=True)
class Ranking:
    """The place of each counted digest, or name, in its group, from 1.

    A digest has the place of the first of its tags, so that all selected tags of a kept digest are kept. Tags are read
    no further than a question needs: one tag of ten thousand is not worth ranking them all.

    Attributes:
        by_digest: count digests; else names.
        unread: (tag, group) pairs in their order, not ranked yet.
        rank_of: equal for two tags that the order cannot tell apart.
        takes_slot: False for a tag whose age is unknown, where the order is one of time: it may be older than every
            other tag. It has a place, and takes none from a tag whose age is known.
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
        """The number of digests or names that have their place by now."""
        return len(self._places)

    def place(self, group: str, tag: Tag, most: int) -> int | None:
        """Return the place of a selected tag, or None when it is beyond the first `most` of its group.

        Tags that the order cannot tell apart from the last of the first `most` are not beyond it: their places are
        greater than `most`, and none of them is known to be older than another.
        """
        counted = (group, tag.digest if self.by_digest else tag.name)
        if counted not in self._places and not self._is_full(group, most):
            self._read_on(counted, most)
        if counted not in self._places:
            return None
        place, rank = self._places[counted]
        slots = self._slots[group]
        return place if place <= most or slots[most - 1] == rank else None

    def _is_full(self, group: str, most: int) -> bool:
        """Return True once the first `most` of a group, and all that tie with the last of them, have their places."""
        slots = self._slots[group]
        return len(slots) >= most and self._reached[group] != slots[most - 1]

    def _read_on(self, wanted: tuple[str, str], most: int) -> None:
        """Rank tags until the wanted one has its place, or its group is full."""
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
    """The places of the selected (tag, group) pairs that come in this order."""
    return Ranking(by_digest, iter(ordered), RANKS[order], _TAKES_SLOT.get(order, _has_age))


def newest_push_first(tag: Tag) -> tuple[int, str]:
    return (_push_rank(tag), tag.name)


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
    """The rank, then the name: the name only makes the result the same for any order of the input."""
    return lambda tag: (rank_of(tag), tag.name)


ORDERS: Mapping[str, Key] = {order: _named_last(rank_of) for order, rank_of in RANKS.items()}


def _has_age(tag: Tag) -> bool:
    return not tag.sighted


def _is_ranked_by_version(tag: Tag) -> bool:
    return not tag.sighted or _version(tag.name) is not None


def _always(tag: Tag) -> bool:
    return True


# Orders that do not go by time alone.
_TAKES_SLOT: Mapping[str, Callable[[Tag], bool]] = {"name": _always, "semver": _is_ranked_by_version}


def created_us(tag: Tag) -> int:
    """When the image was made, in µs; where its config says nothing believable, when it was pushed.

    An image cannot be made after its push: a builder whose clock is years ahead must not outrank all that comes after.
    """
    believed = is_believable(tag.created_us) and not tag.created_us > (tag.pushed_us or tag.created_us)
    return (tag.created_us if believed else tag.pushed_us) or 0


def is_believable(created_us: int | None) -> TypeGuard[int]:
    """Whether an image can have been made then (µs)."""
    return created_us is not None and created_us >= _FIRST_CREATION_US


def _version(name: str) -> Version | None:
    """The version that a tag names, as in 1.4.2, v1.4.2-rc.1 or 1.4; None when it names none."""
    try:
        return Version.parse(name.removeprefix("v").removeprefix("V"), optional_minor_and_patch=True)
    except ValueError:
        return None


def _final_before_prerelease(prerelease: str | None) -> tuple[Any, ...]:
    """semver 2.0.0, 11.3 and 11.4, turned round: a release, then words before numbers, longer before shorter."""
    if prerelease is None:
        return (0,)
    words = prerelease.split(".")
    return (1, *((1, -int(word)) if word.isdigit() else (0, _descending(word)) for word in words), (2,))


def _descending(text: str) -> tuple[int, ...]:
    """Sorts texts from the last to the first."""
    return (*(-ord(letter) for letter in text), 1)
