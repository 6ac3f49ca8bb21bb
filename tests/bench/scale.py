"""Large sizes by simulation: a busy repository, a large one, and very many. Figures are CPU time where they can be.

Redis is filled in the layout of the product, without histories. SCALE_REPOSITORIES chooses their number.
"""

import os
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any

from service.clock import now_us
from service.domain.events import parse
from service.domain.policy.model import Policy
from service.domain.retention.selector import every_name
from service.prune import planning
from service.prune.committing import commit
from service.prune.policy_change import mark_all_due
from service.settings import load_settings
from service.store.history import History
from service.web.app import create_app
from service.wiring import Wiring, wire
from tests.bench.figure import Figure, median
from tests.fakes.valkey import Valkey
from tests.support.makers import digest_of, envelope, event

REPOSITORIES = int(os.environ.get("SCALE_REPOSITORIES", "500000"))
BUSY_TAGS, BUSY_S, EVERY_S, PLANNED_S = 10_000, 15.0, 0.25, 2.0
LARGE_TAGS, TIMES = 100_000, 5
READYZ_MS, PAGE_MS, FIRST_MS, LONGEST_MS, PLANNED_PER_S = 20, 100, 500, 50, 500
BUSY, LARGE = "busy/app", "large/app"
RULES = [
    {"name": "large", "repos": ["large/*"], "keep": {"last": LARGE_TAGS}},
    {"name": "others", "repos": ["!large/*"], "keep": {"last": BUSY_TAGS}},
]
_AT_ONCE = 5_000
_PLANNED, _PLANNED_TAGS = 1_000, 20
_FILL = """
local first_us, generation = tonumber(ARGV[3]), ARGV[4]
for i = tonumber(ARGV[1]), tonumber(ARGV[2]) do
  local digest = string.format('#%032d', i)
  redis.call('ZADD', KEYS[1], string.format('%.0f', first_us + i * 1000), string.format('main-%06d', i))
  redis.call('HSET', KEYS[2], string.format('main-%06d', i), digest .. '1000!=ci')
end
redis.call('HSET', KEYS[3], ARGV[5], generation)
redis.call('HSET', KEYS[4], ARGV[5], ARGV[6])
"""
_FILL_MANY = """
for i = tonumber(ARGV[2]), tonumber(ARGV[3]) do
  local name = string.format('team%03d/app%06d', i % 997, i)
  for tag = 1, i <= tonumber(ARGV[6]) and tonumber(ARGV[7]) or 1 do
    local live = string.format('#%032d', i * 100 + tag) .. '1000!=ci'
    redis.call('ZADD', ARGV[1] .. 'tags:' .. name, string.format('%.0f', ARGV[4] + i * 1000 + tag), 'v' .. tag)
    redis.call('HSET', ARGV[1] .. 'live:' .. name, 'v' .. tag, live)
  end
  redis.call('HSET', ARGV[1] .. 'generation', name, ARGV[4] + i)
  redis.call('HSET', ARGV[1] .. 'compared', name, ARGV[5])
end
"""


def measure() -> Iterator[Figure]:
    with tempfile.TemporaryDirectory() as folder, Valkey(Path(folder)) as valkey:
        policy = Policy.model_validate({"hold_over": 100, "rules": RULES})
        # The web process and the workers answer from the same Redis; no registry is asked.
        wiring = wire(load_settings(environ={}, redis={"url": valkey.url}, policy=policy, data_dir=Path(folder)))
        yield from _busy(wiring, policy)
        yield from _large(wiring, policy)
        yield from _many(wiring, policy)


def _fill(wiring: Wiring, repository: str, tags: int) -> None:
    client: Any = wiring.store.connection.client
    keys = [wiring.store.connection.keys.of(*name) for name in (("tags", repository), ("live", repository))]
    keys += [wiring.store.connection.keys.of(name) for name in ("generation", "compared")]
    first_us, epoch = now_us() - tags * 1000 - 60_000_000, f"{wiring.store.connection.run_id()}:0 {now_us()}"
    for start in range(0, tags, _AT_ONCE):
        end = min(start + _AT_ONCE, tags) - 1
        client.eval(_FILL, len(keys), *keys, start, end, first_us, now_us(), repository, epoch)


