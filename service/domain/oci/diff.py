"""The difference between two images, by their configs and layers."""

from collections.abc import Sequence
from dataclasses import dataclass

# (identifier, size in bytes) of each blob.
Blobs = Sequence[tuple[str, int]]


@dataclass(frozen=True, slots=True)
class Difference:
    """The sizes of configs and layers that only the later, only the earlier, or both of two images have."""

    new: tuple[int, ...]
    gone: tuple[int, ...]
    shared: tuple[int, ...]

    @property
    def new_bytes(self) -> int:
        """Bytes that only the later image has."""
        return sum(self.new)

    @property
    def removed_bytes(self) -> int:
        """Bytes that only the earlier image has."""
        return sum(self.gone)

    @property
    def shared_bytes(self) -> int:
        """Bytes that both images have."""
        return sum(self.shared)


def difference(before: Blobs | None, after: Blobs | None) -> Difference | None:
    """Return the difference between two images, or None if the blobs of one of them are not known."""
    if not before or not after:
        return None
    had, has = dict(before), dict(after)
    return Difference(
        tuple(size for mark, size in has.items() if mark not in had),
        tuple(size for mark, size in had.items() if mark not in has),
        tuple(size for mark, size in has.items() if mark in had),
    )
