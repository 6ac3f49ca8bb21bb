"""A month of a busy company (company.py), played at full speed through ingest and planning, without a registry.

REPLAY_DAYS shortens the month; after REPLAY_MINUTES, the figures are of the days that were played until then. What a
plan dooms counts as deleted at once, so that repositories stay small.
"""

import os
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from service.clock import now_us
from service.domain.events import parse
from service.domain.oci.manifest import References
from service.domain.policy.model import Policy
from service.domain.retention import planner
from service.prune.committing import commit
from service.settings import load_settings
from service.wiring import Wiring, wire
from tests.bench.company import DAY_US, Company, Pushed, month
from tests.bench.figure import Figure, percentile
from tests.fakes.valkey import Valkey

DAYS = float(os.environ.get("REPLAY_DAYS", "30"))
MINUTES = float(os.environ.get("REPLAY_MINUTES", "30"))
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
    """The totals of a replay. days: that were played; plans_ms: the CPU time of each plan."""

    days: float = 0.0
    events: int = 0
    verdicts: int = 0
    deleted: int = 0
    ingest_s: float = 0.0
    plans_ms: list[float] = field(default_factory=list)


def measure() -> Iterator[Figure]:
    company = Company(days=DAYS)
    with tempfile.TemporaryDirectory() as folder, Valkey(Path(folder)) as valkey:
        history = {"unseen_repositories": company.repositories + 1}
        settings = load_settings(
            environ={}, redis={"url": valkey.url}, policy=POLICY, data_dir=Path(folder), history=history
        )
        wiring = wire(settings)
        client: Any = wiring.store.connection.client
        before = client.info("cpu")
        played = _play(wiring, company)
        after = client.info("cpu")
        redis_s = sum(after[name] - before[name] for name in ("used_cpu_user", "used_cpu_sys"))
        name = f"{played.days:.3g} days of {company.jobs} CI jobs in {company.repositories:,} repositories"
        yield Figure(
            f"{name}: events",
            f"{played.events:,}: {played.events / played.ingest_s:,.0f} a second of CPU, "
            f"{redis_s / played.events * 1_000_000:.0f} µs of Redis each, plans included",
        )
        planned_s = sum(played.plans_ms) / 1000
        yield Figure(
            f"{name}: decisions",
            f"{played.verdicts:,} in {len(played.plans_ms):,} plans, {played.deleted:,} images deleted: "
            f"{played.verdicts / planned_s:,.0f} decisions a second of CPU",
        )
        middle, last = percentile(played.plans_ms, 50), percentile(played.plans_ms, 99)
        yield Figure(f"{name}: one plan", f"{middle:.1f} ms of CPU, p99 {last:.1f}, longest {max(played.plans_ms):.0f}")
        memory = client.info("memory")["used_memory"] / 2**20
        yield Figure(f"{name}: memory of Redis afterwards", f"{memory:,.0f} MiB for {_tags(wiring):,} tags")


def _play(wiring: Wiring, company: Company) -> _Played:
    played = _Played()
    history, known = wiring.store.history, set[str]()
    end_us, end_s = now_us() - 60_000_000, time.monotonic() + MINUTES * 60
    for pushed in month(company, end_us):
        if time.monotonic() > end_s:
            break
        played.days = company.days - (end_us - pushed.at_us) / DAY_US
        before_s = time.process_time()
        for body in pushed.bodies:
            history.record(parse(body, now_us()))
        played.ingest_s += time.process_time() - before_s
        played.events += len(pushed.bodies)
        if pushed.repository not in known:
            # As if it had been compared with the registry: of others, only 1,000 tags are recorded.
            wiring.store.facts.adopt(history.snapshot(pushed.repository), complete=True)
            known.add(pushed.repository)
        # Each push of a tag makes its repository due; here it may be due already, as for Redis the month is over.
        if pushed.tag:
            _plan(wiring, pushed, played)
    return played


def _plan(wiring: Wiring, pushed: Pushed, played: _Played) -> None:
    """Plan as a worker does; the parts of an index are read from the generator in place of the registry."""
    store, before_s = wiring.store, time.process_time()
    snapshot = store.history.snapshot(pushed.repository)
    plan = planner.plan(snapshot, POLICY, pushed.at_us)
    if plan.unresolved:
        store.facts.resolve(snapshot, {digest: References(pushed.children) for digest in plan.unresolved})
        snapshot = store.history.snapshot(pushed.repository)
        plan = planner.plan(snapshot, POLICY, pushed.at_us)
    commit(store, wiring.registry, snapshot, plan, "doomed" if plan.doomed else "none", POLICY)
    played.plans_ms.append((time.process_time() - before_s) * 1000)
    played.verdicts += len(plan.verdicts) + len(plan.untagged)
    for image in plan.doomed:
        store.deletions.forget(snapshot, image)
    played.deleted += len(plan.doomed)


def _tags(wiring: Wiring) -> int:
    return sum(wiring.store.history.count_tags(name) for name in wiring.store.history.repositories())