@dataclass
class _Pushes:
    """Pushes of new images to the busy repository, one every EVERY_S; at_s: when the event of each was recorded."""

    history: History
    recorded: list[float] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._push)

    def __enter__(self) -> "_Pushes":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        self._thread.join()

    def _push(self) -> None:
        while not self._ended.wait(EVERY_S):
            name = f"new-{len(self.recorded):05}"
            for tag in (name, "latest"):
                _record_push(self.history, BUSY, tag, name)
            self.recorded.append(time.monotonic())


def _record_push(history: History, repository: str, tag: str, digest: str) -> None:
    """Record a push of this moment."""
    pushed = event(repository=repository, tag=tag, digest=digest_of(digest), id=f"{repository} {tag} {digest}")
    at_us = now_us()
    received = parse(envelope(pushed | {"timestamp": _rfc3339(at_us / 1_000_000)}), at_us)
    assert not received.rejected, received.rejected
    history.record(received)


def _rfc3339(at_s: float) -> str:
    return f"{time.strftime('%Y-%m-%dT%H:%M:%S', time.gmtime(at_s))}.{int(at_s % 1 * 1_000_000):06}Z"


def _busy(wiring: Wiring, policy: Policy) -> Iterator[Figure]:
    """Plan a repository again and again while it is pushed to, as a worker does."""
    _fill(wiring, BUSY, BUSY_TAGS)
    store, waits, plans, committed = wiring.store, list[float](), 0, 0
    planned = 0
    with _Pushes(store.history) as pushes:
        end_s, used_s = time.monotonic() + BUSY_S, time.process_time()
        while time.monotonic() < end_s:
            seen = len(pushes.recorded)
            snapshot = store.history.snapshot(BUSY)
            plan = planning.plan_policy(snapshot, policy, now_us())
            plans += 1
            if not commit(store, wiring.registry, snapshot, plan, "doomed", policy).is_stale:
                committed += 1
                waits += [time.monotonic() - at_s for at_s in pushes.recorded[planned:seen]]
                planned = seen
        used_s = time.process_time() - used_s
    measured = f"{committed} of {plans} plans committed; a push is planned after {max(waits, default=0):.2f} s at most"
    measured += f" ({used_s / plans * 1000:.0f} ms of CPU a plan)"
    is_met = committed > plans / 2 and max(waits, default=PLANNED_S + 1) <= PLANNED_S
    title = f"a repository of {BUSY_TAGS:,} tags, pushed to every {EVERY_S} s"
    yield Figure(title, measured, f"each within {PLANNED_S:g} s", is_met)


def _large(wiring: Wiring, policy: Policy) -> Iterator[Figure]:
    """Plan each of some pushes to a full repository. The first plan reads all tags, the others only what changed."""
    _fill(wiring, LARGE, LARGE_TAGS)
    store, worker, redis = wiring.store, list[float](), list[float]()
    for number in range(TIMES + 1):
        _record_push(store.history, LARGE, f"new-{number}", f"large {number}")
        with _redis_ms(wiring) as spent:
            used_s = time.process_time()
            snapshot = store.history.snapshot(LARGE)
            plan = planning.plan_policy(snapshot, policy, now_us())
            commit(store, wiring.registry, snapshot, plan, "doomed", policy)
            worker.append((time.process_time() - used_s) * 1000)
        redis.append(spent[0])
        for image in plan.doomed:
            store.deletions.forget(snapshot, image)
    title = f"one push to a repository of {LARGE_TAGS:,} tags"
    measured = f"{median(worker[1:]):,.0f} ms of the worker's CPU, {median(redis[1:]):,.1f} ms of Redis"
    measured += f" (the first time {worker[0]:,.0f} and {redis[0]:,.0f})"
    yield Figure(title, measured, "≤ 20 ms, ≤ 5 ms", median(worker[1:]) <= 20 and median(redis[1:]) <= 5)


