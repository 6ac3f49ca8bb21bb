"""Parts of long lists. A command that reads or writes 500,000 keys would keep Redis from all other work meanwhile."""

from collections.abc import Iterator, Sequence
from typing import TypeVar

T = TypeVar("T")

# Keys, members or repositories in one command or script: a few milliseconds.
AT_ONCE = 500


def chunks(items: Sequence[T], most: int = AT_ONCE) -> Iterator[Sequence[T]]:
    """Yield the items in order, in parts that Redis reads or writes within a few milliseconds."""
    for start in range(0, len(items), most):
        yield items[start : start + most]
