"""A plan that sets settled tags aside is the whole plan, whatever has changed since they were settled."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import HealthCheck, event, given, settings
from hypothesis import strategies as st

from service.domain.oci.manifest import References
from service.domain.policy.model import Policy
from service.domain.retention import settled
from service.domain.retention.evaluation import Evaluation
from service.domain.retention.plan import Plan
from service.domain.retention.planner import plan, plan_evaluated
from service.domain.retention.settled import settle, without_settled
from service.domain.retention.state import ManualDeletion, State, Tag, UnapprovedTags, Untagged
from tests.domain.retention.strategies import NOW
from tests.support.examples import part_of
from tests.support.makers import digest_of, policy, tag, us

NAMES = tuple(f"{letter}{number}" for letter in "ab" for number in range(8))
_NAME = st.sampled_from(NAMES)
_MOMENT = st.integers(0, 20).map(lambda step: us(step * 60))
_OWN = st.builds(lambda name, pushed_us: Tag(name, digest_of(name), pushed_us), _NAME, _MOMENT)
_PUSHED = _OWN | st.builds(
    Tag,
    _NAME | st.sampled_from(("latest", "sha256-" + "a" * 64 + ".sig")),
    _NAME.map(digest_of) | _NAME.map(lambda name: digest_of(f"new {name}")),
    _MOMENT | _MOMENT | st.none(),
    unannounced=st.sampled_from((False, False, False, True)),
)
# Most tags have digests of their own, or no tag would be settled.
_KNOWN = st.tuples(_MOMENT, *(st.sampled_from((False, False, False, False, True)) for _ in range(2)))
TAGS = st.lists(_KNOWN, min_size=3, max_size=16).map(
    lambda known: tuple(
        Tag(name, digest_of("b7" if is_shared else name), pushed_us, unannounced=unannounced)
        for name, (pushed_us, unannounced, is_shared) in zip(NAMES[::-1], known, strict=False)
    )
)
_KEEPS = (
    "{last: 1}", "{last: 2}", "{last: 4}", "{last: 6}", "{last: 12}", "{last: 4, pushed_within: 300s}", "always",
    "none", "{pushed_within: 300s}", "{last: 3, mode: all, pushed_within: 700s}", "{last: 3, last_pulled: 1}",
    "{last: 3, revisions: 1}",
)  # fmt: skip
_RULES = st.builds(
    "{{tags: {}, {}order: {}, count: {}, keep: {}, untagged: 300s, {}}}".format,
    st.sampled_from(('"*"', '"a*"', '"a*"', '"b*"', '"b*"', '"*1"')),
    st.sampled_from(("", "", "group: '^([ab])', ")),
    st.sampled_from(("pushed", "pushed", "pushed", "name", "semver", "semver", "created")),
    st.sampled_from(("digests", "tags")),
    st.sampled_from(_KEEPS[:6] * 6 + _KEEPS),
    st.sampled_from((*("final: false",) * 12, "final: true", "older_than: 300s")),
)
POLICIES = st.builds(
    lambda rules, more: policy(f"rules: [{', '.join(rules)}]\n{more}"),
    st.lists(_RULES, min_size=1, max_size=2),
    st.sampled_from(("", "", "hold_over: 100%", "shared: keep", "protect: [a1]", "grace: 300s\nhold_min: 1")),
)
_DIGESTS = st.frozensets(_NAME.map(digest_of), max_size=2)
_REFERENCES = st.builds(
    References,
    children=_DIGESTS.map(tuple),
    subject=st.none() | st.none() | _NAME.map(digest_of),
    readable=st.sampled_from((True, True, False)),
)
_DIGEST = _NAME.map(digest_of)
_UNTAGGED = st.builds(
    Untagged, _DIGEST | st.just(digest_of("x")), _MOMENT, st.sampled_from(("", "a1")), st.just("") | _DIGEST
)
_REQUEST = st.builds(ManualDeletion, _NAME.map(digest_of), st.just("amy"), _MOMENT)
# Of the state, one thing at a time: most of them make a plan whole.
_FIELDS: Mapping[str, st.SearchStrategy[Any]] = {
    "links": st.dictionaries(_NAME.map(digest_of), st.none() | _REFERENCES, min_size=1, max_size=2),
    "untagged": st.lists(_UNTAGGED, max_size=2, unique_by=lambda untagged: untagged.digest).map(tuple),
    "lost": st.frozensets(_NAME, max_size=1),
    "manual_deletions": st.dictionaries(_NAME | _NAME.map(digest_of), _REQUEST, max_size=2),
    "deleted": _DIGESTS | st.just(frozenset({"sha256:" + "a" * 64})),
    "leased": st.dictionaries(_NAME.map(digest_of), _MOMENT, max_size=2),
    "hides_tags": st.booleans(),
    "approved": _DIGESTS,
    "planned_us": _MOMENT,
    "unapproved": st.builds(UnapprovedTags, _MOMENT),
    "reports_until_us": st.just(us(2000)),
    "revisions": st.dictionaries(_NAME, _DIGESTS.map(tuple), max_size=2),
}
CHANGES = st.just(dict[str, Any]()) | st.sampled_from(sorted(_FIELDS)).flatmap(
    lambda field: st.fixed_dictionaries({field: _FIELDS[field]})
)


SIX = {f"v{number}": tag(f"v{number}", pushed=number) for number in range(1, 7)}
KEEP_SIX = policy("rules: [{keep: {last: 6}}]")
V3 = digest_of("v3")


def set_aside(
    wanted: Policy,
    before: Mapping[str, Tag],
    after: Mapping[str, Tag] | None = None,
    records: Mapping[str, Any] | None = None,
    changed: frozenset[str] = frozenset(),
) -> frozenset[str] | None:
    """The tags that a plan sets aside, which must be the whole plan; None if that is made.

    Args:
        wanted: the policy.
        before: the tags that were settled.
        after: the tags of the plan.
        records: the rest of its state.
        changed: tags that had changed when the others were settled.
    """
    after = before if after is None else after
    known = settle(Evaluation(State(repository="shop/api", tags=tuple(before.values())), wanted, NOW), changed)
    state = State(repository="shop/api", tags=tuple(after.values()), **(records or {}))
    changed |= {name for name in {*before, *after} if before.get(name) is not after.get(name)}
    evaluation = without_settled(known, state, NOW, after, changed) if known else None
    if evaluation is None:
        return None
    assert decided(plan_evaluated(evaluation)) == decided(plan(state, wanted, NOW))
    return frozenset(after) - {tag.name for tag in evaluation.state.tags}


def without(*names: str) -> frozenset[str]:
    return frozenset(SIX) - set(names)


@pytest.mark.parametrize(
    ("wanted", "unsettled"),
    [
        ("rules: [{keep: {last: 6}}]", ()),
        ("rules: [{keep: {last: 4}}]", ("v1", "v2")),
        ("rules: [{keep: {last: 6}}]\nprotect: [v2]", ("v2",)),
        ("rules: [{keep: {last: 6}}, {tags: v2, keep: always}]", ("v2",)),
        ("rules: [{tags: [v1, v2], keep: {pushed_within: 1s}}, {tags: 'v[3-6]', keep: {last: 4}}]", ("v1", "v2")),
    ],
)
def test_tags_are_settled_that_one_rule_keeps_by_its_last(wanted: str, unsettled: tuple[str, ...]) -> None:
    assert set_aside(policy(wanted), SIX) == without(*unsettled)


@pytest.mark.parametrize(
    "rule",
    [
        "{keep: always}",
        "{keep: {last: 6}, final: true}",
        "{keep: {last: 6}, older_than: 1s}",
        "{keep: {last: 6}, order: created}",
        "{keep: {last: 6, revisions: 1}}",
        "{keep: {last: 6, last_pulled: 1}}",
        "{keep: {last: 6, pushed_within: 1s, mode: all}}",
    ],
)
def test_plans_by_other_rules_are_whole(rule: str) -> None:
    assert set_aside(policy(f"rules: [{rule}]"), SIX) is None


@pytest.mark.parametrize(
    ("more", "unsettled"),
    [
        ({"v3": replace(SIX["v3"], unannounced=True)}, without("v3")),
        ({"v3": replace(SIX["v3"], digest=digest_of("v2"))}, without("v2", "v3")),
        ({"v3": replace(SIX["v3"], pushed_us=None)}, None),
        ({"sig": tag("sha256-" + "a" * 64 + ".sig")}, None),
    ],
)
def test_a_tag_that_depends_on_others_is_not_settled(more: Mapping[str, Tag], unsettled: frozenset[str] | None) -> None:
    assert set_aside(KEEP_SIX, {tag.name: tag for tag in {**SIX, **more}.values()}) == unsettled


def test_tags_that_had_changed_are_not_settled() -> None:
    assert set_aside(KEEP_SIX, SIX, changed=frozenset({"v3", "deleted"})) == without("v3")


@pytest.mark.parametrize(
    ("more", "aside"),
    [
        ({"v3": None}, without("v3")),
        ({"v6": None}, without("v6")),
        ({"v3": replace(SIX["v3"], digest=digest_of("new"))}, without("v3")),
        ({"v3": replace(SIX["v3"], pulled_us=us(9))}, without("v3")),
        ({"v6": replace(SIX["v6"], found=True)}, without("v6")),
        ({"v3": None, "v7": tag("v7", pushed=7)}, without("v3")),
        ({"v3": None, "latest": replace(SIX["v3"], name="latest")}, without("v3")),
        ({"v3": None, "old": tag("old", pushed=0)}, without("v3")),
        ({"v7": tag("v7", pushed=7)}, frozenset()),
        ({"v3": None, "v7": tag("v7", pushed=7), "v8": tag("v8", pushed=8)}, frozenset()),
        ({"v7": tag("v7", pushed=1)}, frozenset()),
        ({"old": tag("old", pushed=0)}, without()),
        ({"latest": replace(SIX["v3"], name="latest")}, None),
        ({"v7": tag("v7", pushed=None)}, None),
        ({"sig": tag("sha256-" + "a" * 64 + ".sig")}, None),
    ],
)
def test_settled_tags_that_did_not_change_are_set_aside_as_long_as_there_are_places(
    more: Mapping[str, Tag | None], aside: frozenset[str] | None
) -> None:
    after = {name: tag for name, tag in {**SIX, **more}.items() if tag}
    assert set_aside(KEEP_SIX, SIX, {tag.name: tag for tag in after.values()}) == aside


def test_recent_pushes_of_tags_set_aside_explain_as_many_deletions() -> None:
    wanted = policy("rules: [{keep: {last: 6}}]\nhold_over: 10%\nhold_min: 0")
    old = {"old": tag("old", pushed=0)}
    assert set_aside(wanted, SIX, SIX | old, {"planned_us": us(0)}) == without()


@pytest.mark.parametrize("v3", [None, replace(SIX["v3"], digest=digest_of("new"))])
def test_another_thread_may_plan_a_state_from_before_tags_were_settled(v3: Tag | None) -> None:
    later = {name: tag for name, tag in {**SIX, "v3": v3}.items() if tag}
    state = State(repository="shop/api", tags=tuple(later.values()))
    known = settle(Evaluation(state, KEEP_SIX, NOW), frozenset({"v3"}))
    assert known
    earlier = State(repository="shop/api", tags=tuple(SIX.values()))
    evaluation = without_settled(known, earlier, NOW, SIX, frozenset())
    assert evaluation
    assert evaluation.state.tags == (SIX["v3"],)


@pytest.mark.parametrize("moved", [{}, {"a1": tag("a1", pushed=7, digest="new")}])
def test_a_crowded_group_is_decided_and_others_are_not(moved: dict[str, Tag]) -> None:
    wanted = policy("rules: [{group: '^(.)', keep: {last: 2}}]")
    before = {name: tag(name, pushed=number) for number, name in enumerate(("a1", "a2", "b1", "b2"))}
    after = before | {"a3": tag("a3", pushed=9), "a4": tag("a4", pushed=8)} | moved
    assert set_aside(wanted, before, after) == frozenset({"b1", "b2"})


@pytest.mark.parametrize(
    "records",
    [
        {"lost": frozenset({"v1"})},
        {"manual_deletions": {"v3": ManualDeletion(V3, "amy", NOW)}},
        {"manual_deletions": {V3: ManualDeletion(V3, "amy", NOW)}},
        {"manual_deleted": frozenset({V3})},
        {"links": {digest_of("index"): References(children=(V3,))}},
        {"links": {digest_of("signature"): References(subject=V3)}},
        {"links": {V3: References(readable=False)}},
        {"links": {V3: None}},
        {"untagged": (Untagged(V3, NOW),)},
        {"untagged": (Untagged(digest_of("part"), NOW, index=V3),)},
    ],
)
def test_records_of_a_settled_tag_make_a_plan_whole(records: Mapping[str, Any]) -> None:
    assert set_aside(KEEP_SIX, SIX, records=records) is None


@pytest.fixture
def no_margin(monkeypatch: pytest.MonkeyPatch) -> None:
    """Small groups have places that remain for pushes, too."""
    monkeypatch.setattr(settled, "_LARGE", 3)
    monkeypatch.setattr(settled, "_MARGIN", 1)


@pytest.mark.usefixtures("no_margin")
def test_places_remain_for_pushes_to_a_large_group() -> None:
    assert set_aside(KEEP_SIX, SIX) == without("v1")
    assert set_aside(KEEP_SIX, SIX, SIX | {"v7": tag("v7", pushed=7)}) == without("v1")


_STEPS = st.lists(
    st.tuples(st.frozensets(_NAME, max_size=2), st.lists(_PUSHED, max_size=2), CHANGES), min_size=2, max_size=6
)


@pytest.mark.usefixtures("no_margin")
@settings(deadline=None, max_examples=part_of(600), suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(TAGS, POLICIES, _STEPS)
def test_plans_that_set_settled_tags_aside_are_the_whole_plans(
    tags: tuple[Tag, ...], wanted: Policy, steps: list[tuple[frozenset[str], list[Tag], dict[str, Any]]]
) -> None:
    live, changed = {tag.name: tag for tag in tags}, frozenset[str]()
    before = live, changed
    known = settle(Evaluation(State(repository="shop/api", tags=tags), wanted, NOW), changed)
    for number, (deleted, pushed, change) in enumerate(steps):
        merged = {name: tag for name, tag in live.items() if name not in deleted} | {tag.name: tag for tag in pushed}
        names = {name for name in {*live, *merged} if live.get(name) is not merged.get(name)}
        now = merged, changed | names
        # Another thread may have read the tags before they were settled.
        for live, changed in (before, now):
            state, now_us = State(repository="shop/api", tags=tuple(live.values()), **change), NOW + number * 60_000_000
            evaluation = without_settled(known, state, now_us, live, changed) if known else None
            if evaluation:
                event(f"{min(len(live) - len(evaluation.state.tags), 3)} set aside")
                assert decided(plan_evaluated(evaluation)) == decided(plan(state, wanted, now_us))
        if evaluation is None:
            event("whole" if known else "no tag is settled")
            known = settle(Evaluation(state, wanted, now_us), changed)
        before = now


def decided(made: Plan) -> Plan:
    return replace(made, verdicts=())