def _many(wiring: Wiring, policy: Policy) -> Iterator[Figure]:
    client: Any = wiring.store.connection.client
    prefix, epoch = wiring.store.connection.keys.prefix, f"{wiring.store.connection.run_id()}:0 {now_us()}"
    for start in range(1, REPOSITORIES + 1, _AT_ONCE):
        end = min(start + _AT_ONCE - 1, REPOSITORIES)
        client.eval(_FILL_MANY, 0, prefix, start, end, now_us() - 86_400_000_000, epoch, _PLANNED, _PLANNED_TAGS)
    wiring.store.catalog.correct_indexes()
    client.config_set("slowlog-log-slower-than", LONGEST_MS * 1000)
    client.slowlog_reset()
    http = create_app(wiring).test_client()
    of = f"of {REPOSITORIES:,} repositories"
    for name, path, most_ms in (
        ("/readyz", "/readyz", READYZ_MS),
        ("the overview of now", "/panels/overview/now", PAGE_MS),
        ("/api/v1/overview", "/api/v1/overview", PAGE_MS),
        ("the repositories, the latest push first", "/panels/repositories/list?order=-pushed", PAGE_MS),
    ):
        yield _answered(name, of, most_ms, partial(http.get, path))
    every = partial(wiring.inventory.repositories.rows, every_name, "name", REPOSITORIES, None)
    yield _answered("the first row that `repos` prints", of, FIRST_MS, lambda: next(every()[1]))
    yield from _policy_change(wiring, of)
    longest, command = max(
        ((row["duration"] / 1000, row["command"]) for row in client.slowlog_get(128)), default=(0, "")
    )
    measured = f"{longest:.0f} ms: {command[:60]}" if longest else "none"
    yield Figure(f"{of}: commands of more than {LONGEST_MS} ms, the longest", measured, "none", not longest)


def _answered(name: str, of: str, most_ms: float, ask: Callable[[], object]) -> Figure:
    """The first answer reads what a process remembers; the others are as in a process that runs."""
    used: list[float] = []
    for _ in range(TIMES + 1):
        before_s = time.process_time()
        ask()
        used.append((time.process_time() - before_s) * 1000)
    measured = f"{median(used[1:]):.0f} ms of CPU (the first time {used[0]:.0f})"
    return Figure(f"{of}: {name}", measured, f"≤ {most_ms:g} ms", median(used[1:]) <= most_ms)


def _policy_change(wiring: Wiring, of: str) -> Iterator[Figure]:
    """Make all repositories due in slices, as the sweep does, and plan some of them; all must be due in the end."""
    before_s = time.process_time()
    store, slices, marked = wiring.store, 0, None
    changes, digest, text = store.policy_changes, wiring.policies.digest, wiring.policies.written
    changes.begin("first", "")
    while not marked:
        begun = changes.begin(digest, text)
        assert begun, "no policy is in force, or this one"
        marked, slices = mark_all_due(store, replace(begun, stage="due")), slices + 1
    used_s = time.process_time() - before_s
    assert changes.apply(marked, text)
    due = _due(wiring)
    # As a worker does, but without Celery: each has a lease, and as many tags as usual.
    names = [f"team{number % 997:03}/app{number:06}" for number in range(1, _PLANNED + 1)]
    before_s = time.process_time()
    for name in names:
        planning.enforce(wiring, name)
    per_s = len(names) / (time.process_time() - before_s)
    assert _due(wiring) == due - len(names), "some were not planned"
    measured = f"{due:,} due after {slices} slices, {used_s:.1f} s of CPU; "
    measured += f"of {_PLANNED_TAGS} tags, {per_s:,.0f} planned a second of CPU"
    is_met = due >= REPOSITORIES and per_s >= PLANNED_PER_S
    yield Figure(f"{of}: a changed policy", measured, f"all; ≥ {PLANNED_PER_S}/s", is_met)


def _due(wiring: Wiring) -> int:
    return int(wiring.store.connection.client.zcard(wiring.store.connection.keys.of("due")))


@contextmanager
def _redis_ms(wiring: Wiring) -> Iterator[list[float]]:
    """Yield a list that holds the CPU time of Redis afterwards (ms)."""
    client: Any = wiring.store.connection.client
    before, spent = client.info("cpu"), list[float]()
    yield spent
    after = client.info("cpu")
    spent.append(sum(after[name] - before[name] for name in ("used_cpu_user", "used_cpu_sys")) * 1000)
