"""A policy replayed on the past: deletions, and later pulls of the deleted images. Times: seconds after the start."""

from hypothesis import given
from hypothesis import strategies as st

from service.domain.policy.model import Policy
from service.domain.retention.planner import plan
from service.domain.retention.state import State, Tag
from service.domain.retention.total import Total
from service.domain.simulation.replay import replay
from service.domain.simulation.report import Simulation
from service.domain.simulation.timeline import Timeline, TimelineEvent
from tests.support.makers import digest_of, policy, us
from tests.support.past import (
    DAY,
    END,
    LAST_2,
    SIZE,
    THREE,
    deleted,
    gone,
    left,
    lived,
    missed,
    pulled,
    pushed,
)

# What would have gone, and when


def test_time_alone_deletes_between_two_events_and_after_the_last() -> None:
    rules = policy("rules: [{keep: {pushed_within: 1d}}]")
    outcome = lived(rules, pushed("v1", 0), pushed("v2", DAY / 2), pushed("v3", 9 * DAY), end=9 * DAY + 5)
    assert gone(outcome) == [("v1", DAY), ("v2", 1.5 * DAY)]
    assert left(outcome) == ["v3"]


def test_a_pull_before_the_period_counts_as_use() -> None:
    rules = policy("rules: [{keep: {pulled_within: 1d}}]")
    assert gone(lived(rules, pushed("v1", 0), pulled("v1", DAY), start=1.5 * DAY)) == [("v1", 2 * DAY)]


def test_a_dry_run_policy_is_tried_as_if_it_were_none() -> None:
    assert gone(lived(LAST_2.model_copy(update={"dry_run": True}), *THREE)) == [("v1", 3)]


def test_an_image_that_is_leased_today_is_kept() -> None:
    assert gone(lived(LAST_2, *THREE, leased={digest_of("v1"): us(END)}, end=END - 1)) == []


# What was pulled afterwards


def test_a_pull_before_the_deletion_was_served() -> None:
    assert missed(lived(LAST_2, *THREE, pulled("v1", 2.5))) == []


def test_pulls_that_the_policy_ignores_are_neither_use_nor_missed() -> None:
    rules = policy("ignore_pulls: ['trivy*', robot]\nrules: [{keep: {pulled_within: 1d}}]")
    scans = [
        pulled("v1", DAY / 2, agent="trivy/1"),
        pulled("v1", 2 * DAY, agent="trivy/1"),
        pulled("v1", 3 * DAY, by="robot"),
    ]
    outcome = lived(rules, pushed("v1", 0), *scans)
    assert (gone(outcome), missed(outcome)) == ([("v1", DAY)], [])
    before = lived(rules, pushed("v1", 0), *scans, start=DAY / 2 + 1)
    assert gone(before) == [("v1", DAY)]


def test_a_moved_tag_is_pulled_where_it_stands_now() -> None:
    outcome = lived(LAST_2, *THREE, pushed("v1", 4, "new"), pulled("v1", 5, "new"), pulled("", 6, "v1"))
    assert missed(outcome) == [("v1", 1)]
    late = lived(LAST_2, *THREE, pushed("v1", 4, "new"), pulled("v1", 5, "v1"))
    assert missed(late) == []


# Approval


def test_a_plan_over_hold_over_waits_and_deletes_nothing() -> None:
    rules = policy("hold_min: 1\nrules: [{keep: {last: 1}}]")
    outcome = lived(rules, *THREE, pushed("v4", 20), start=10)
    (wait,) = outcome.holds
    assert (wait.from_us, wait.until_us) == (us(10), None)
    assert wait.reason == "it would delete 2 of 3 tags, more than 50% (hold_over)"
    assert (gone(outcome), left(outcome)) == ([], ["v1", "v2", "v3", "v4"])


def test_a_push_does_not_end_a_wait() -> None:
    rules = policy("hold_min: 1\nrules: [{tags: v*, keep: {last: 1}}]")
    outcome = lived(rules, *THREE, pushed("main", 20), start=10)
    assert [wait.until_us for wait in outcome.holds] == [None]
    assert gone(outcome) == []


def test_a_wait_ends_when_none_of_it_is_to_be_deleted_any_more() -> None:
    rules = policy("hold_min: 1\nrules: [{tags: v*, keep: {last: 1}}]")
    outcome = lived(rules, *THREE, deleted("v1", 20), deleted("v2", 30), pushed("v4", 40), start=10)
    (wait,) = outcome.holds
    assert (wait.from_us, wait.until_us) == (us(10), us(30))
    assert gone(outcome) == [("v3", 40)]


def test_approved_holds_go_on_at_once() -> None:
    rules = policy("hold_min: 1\nrules: [{keep: {last: 1}}]")
    outcome = lived(rules, *THREE, start=10, approve_holds=True)
    assert (gone(outcome), outcome.holds) == ([("v2", 10), ("v1", 10)], ())


# The figures


