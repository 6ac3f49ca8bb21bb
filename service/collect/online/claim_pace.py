"""The number of blobs that are claimed together: so many that a request which names one of them waits a moment only."""

import time
from collections.abc import Iterator, Sequence
from typing import TypeVar

# The gate processes look every 50 ms for claims that were released, and no write is to wait for more than 100 ms.
HELD_S = 0.03
_FEWEST = 10
T = TypeVar("T")


class ClaimPace:
    """The size of the next part, by the time that the last one took.

    Attributes:
        count: the size.
    """

    def __init__(self, most: int, *, is_fixed: bool) -> None:
        """Prepare.

        Args:
            most: the largest size.
            is_fixed: each part has this size: one request to a bucket deletes as many keys.
        """
        self._most, self._is_fixed = most, is_fixed
        self.count = most if is_fixed else _FEWEST

    def parts(self, items: Sequence[T]) -> Iterator[Sequence[T]]:
        """Yield parts, and time what is done with each."""
        rest = items
        while rest:
            part, rest = rest[: self.count], rest[self.count :]
            began_s = time.monotonic()
            yield part
            self.took(len(part), time.monotonic() - began_s)

    def took(self, count: int, seconds: float) -> None:
        """Note how long so many items took."""
        if not self._is_fixed and count:
            # Doubled at most, as a small part may have been fast by chance.
            fitting = round(count * HELD_S / max(seconds, 0.001))
            self.count = max(_FEWEST, min(fitting, 2 * self.count, self._most))
