"""The work of a decision, counted: 10,000 tags and 200 rules are no obstacle. `make bench` measures time."""

from collections import Counter
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from service.domain.policy.model import Policy
from service.domain.policy.patterns import Selector
from service.domain.retention.evaluation import Evaluation
from service.domain.retention.planner import plan
from service.domain.retention.ranking import Ranking
from service.domain.retention.selection import Selections
from service.domain.retention.state import State, Tag
from tests.bench.decide import AGED, DISTINCT, EVERY, EXPLAINED, FINAL, NOW_US, OLD, ONE, RULES, STATE, TAGS
from tests.support.makers import explain

WORK = {
    "verdicts": (Evaluation, "_evaluate"),
    "rankings": (Ranking, "__init__"),
    "patterns": (Selector, "select"),
    "stays": (Selections, "_selected_period"),
}


@pytest.fixture
def work(monkeypatch: pytest.MonkeyPatch) -> Counter[str]:
    """Counts of each step; tags: the number that a ranking went through."""
    done: Counter[str] = Counter()

    def counted(name: str, function: Callable[..., Any]) -> Callable[..., Any]:
        def called(*given: Any, **named: Any) -> Any:
            done[name] += 1
            return function(*given, **named)

        return called

    for name, (owner, method) in WORK.items():
        monkeypatch.setattr(owner, method, counted(name, getattr(owner, method)))
    selected = Selections.selected

    def going_through(self: Selections, *given: Any) -> Iterator[tuple[Tag, str]]:
        for item in selected(self, *given):
            done["tags"] += 1
            yield item

    monkeypatch.setattr(Selections, "selected", going_through)
    return done


@pytest.mark.parametrize("rules", [ONE, DISTINCT, FINAL], ids=["one", "distinct", "final"])
@pytest.mark.slow
def test_each_tag_is_evaluated_once_in_a_plan(work: Counter[str], rules: Policy) -> None:
    plan(OLD, rules, NOW_US)
    assert work["verdicts"] <= TAGS
    assert work["patterns"] <= TAGS + 1
    assert work["rankings"] <= RULES
    # No ranking goes through a tag twice; most end after their first ten.
    assert work["tags"] <= 2 * TAGS
    assert work["stays"] <= 2 * TAGS


@pytest.mark.parametrize("name", EXPLAINED)
@pytest.mark.parametrize(
    ("state", "rules"),
    [(STATE, EVERY), (STATE, AGED), (STATE, FINAL), (OLD, FINAL)],
    ids=["every", "aged", "new", "old"],
)
@pytest.mark.slow
def test_explaining_a_tag_among_ten_thousand_evaluates_few_moments(
    work: Counter[str], state: State, rules: Policy, name: str
) -> None:
    """The number of moments depends neither on the number of tags nor on the number of final rules."""
    explain(state, rules, NOW_US, (name,))
    assert work["verdicts"] <= RULES + 100
    assert work["rankings"] <= 3 * RULES
    assert work["patterns"] <= TAGS + 1
    assert work["tags"] <= 40 * TAGS