def test_totals_per_day_rule_and_repository_count_tags_digests_and_bytes() -> None:
    rules = policy("""
        rules:
        - {name: prs, tags: pr-*, keep: none}
        - {name: newest, tags: v*, keep: {last: 1}}
    """)
    api = lived(
        rules,
        pushed("v1", 1, size=5),
        pushed("v1-copy", 2, "v1", size=5),
        pushed("v2", DAY, size=7),
        pushed("pr-1", DAY, size=9),
    )
    web = replay(Timeline(State(repository="web"), (pushed("pr-1", 5, size=11),)), rules, us(0), us(END))
    simulation = Simulation(us(0), us(END), (api, web))
    assert simulation.days == (Total("2023-11-14", 0 + 1, 1, 11), Total("2023-11-15", 3, 2, 14))
    assert simulation.rules == (Total("newest", 2, 1, 5), Total("prs", 2, 2, 20))
    assert simulation.repositories == (Total("shop/api", 3, 2, 14), Total("web", 1, 1, 11))
    assert simulation.total == Total("", 4, 3, 25)
    assert [item.repository for item in simulation.deletions] == ["web", "shop/api", "shop/api"]


def test_a_tag_that_is_deleted_alone_counts_as_a_tag_and_as_no_image() -> None:
    rules = policy("protect: latest\nrules: [{name: newest, keep: {last: 1}}]")
    outcome = lived(rules, pushed("v1", 1), pushed("latest", 1, "v1"), pushed("v2", 2), pushed("v3", 3))
    simulation = Simulation(us(0), us(END), (outcome,))
    assert simulation.total == Total("", 2, 1, SIZE)
    assert simulation.rules == (Total("newest", 2, 1, SIZE),)


def test_the_image_that_was_pulled_most_often_is_named_first() -> None:
    pulls = (pulled("v1", 10), pulled("v2", 11), pulled("v2", 12))
    outcome = lived(LAST_2, *THREE, pushed("v4", 4), *pulls)
    named = [event.deletion.tags for event in Simulation(us(0), us(END), (outcome,)).missed]
    assert named == [("v2",), ("v1",)]


# What holds for every past

NAMES = st.sampled_from([f"{kind}{number}" for kind in ("v1.", "pr-", "b") for number in range(6)])
PUSHES = st.lists(st.tuples(NAMES, st.integers(0, 5), st.integers(0, 40)), max_size=25)
POLICIES = st.sampled_from(
    [
        policy("rules: [{keep: {last: 3}}]"),
        policy("rules: [{keep: {last: 2, pushed_within: 10s}}]\ngrace: 3s"),
        policy("rules: [{tags: pr-*, keep: none, older_than: 5s}, {tags: v*, keep: {last: 2}, order: semver}]"),
        policy("rules: [{group: '^(.)', keep: {last: 1, pulled_within: 20s, mode: all}}]\nprotect: b1"),
        policy("rules: [{keep: {last: 2, revisions: 1}, untagged: 5s}]"),
        policy("rules: [{keep: {last: 2}}]\nhold_min: 2\nhold_over: 20%"),
        policy("rules: [{tags: v*, keep: none}, {tags: b*, keep: {last: 2}}]\nprotect: pr-1"),
        policy("rules: [{tags: v*, keep: none}, {tags: b*, keep: {last: 2}}]\nprotect: pr-1\nshared: keep"),
    ]
)


def _happened(pushes: list[tuple[str, int, int]]) -> tuple[TimelineEvent, ...]:
    """Pushes with the seconds that pass before each."""
    at, result = 0, []
    for name, digest, pause in pushes:
        at += pause + 1
        result.append(pushed(name, at, f"digest {digest}"))
    return tuple(result)


@given(PUSHES, POLICIES)
def test_without_pulls_nothing_is_missed(pushes: list[tuple[str, int, int]], rules: Policy) -> None:
    assert lived(rules, *_happened(pushes), approve_holds=True).missed == ()


@given(PUSHES, POLICIES)
def test_a_simulation_keeps_the_images_that_plans_made_step_by_step_keep(
    pushes: list[tuple[str, int, int]], rules: Policy
) -> None:
    tags: dict[str, Tag] = {}
    next_us: int | None = None
    held: set[str] = set()
    under = rules.fingerprint()

    def keep(now_us: int) -> int | None:
        state = State(repository="shop/api", tags=tuple(tags.values()), held=frozenset(held), held_under=under)
        made = plan(state, rules, now_us)
        held.clear()
        held.update(doomed.digest for doomed in made.doomed if made.hold)
        for verdict in made.verdicts if not made.hold else ():
            if not verdict.kept:
                del tags[verdict.tag.name]
        return made.next_us

    happened = _happened(pushes)
    for item in happened:
        while next_us is not None and next_us < item.at_us:
            next_us = keep(next_us)
        tags[item.tag] = Tag(item.tag, item.digest, item.at_us, SIZE, "ci")
        next_us = keep(item.at_us)
    while next_us is not None and next_us <= us(END):
        next_us = keep(next_us)
    assert lived(rules, *happened).left == tuple(tags[name] for name in sorted(tags))
