"""What holds for every plan there is, whatever the state and the policy."""

from collections.abc import Callable
from dataclasses import replace
from random import Random
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from service.domain.pattern import compile_patterns
from service.domain.plan import Plan
from service.domain.policy import Keep, Policy, Rule
from service.domain.retention import NEVER_TAGGED_US, plan
from service.domain.state import State, is_referrer_tag
from tests.domain.strategies import DIGESTS, LIMITS, NOW, STATES, boundaries, policies, rules
from tests.examples import examples
from tests.makers import us

thorough: Callable[[Any], Any] = examples(150)
LATER = st.integers(0, 8).map(lambda step: NOW + step * 400_000_000)
NOT_FINAL = st.just(False)


def doomed(decided: Plan) -> frozenset[str]:
    return frozenset(one.digest for one in decided.doomed)


def gone(decided: Plan) -> frozenset[str]:
    return frozenset(verdict.tag.name for verdict in decided.verdicts if not verdict.kept)


def kept_digests(decided: Plan) -> frozenset[str]:
    return frozenset(v.tag.digest for v in (*decided.verdicts, *decided.untagged) if v.kept)


@thorough
@given(STATES, policies(), LATER)
def test_what_is_held_is_never_doomed(state: State, said: Policy, now_us: int) -> None:
    decided = plan(state, said, now_us)
    goes = doomed(decided)
    known = {digest: references for digest, references in state.links.items() if references}
    assert not goes & kept_digests(decided)
    assert not goes & {child for references in known.values() for child in references.children}
    assert not goes & {digest for digest, found in known.items() if found.subject or not found.readable}
    assert not goes & {digest for digest, until_us in state.leased.items() if until_us > now_us}
    assert goes <= {each.digest for each in state.tags} | {each.digest for each in state.untagged}
    for one in decided.doomed:
        for verdict in one.verdicts:
            assert verdict.tag.pushed_us is not None
            assert verdict.tag.pushed_us <= now_us - said.grace * 1_000_000
            assert not verdict.tag.name or not is_referrer_tag(verdict.tag.name)
            assert not verdict.tag.name or not said.protects(verdict.tag.name)


@thorough
@given(STATES, policies(rules(final=NOT_FINAL)), LATER)
def test_the_revisions_of_a_kept_tag_are_never_doomed(state: State, said: Policy, now_us: int) -> None:
    decided = plan(state, said, now_us)
    tagged = {each.digest for each in state.tags}
    for _, rule in said.rules_for(state.repository):
        most = rule.keep.revisions if isinstance(rule.keep, Keep) else 0
        for name in (verdict.tag.name for verdict in decided.verdicts if verdict.kept):
            if compile_patterns(rule.tags)(name) and rule.grouping.of(name) is not None:
                assert not doomed(decided) & (set(state.revisions.get(name, ())[:most]) - tagged)


@thorough
@given(STATES, policies(), LATER)
def test_what_never_had_a_tag_is_given_an_hour(state: State, said: Policy, now_us: int) -> None:
    young = {each.digest for each in state.untagged if not each.tag and each.since_us > now_us - NEVER_TAGGED_US}
    assert not doomed(plan(state, said, now_us)) & (young - {each.digest for each in state.tags})


@thorough
@given(STATES, policies())
def test_every_tag_and_every_untagged_manifest_gets_one_verdict_with_its_reason(state: State, said: Policy) -> None:
    decided = plan(state, said, NOW)
    assert sorted(v.tag.name for v in decided.verdicts) == sorted(each.name for each in state.tags)
    without = {each.digest for each in state.untagged} - {each.digest for each in state.tags}
    assert [v.tag.digest for v in decided.untagged] == sorted(without)
    every = (*decided.verdicts, *decided.untagged)
    assert all(v.reason for v in every)
    assert all(v.rule for v in every if not v.kept)
    assert all(v.until_us is None or (v.kept and v.until_us > NOW) for v in every)
    assert {v for one in decided.doomed for v in one.verdicts} == {v for v in every if not v.kept}
    assert all({v.tag.digest for v in one.verdicts} == {one.digest} for one in decided.doomed)
    assert len(doomed(decided)) == len(decided.doomed)


@thorough
@given(STATES, policies(), st.randoms(use_true_random=False))
def test_the_plan_is_the_same_for_any_order_of_its_input(state: State, said: Policy, random: Random) -> None:
    def shuffled(things: Any) -> list[Any]:
        found = list(things)
        random.shuffle(found)
        return found

    again = replace(
        state,
        tags=tuple(shuffled(state.tags)),
        untagged=tuple(shuffled(state.untagged)),
        links=dict(shuffled(state.links.items())),
        revisions=dict(shuffled(state.revisions.items())),
        leased=dict(shuffled(state.leased.items())),
    )
    assert plan(again, said, NOW) == plan(state, said, NOW)


