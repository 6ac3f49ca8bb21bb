"""The time of a listing: 10,000 repositories, and a repository of 5,000 tags."""

import tempfile
import time
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

from service.domain.policy.model import Keep, Policy, Rule
from service.settings import load_settings
from service.store.keys import short
from service.store.live_tags import packed_live
from service.wiring import Wiring, wire
from tests.bench.figure import Figure, percentile
from tests.fakes.images import sha256
from tests.fakes.valkey import Valkey

REPOSITORIES, TAGS, TIMES = 10_000, 5000, 7
MOST_S = 0.5
_START_US = 1_700_000_000_000_000


def measure() -> Iterator[Figure]:
    with tempfile.TemporaryDirectory(prefix="pushprune-bench-") as folder, Valkey(Path(folder) / "redis") as valkey:
        policy = Policy(rules=(Rule(keep=Keep(last=10)),))
        wiring = wire(load_settings(environ={}, redis={"url": valkey.url}, policy=policy))
        _fill(wiring)
        of = wiring.inventory
        many, large = f"{REPOSITORIES:,} repositories", f"a repository of {TAGS:,} tags"
        yield _figure(
            f"seconds for a page of {many} by name", lambda: len(of.repositories.page(_every, limit=100).rows), 100
        )
        yield _figure(
            f"seconds for a page of {many} by last push",
            lambda: len(of.repositories.page(_every, "-pushed", limit=100).rows), 100,
        )  # fmt: skip
        yield _figure(
            f"seconds for all of {many}", lambda: len(of.repositories.page(_every, "-tags", limit=REPOSITORIES).rows),
            REPOSITORIES,
        )  # fmt: skip
        yield _figure(
            f"seconds for a search of a tag in {many}", lambda: len(wiring.search.find("v7", 50).tags), 50
        )  # fmt: skip
        yield _figure(
            f"seconds for a page of {large}", lambda: len(of.listing("shop/large").page(_every, limit=100).rows), 100
        )


def _every(_: str) -> bool:
    return True


def _figure(title: str, list_it: Callable[[], int], rows: int) -> Figure:
    taken: list[float] = []
    for _ in range(TIMES):
        began = time.perf_counter()
        assert list_it() == rows
        taken.append(time.perf_counter() - began)
    middle = percentile(taken, 50)
    return Figure(title, f"{middle:.3f} ({min(taken):.3f}–{max(taken):.3f})", f"≤ {MOST_S}", middle <= MOST_S)


def _live(tags: Iterable[str]) -> dict[Any, Any]:
    return {tag: packed_live(f"{short(sha256(tag.encode()))} 400 ci", {}) for tag in tags}


def _fill(wiring: Wiring) -> None:
    """Fill Redis as recording would, but for the history: each repository with ten tags, one with many."""
    keys = wiring.store.connection.keys
    names = [f"team-{number % 50}/service-{number}" for number in range(REPOSITORIES - 1)]
    with wiring.store.connection.reached() as client:
        for start in range(0, len(names), 500):
            pipe = client.pipeline(transaction=False)
            for number, name in enumerate(names[start : start + 500], start):
                tags = {f"v{tag}": _START_US + number * 1000 + tag for tag in range(10)}
                pipe.zadd(keys.of("tags", name), tags)
                pipe.hset(keys.of("live", name), mapping=_live(tags))
                pipe.hset(keys.of("generation"), name, "1")
            pipe.execute()
        tags = {f"v{tag}": _START_US + tag * 1_000_000 for tag in range(TAGS)}
        client.zadd(keys.of("tags", "shop/large"), tags)
        client.hset(keys.of("live", "shop/large"), mapping=_live(tags))
        client.hset(keys.of("generation"), "shop/large", "1")
    wiring.store.catalog.correct_indexes()
