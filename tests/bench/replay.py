"""A month of a busy company, played at full speed through ingest and planning.

The company is that of service/local/company.py; company_player.py beside it says what is real: notifications are
recorded as the web process records them when they wait, and plans are made as a worker makes them, by the clock of the
company, also those that only time makes due. HTTP, Celery's transport and deletions at a registry are left out;
`ingest`, `gone` and `prune` measure them.

REPLAY_DAYS shortens the month, and REPLAY_REPOSITORIES and REPLAY_JOBS make the company smaller.
"""

import os
import resource
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from unittest.mock import patch

from service.clock import now_us
from service.domain.policy.model import Policy
from service.domain.retention import planner
from service.domain.retention.plan import Plan
from service.local.company import Company, pushes
from service.local.company_player import CompanyPlayer, batches
from service.prune import planning
from service.settings import load_settings
from service.wiring import Wiring, wire
from tests.bench.figure import Figure, percentile
from tests.fakes.valkey import Valkey

COMPANY = Company(
    days=float(os.environ.get("REPLAY_DAYS", "30")),
    repositories=int(os.environ.get("REPLAY_REPOSITORIES", "10000")),
    jobs=int(os.environ.get("REPLAY_JOBS", "200")),
)
POLICY = Policy.model_validate(
    {
        "hold_over": 100,
        "rules": [
            {"name": "releases", "tags": ["v*", "stable"], "keep": "always"},
            {"name": "requests", "tags": ["pr-*"], "keep": {"last": 10, "pushed_within": "7d"}},
            {"name": "main", "tags": ["main-*", "latest"], "keep": {"last": 20}, "untagged": "1d"},
        ],
    }
)


@dataclass
class _Played:
    """The totals of a replay.

    Attributes:
        recorded: CPU time of recording.
        decisions: tags and manifests that a plan decided about.
        plans_ms: the CPU time of each plan, with its comparison and its commit.
    """

    events: int = 0
    recorded: "_Spent" = field(default_factory=lambda: _Spent())
    decisions: int = 0
    deleted: int = 0
    plans_ms: list[float] = field(default_factory=list)


@dataclass
class _Spent:
    """CPU time of this process (s)."""

    cpu_s: float = 0.0

    @contextmanager
    def measured(self) -> Iterator[None]:
        """Add the CPU time of the block."""
        before_s = time.process_time()
        yield
        self.cpu_s += time.process_time() - before_s


def measure() -> Iterator[Figure]:
    with tempfile.TemporaryDirectory() as folder, Valkey(Path(folder)) as valkey:
        history = {"unseen_repositories": COMPANY.repositories + 1}
        settings = load_settings(
            environ={},
            redis={"url": valkey.url},
            policy=POLICY,
            data_dir=Path(folder),
            history=history,
            reconcile={"late": f"{COMPANY.days:g}d"},
            log={"level": "warning"},
        )
        wiring = wire(settings)
        client: Any = wiring.store.connection.client
        before, begun_s = client.info("cpu"), time.monotonic()
        played = _Replay(wiring).play()
        took_s, after = time.monotonic() - begun_s, client.info("cpu")
        redis_s = sum(after[name] - before[name] for name in ("used_cpu_user", "used_cpu_sys"))
        title = f"{COMPANY.days:g} days of {COMPANY.jobs} CI jobs in {COMPANY.repositories:,} repositories"
        yield from _figures(title, played, redis_s)
        names = wiring.store.history.repositories()
        tags = sum(wiring.store.history.count_tags(name) for name in names)
        redis_mb = client.info("memory")["used_memory"] / 2**20
        own_mb = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
        measured = f"Redis {redis_mb:,.0f} MiB for {tags:,} tags in {len(names):,} repositories; "
        yield Figure(f"{title}: memory", f"{measured}this process {own_mb:,.0f} MiB")
        yield Figure(f"{title}: whole replay", f"{took_s / 60:.1f} minutes, the generator included")


def _figures(title: str, played: _Played, redis_s: float) -> Iterator[Figure]:
    of_redis = f"{redis_s / played.events * 1_000_000:.0f} µs of Redis each, plans and deletions included"
    rate = played.events / played.recorded.cpu_s
    yield Figure(f"{title}: events", f"{played.events:,}: {rate:,.0f} recorded a second of CPU, {of_redis}")
    planned_s = sum(played.plans_ms) / 1000
    measured = f"{played.decisions:,} in {len(played.plans_ms):,} plans, {played.deleted:,} images deleted: "
    yield Figure(f"{title}: decisions", f"{measured}{played.decisions / planned_s:,.0f} a second of CPU")
    middle, last, longest = percentile(played.plans_ms, 50), percentile(played.plans_ms, 99), max(played.plans_ms)
    measured = f"{middle:.1f} ms of CPU, p99 {last:.1f}, longest {longest:.0f}; {planned_s:.0f} s in all"
    yield Figure(f"{title}: one plan", measured)


class _Replay(CompanyPlayer):
    def __init__(self, wiring: Wiring) -> None:
        super().__init__(wiring)
        self._store, self._played, self._now_us = wiring.store, _Played(), 0

    def play(self) -> _Played:
        made = planner.plan_evaluated

        def counted(evaluation: Any) -> Plan:
            self._played.decisions += len(evaluation.state.tags) + len(evaluation.state.untagged)
            return made(evaluation)

        clock = patch.object(planning, "now_us", lambda: self._now_us)
        with clock, patch.object(planner, "plan_evaluated", counted):
            for batch in batches(pushes(COMPANY, now_us() - 60_000_000)):
                self._now_us = batch[-1].at_us
                with self._played.recorded.measured():
                    due = self.record(batch)
                self._played.events += sum(len(push.bodies) for push in batch)
                self._played.deleted += self.enforce(dict.fromkeys((*due, *self._due_by_time())))
                self.drop_messages()
        return self._played

    def _due_by_time(self) -> list[str]:
        """Return the repositories that became due by the clock of the company."""
        client: Any = self._store.connection.client
        key = self._store.connection.keys.of("due")
        due: list[str] = client.zrangebyscore(key, "-inf", self._now_us // 1000)
        return due

    def plan(self, repository: str) -> None:
        before_s = time.process_time()
        super().plan(repository)
        self._played.plans_ms.append((time.process_time() - before_s) * 1000)