@thorough
@given(STATES, policies(rules(final=NOT_FINAL)), st.randoms(use_true_random=False))
def test_the_order_of_rules_that_are_not_final_decides_nothing(state: State, said: Policy, random: Random) -> None:
    turned = list(said.rules)
    random.shuffle(turned)
    other = plan(state, said.model_copy(update={"rules": tuple(turned)}), NOW)
    decided = plan(state, said, NOW)
    assert doomed(other) == doomed(decided)
    assert (other.next_us, other.undated, other.unresolved) == (decided.next_us, decided.undated, decided.unresolved)
    assert (other.hold is None) == (decided.hold is None)


@thorough
@given(STATES, policies(), rules(final=NOT_FINAL))
def test_a_rule_that_says_nothing_of_what_is_untagged_only_adds_its_own_tags(
    state: State, said: Policy, last: Rule
) -> None:
    """One keep wins: what goes by more rules but stays by fewer was selected by none of the fewer."""
    silent = last.model_copy(update={"untagged": None, "name": "last"})
    more = plan(state, said.model_copy(update={"rules": (*said.rules, silent)}), NOW)
    fewer = plan(state, said, NOW)
    free = {v.tag.name for v in fewer.verdicts if v.kept and v.reason == "no rule selects it"}
    held = {v.tag.name for v in fewer.verdicts if v.kept and v.reason.startswith("its digest is kept as")}
    assert gone(more) <= gone(fewer) | free | held


MORE: tuple[tuple[dict[str, int | None], dict[str, int]], ...] = (
    ({"pushed_within": None}, {"pushed_within": 9000}),
    ({"pulled_within": None}, {"pulled_within": 700}),
    ({"last_pulled": None}, {"last_pulled": 3}),
    ({"last": 1}, {"last": 4}),
    ({"revisions": 0}, {"revisions": 50}),
)


@thorough
@given(STATES, policies(), rules(), LIMITS, st.integers(0, 4), st.sampled_from(MORE))
def test_one_more_condition_never_deletes_more(
    state: State, said: Policy, rule: Rule, keep: Keep, number: int, added: tuple[dict[str, Any], dict[str, Any]]
) -> None:
    def deleted(limits: dict[str, Any]) -> frozenset[str]:
        every = [*said.rules]
        any_of = keep.model_copy(update={"mode": "any", "last": keep.last or 1, **limits})
        every.insert(number, rule.model_copy(update={"keep": any_of}))
        return doomed(plan(state, said.model_copy(update={"rules": tuple(every)}), NOW))

    fewer, more = added
    assert deleted(more) <= deleted(fewer)


@thorough
@given(STATES, policies(), st.sampled_from(DIGESTS), st.sampled_from(["latest", "a*", "b1"]))
def test_more_protection_never_takes_what_it_protects(state: State, said: Policy, digest: str, name: str) -> None:
    leased = plan(replace(state, leased={**state.leased, digest: us(99_999)}), said, NOW)
    assert doomed(leased) <= doomed(plan(state, said, NOW)) - {digest}
    protected = said.model_copy(update={"protect": (*said.protect, name)})
    decided = plan(state, protected, NOW)
    assert not any(protected.protects(tag) for tag in gone(decided))


@thorough
@given(STATES, policies(), st.integers(0, 2**40))
def test_until_it_says_so_time_changes_nothing(state: State, said: Policy, anywhere: int) -> None:
    decided = plan(state, said, NOW)
    assert decided.next_us is None or decided.next_us > NOW
    end_us = decided.next_us or us(2**31)
    between = [moment for moment in boundaries(state, said) if moment < end_us]
    for moment in (*between, end_us - 1, NOW + anywhere % (end_us - NOW)):
        later = plan(state, said, moment)
        assert doomed(later) == doomed(decided)
        assert (later.next_us, later.unresolved, later.undated) == (
            decided.next_us,
            decided.unresolved,
            decided.undated,
        )
        assert later.hold == decided.hold
        assert [v.kept for v in later.verdicts] == [v.kept for v in decided.verdicts]


@thorough
@given(STATES, policies())
def test_a_verdict_holds_until_it_says(state: State, said: Policy) -> None:
    """As long as no rule takes up what grows old; else the plan says when to look again."""
    young = said.model_copy(update={"rules": tuple(rule.model_copy(update={"older_than": 0}) for rule in said.rules)})
    decided = plan(state, young, NOW)
    for moment in boundaries(state, young):
        for before, after in zip(decided.verdicts, plan(state, young, moment).verdicts, strict=True):
            if not before.kept:
                assert not after.kept
            elif before.until_us is None or moment < before.until_us:
                assert after.kept


@thorough
@given(STATES, policies())
def test_nothing_goes_by_a_policy_that_keeps_always(state: State, said: Policy) -> None:
    always = Rule(name="always", keep="always", untagged="keep")
    rules = tuple(rule.model_copy(update={"final": False}) for rule in said.rules)
    decided = plan(state, said.model_copy(update={"rules": (*rules, always)}), NOW)
    assert gone(decided) == frozenset()
    assert not {v.tag.digest for v in decided.untagged if not v.kept}
