"""What one image has that another has not, by their configs and layers."""

from collections.abc import Sequence
from dataclasses import dataclass

Blobs = Sequence[tuple[str, int]]  # what each is known by, and its size in bytes


@dataclass(frozen=True, slots=True)
class Difference:
    """The configs and layers of two images: those that only the later one has, only the earlier one, and both."""

    new: tuple[int, ...]
    gone: tuple[int, ...]
    shared: tuple[int, ...]

    @property
    def new_bytes(self) -> int:
        return sum(self.new)

    @property
    def gone_bytes(self) -> int:
        return sum(self.gone)

    @property
    def shared_bytes(self) -> int:
        return sum(self.shared)


def difference(before: Blobs | None, after: Blobs | None) -> Difference | None:
    """None where it is not known of both what they consist of."""
    if not before or not after:
        return None
    had, has = dict(before), dict(after)
    return Difference(
        tuple(size for mark, size in has.items() if mark not in had),
        tuple(size for mark, size in had.items() if mark not in has),
        tuple(size for mark, size in has.items() if mark in had),
    )
