"""A plan without most of its verdicts is the same plan: only verdicts that nothing depends on are left out."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from service.domain.policy.model import Policy
from service.domain.retention.planner import plan, plan_deletions
from service.domain.retention.state import ManualDeletion, State, UnapprovedTags
from tests.domain.retention.strategies import DIGESTS, NAMES, NOW, STATES, policies
from tests.support.examples import examples
from tests.support.makers import policy, tag, us

thorough: Callable[[Any], Any] = examples(600)
_SOME = st.frozensets(st.sampled_from(NAMES), max_size=2)


@st.composite
def states(draw: st.DrawFn) -> State:
    """States of every kind, with tags of unreported pushes, lost tags, and what was requested or must be approved."""
    state, unannounced, existing = draw(STATES), draw(_SOME), draw(_SOME)
    tags = (replace(each, unannounced=each.name in unannounced, found=each.name in existing) for each in state.tags)
    requests = draw(st.dictionaries(st.sampled_from((*NAMES, *DIGESTS)), st.sampled_from(DIGESTS), max_size=2))
    return replace(
        state,
        tags=tuple(tags),
        lost=draw(st.just(frozenset()) | _SOME),
        manual_deletions={name: ManualDeletion(digest, "amy", us(1)) for name, digest in requests.items()},
        unapproved=draw(st.none() | st.just(UnapprovedTags(us(600))) | st.just(UnapprovedTags(us(600), 2, 5))),
        planned_us=draw(st.none() | st.just(us(600))),
        hides_tags=draw(st.booleans()),
        reports_until_us=draw(st.sampled_from((0, us(2000)))),
    )


@thorough
@given(states(), policies())
def test_only_verdicts_that_nothing_depends_on_are_left_out(state: State, wanted: Policy) -> None:
    whole, short = plan(state, wanted, NOW), plan_deletions(state, wanted, NOW)
    assert replace(short, verdicts=whole.verdicts) == whole
    left_out = [verdict for verdict in whole.verdicts if verdict not in short.verdicts]
    assert short.verdicts == tuple(verdict for verdict in whole.verdicts if verdict not in left_out)
    for verdict in left_out:
        assert verdict.kept
        assert (verdict.until_us, verdict.unknown_age, verdict.postponed) == (None, None, False)


def test_the_verdicts_on_the_newest_images_are_left_out() -> None:
    state = State(repository="shop/api", tags=tuple(tag(f"v{number}", pushed=number) for number in range(9)))
    wanted = policy("rules: [{keep: {last: 7}}]")
    assert [verdict.tag.name for verdict in plan_deletions(state, wanted, NOW).verdicts] == ["v1", "v0"]


def test_the_verdict_on_an_image_of_unknown_age_is_not_left_out() -> None:
    newer = State(repository="shop/api", tags=(tag("v2", pushed=2), tag("v1", pushed=1)))
    state = replace(newer, tags=(replace(newer.tags[0], unannounced=True), newer.tags[1]))
    made = plan_deletions(state, policy("rules: [{keep: {last: 7}}]"), NOW)
    assert [verdict.tag.name for verdict in made.verdicts] == ["v2"]
