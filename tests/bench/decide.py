"""The time to decide about 10,000 tags, and to explain one of them."""

import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial

from service.domain.policy.model import Keep, Policy, Rule
from service.domain.retention.planner import plan
from service.domain.retention.state import State, Tag
from tests.bench.figure import Figure, percentile
from tests.support.makers import explain

TAGS, RULES, TIMES = 10_000, 200, 5
PLAN_S, EXPLAIN_S = 1.0, 0.2
_START_US, _MINUTE_US = 1_700_000_000_000_000, 60_000_000
NOW_US = _START_US + TAGS * _MINUTE_US
EXPLAINED = ("b9995", "b5000", "b5", "b6003")

STATE = State(
    repository="shop/api",
    tags=tuple(
        Tag(f"b{number}", f"sha256:{number:064x}", _START_US + number * _MINUTE_US, created_us=0)
        for number in range(TAGS)
    ),
)
ONE = Policy(rules=(Rule(keep=Keep(last=10)),))
DISTINCT = Policy(rules=tuple(Rule(tags=(f"b{number}*",), keep=Keep(last=10)) for number in range(RULES)))
EVERY = Policy(rules=tuple(Rule(tags=("*", f"v{number}"), keep=Keep(last=10)) for number in range(RULES)))
AGED = Policy(rules=tuple(Rule(older_than=f"{hours}h", keep=Keep(last=10)) for hours in range(1, RULES + 1)))
FINAL = Policy(
    rules=(
        *(
            Rule(tags=("*3",), older_than=f"{days}d", keep=Keep(last=3), final=True)
            for days in range(30, 30 + RULES - 1)
        ),
        Rule(keep=Keep(last=5000)),
    )
)
# The same tags pushed over 220 days, so that the final rules take them up one by one.
OLD = replace(
    STATE,
    tags=tuple(replace(tag, pushed_us=NOW_US - (TAGS - at) * 32 * _MINUTE_US) for at, tag in enumerate(STATE.tags)),
)


def measure() -> Iterator[Figure]:
    for tag, policy in (
        ("one rule", ONE),
        (f"{RULES} rules of different patterns", DISTINCT),
        (f"{RULES} rules of which all but one are final", FINAL),
    ):
        yield _figure(f"seconds to plan {TAGS:,} tags by {tag}", PLAN_S, partial(_planned, policy))
    for tag, state, policy in (
        ("rules for every tag", STATE, EVERY),
        ("rules for tags of different ages", STATE, AGED),
        ("final rules that take up one tag after another", OLD, FINAL),
    ):
        for name in EXPLAINED:
            title = f"seconds to explain {name} of {TAGS:,} tags under {RULES} {tag}"
            yield _figure(title, EXPLAIN_S, partial(_explained, state, policy, name))


def _figure(title: str, most_s: float, decide: Callable[[], None]) -> Figure:
    taken: list[float] = []
    for _ in range(TIMES):
        began = time.perf_counter()
        decide()
        taken.append(time.perf_counter() - began)
    middle = percentile(taken, 50)
    return Figure(title, f"{middle:.3f} ({min(taken):.3f}–{max(taken):.3f})", f"≤ {most_s}", middle <= most_s)


def _planned(policy: Policy) -> None:
    assert len(plan(STATE, policy, NOW_US).verdicts) == TAGS


def _explained(state: State, policy: Policy, name: str) -> None:
    (result,) = explain(state, policy, NOW_US, (name,))
    assert result.verdict.tag.name == name
