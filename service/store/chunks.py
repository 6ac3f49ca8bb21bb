"""Parts of long lists. A command that reads or writes 500,000 keys would keep Redis from all other work meanwhile."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, TypeVar

T = TypeVar("T")

# Keys, members or repositories in one command or script: a few milliseconds.
AT_ONCE = 500


def chunks(items: Sequence[T], most: int | None = None) -> Iterator[Sequence[T]]:
    """Yield the items in order, in parts of `most`; None: that Redis reads or writes within a few milliseconds."""
    step = most or AT_ONCE
    for start in range(0, len(items), step):
        yield items[start : start + step]


def by_score(client: Any, key: str, before: str = "+inf") -> Iterator[str]:
    """Yield the members of a zset whose scores are below `before`, the lowest first, in such parts.

    A member that is added meanwhile with the highest score is not missed, nor one beside a member that is removed.
    """
    lowest, count, known = "-inf", AT_ONCE, frozenset[str]()
    while True:
        page = client.zrangebyscore(key, lowest, before, start=0, num=count, withscores=True)
        yield from (member for member, _ in page if member not in known)
        if len(page) < count:
            return
        last = page[-1][1]
        # Where all members of a part have one score, the next part begins with them again.
        count = count * 2 if page[0][1] == last else AT_ONCE
        lowest, known = repr(last), frozenset(member for member, score in page if score == last)


def by_id(client: Any, key: str, first: str = "-", last: str = "+") -> Iterator[tuple[str, Mapping[str, str]]]:
    """Yield the entries of a stream from the id `first` to the id `last`, in such parts."""
    while True:
        page = client.xrange(key, min=first, max=last, count=AT_ONCE)
        yield from page
        if len(page) < AT_ONCE:
            return
        first = f"({page[-1][0]}"
