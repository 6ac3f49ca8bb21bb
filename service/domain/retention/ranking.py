"""The order in which a rule counts tags, and the place of each in its group."""

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
    """The place of each counted thing in its group, from 1: digests or names, whatever the rule counts.

    A digest has the place of the first of its tags, so that all selected tags of a kept digest are kept. What was only
    sighted may be older than its time says: it has a place, and takes none from what was heard of. The tags are read no
    further than somebody asks: one tag of ten thousand is not worth counting them all.
    """

    by_digest: bool
    unread: Iterator[tuple[Tag, str]]
    _places: dict[tuple[str, str], int] = field(default_factory=dict)
    _counts: dict[str, int] = field(default_factory=dict)

    @property
    def counted(self) -> int:
        """How many things have their place by now."""
        return len(self._places)

    def place(self, group: str, tag: Tag, most: int) -> int | None:
        """The place of a selected tag, or None when it is beyond the first `most` of its group."""
        counted = (group, tag.digest if self.by_digest else tag.name)
        if counted not in self._places and self._counts.get(group, 0) < most:
            self._read_on(counted, most)
        place = self._places.get(counted)
        return place if place is not None and place <= most else None

    def _read_on(self, wanted: tuple[str, str], most: int) -> None:
        """Until what is wanted has its place, or its group is full."""
        for tag, group in self.unread:
            counted = (group, tag.digest if self.by_digest else tag.name)
            if counted not in self._places:
                self._places[counted] = self._counts.get(group, 0) + 1
                if not tag.sighted:
                    self._counts[group] = self._places[counted]
                if counted == wanted or (group == wanted[0] and self._counts.get(group, 0) >= most):
                    return


def rank(ordered: Iterable[tuple[Tag, str]], *, by_digest: bool) -> Ranking:
    """The places of the selected (tag, group) pairs that come in this order."""
    return Ranking(by_digest, iter(ordered))


def newest_push_first(tag: Tag) -> tuple[int, str]:
    return (-(tag.pushed_us or 0), tag.name)


def _newest_creation_first(tag: Tag) -> tuple[int, int, str]:
    return (-created_us(tag), *newest_push_first(tag))


def _highest_version_first(tag: Tag) -> tuple[Any, ...]:
    version = _version(tag.name)
    if version is None:
        return (1, newest_push_first(tag))
    numbers = (-version.major, -version.minor, -version.patch)
    return (0, numbers, _final_before_prerelease(version.prerelease), newest_push_first(tag))


def _last_name_first(tag: Tag) -> tuple[int, ...]:
    return _descending(tag.name)


def _last_used_first(tag: Tag) -> tuple[int, int, str]:
    return (-tag.used_us, *newest_push_first(tag))


ORDERS: Mapping[str, Key] = {
    "pushed": newest_push_first,
    "created": _newest_creation_first,
    "semver": _highest_version_first,
    "name": _last_name_first,
    "pulled": _last_used_first,
}


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
