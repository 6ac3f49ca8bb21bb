"""Laws that hold for every plan, whatever the state and the policy."""

from collections.abc import Callable
from dataclasses import replace
from random import Random
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from service.domain.policy.model import Keep, Policy, Rule
from service.domain.policy.patterns import compile_patterns
from service.domain.retention.plan import Plan
from service.domain.retention.planner import NEVER_TAGGED_US, plan
from service.domain.retention.state import State, is_referrer_tag
from tests.domain.retention.strategies import DIGESTS, LIMITS, NOW, STATES, boundaries, policies, rules
from tests.support.examples import examples
from tests.support.makers import us

thorough: Callable[[Any], Any] = examples(150)
LATER = st.integers(0, 8).map(lambda step: NOW + step * 400_000_000)
NOT_FINAL = st.just(False)


def doomed(decided: Plan) -> frozenset[str]:
    """The digests that are doomed, or of which a tag is."""
    return frozenset(item.digest for item in decided.doomed)


def whole(decided: Plan) -> frozenset[str]:
    """The digests that go with all their tags."""
    return frozenset(item.digest for item in decided.doomed if not item.only_tags)


def gone(decided: Plan) -> frozenset[str]:
    return frozenset(verdict.tag.name for verdict in decided.verdicts if not verdict.kept)


def kept_digests(decided: Plan) -> frozenset[str]:
    return frozenset(v.tag.digest for v in (*decided.verdicts, *decided.untagged) if v.kept)


def kept_revisions(state: State, wanted: Policy, decided: Plan) -> frozenset[str]:
    """The overwritten digests that the rules keep of each tag that is kept or was not listed."""
    goes, result = gone(decided), set[str]()
    for name, overwritten in state.revisions.items():
        for _, rule in wanted.rules_for(state.repository) if name not in goes else ():
            if compile_patterns(rule.tags)(name) and rule.grouping.of(name) is not None:
                result.update(overwritten[: rule.keep.revisions if isinstance(rule.keep, Keep) else 0])
                if rule.final and not rule.older_than:
                    break
    return frozenset(result)


@thorough
@given(STATES, policies(), LATER)
def test_a_held_image_is_never_doomed(state: State, wanted: Policy, now_us: int) -> None:
    decided = plan(state, wanted, now_us)
    goes, leaves = whole(decided), doomed(decided)
    known = {digest: references for digest, references in state.links.items() if references}
    assert not goes & (kept_digests(decided) | kept_revisions(state, wanted, decided))
    assert not leaves & {child for references in known.values() for child in references.children}
    assert not leaves & {digest for digest, item in known.items() if not item.readable}
    assert not leaves & {d for d, item in known.items() if item.subject and item.subject not in state.deleted}
    assert leaves <= {each.digest for each in state.tags} | {each.digest for each in state.untagged}
    for verdict in (verdict for element in decided.doomed for verdict in element.verdicts):
        assert not verdict.tag.name or not wanted.protects(verdict.tag.name)
        if not verdict.follows:
            assert verdict.tag.pushed_us is not None
            assert not wanted.grace or verdict.tag.pushed_us <= now_us - wanted.grace * 1_000_000
            assert not verdict.tag.name or not is_referrer_tag(verdict.tag.name)


@thorough
@given(STATES, policies(), LATER)
def test_a_tag_is_deleted_alone_only_if_something_kept_needs_its_digest(
    state: State, wanted: Policy, now_us: int
) -> None:
    decided = plan(state, wanted, now_us)
    assert (doomed(decided) - whole(decided)) <= kept_digests(decided) | kept_revisions(state, wanted, decided)
    for item in decided.doomed:
        assert len({verdict.kept_as for verdict in item.verdicts}) == 1
        for verdict in item.verdicts if item.only_tags else ():
            assert verdict.tag.name
            assert verdict.reason.endswith(f" is kept as {verdict.kept_as}")


@thorough
@given(STATES, policies(), LATER)
def test_with_shared_keep_no_tag_is_deleted_whose_digest_is_kept(state: State, wanted: Policy, now_us: int) -> None:
    careful = wanted.model_copy(update={"shared": "keep"})
    decided = plan(state, careful, now_us)
    assert doomed(decided) == whole(decided)
    stays = kept_digests(decided) | kept_revisions(state, careful, decided)
    assert not stays & {verdict.tag.digest for verdict in decided.verdicts if not verdict.kept}
    assert gone(decided) <= gone(plan(state, wanted, now_us))


@thorough
@given(STATES, policies(), LATER)
def test_no_tag_of_a_leased_image_is_deleted(state: State, wanted: Policy, now_us: int) -> None:
    leased = {digest for digest, until_us in state.leased.items() if until_us > now_us}
    holding = {digest for digest, known in state.links.items() if known and leased.intersection(known.children)}
    assert not doomed(plan(state, wanted, now_us)) & (leased | holding)


@thorough
@given(STATES, policies(), LATER)
def test_a_manifest_without_a_tag_follows_only_a_manifest_that_no_longer_exists(
    state: State, wanted: Policy, now_us: int
) -> None:
    decided = plan(state, wanted, now_us)
    there = {each.digest for each in state.tags} | {each.digest for each in state.untagged} | set(state.links)
    there |= {child for known in state.links.values() if known for child in known.children}
    belonged = {item.digest: item for item in state.untagged}
    for verdict in decided.untagged:
        item, known = belonged[verdict.tag.digest], state.links.get(verdict.tag.digest)
        if verdict.follows and not (known and known.subject):
            assert wanted.rules_for(state.repository)
            assert verdict.after == item.index
            assert verdict.after not in there
            assert verdict.recorded is (not item.index)
            assert item.index or item.by_pushprune


@thorough
@given(STATES, policies(rules(final=NOT_FINAL)), LATER)
def test_the_revisions_of_a_kept_tag_are_never_doomed(state: State, wanted: Policy, now_us: int) -> None:
    decided = plan(state, wanted, now_us)
    for _, rule in wanted.rules_for(state.repository):
        most = rule.keep.revisions if isinstance(rule.keep, Keep) else 0
        for name in (verdict.tag.name for verdict in decided.verdicts if verdict.kept):
            if compile_patterns(rule.tags)(name) and rule.grouping.of(name) is not None:
                assert not whole(decided) & set(state.revisions.get(name, ())[:most])


@thorough
@given(STATES, policies(), LATER)
def test_a_manifest_that_never_had_a_tag_is_kept_for_an_hour(state: State, wanted: Policy, now_us: int) -> None:
    """Referrers and parts of a deleted image are the exception."""
    young = {each.digest for each in state.untagged if not each.tag and each.since_us > now_us - NEVER_TAGGED_US}
    for verdict in plan(state, wanted, now_us).untagged:
        assert verdict.kept or verdict.follows or verdict.tag.digest not in young


@thorough
@given(STATES, policies())
def test_every_tag_and_every_untagged_manifest_gets_one_verdict_with_its_reason(state: State, wanted: Policy) -> None:
    decided = plan(state, wanted, NOW)
    assert sorted(v.tag.name for v in decided.verdicts) == sorted(each.name for each in state.tags)
    without = {each.digest for each in state.untagged} - {each.digest for each in state.tags}
    assert [v.tag.digest for v in decided.untagged] == sorted(without)
    every = (*decided.verdicts, *decided.untagged)
    assert all(v.reason for v in every)
    assert all(v.rule for v in every if not v.kept)
    assert all(v.until_us is None or (v.kept and v.until_us > NOW) for v in every)
    assert {v for item in decided.doomed for v in item.verdicts} == {v for v in every if not v.kept}
    assert all({v.tag.digest for v in item.verdicts} == {item.digest} for item in decided.doomed)
    assert len(doomed(decided)) == len(decided.doomed)


@thorough
@given(STATES, policies(), st.randoms(use_true_random=False))
def test_the_plan_is_the_same_for_any_order_of_its_input(state: State, wanted: Policy, random: Random) -> None:
    def shuffled(things: Any) -> list[Any]:
        result = list(things)
        random.shuffle(result)
        return result

    again = replace(
        state,
        tags=tuple(shuffled(state.tags)),
        untagged=tuple(shuffled(state.untagged)),
        links=dict(shuffled(state.links.items())),
        revisions=dict(shuffled(state.revisions.items())),
        leased=dict(shuffled(state.leased.items())),
    )
    assert plan(again, wanted, NOW) == plan(state, wanted, NOW)


@thorough
@given(STATES, policies(rules(final=NOT_FINAL)), st.randoms(use_true_random=False))
def test_the_order_of_rules_that_are_not_final_decides_nothing(state: State, wanted: Policy, random: Random) -> None:
    turned = list(wanted.rules)
    random.shuffle(turned)
    other = plan(state, wanted.model_copy(update={"rules": tuple(turned)}), NOW)
    decided = plan(state, wanted, NOW)
    assert (doomed(other), whole(other)) == (doomed(decided), whole(decided))
    assert (other.next_us, other.undated, other.unresolved) == (decided.next_us, decided.undated, decided.unresolved)
    assert (other.hold is None) == (decided.hold is None)


@thorough
@given(STATES, policies(), rules(final=NOT_FINAL))
def test_a_rule_that_says_nothing_of_what_is_untagged_only_adds_its_own_tags(
    state: State, wanted: Policy, last: Rule
) -> None:
    """One keep wins: a tag that only more rules delete was selected by none of the fewer rules."""
    silent = last.model_copy(update={"untagged": None, "name": "last"})
    more = plan(state, wanted.model_copy(update={"rules": (*wanted.rules, silent)}), NOW)
    fewer = plan(state, wanted, NOW)
    free = {v.tag.name for v in fewer.verdicts if v.kept and v.reason == "no rule selects it"}
    held = {v.tag.name for v in fewer.verdicts if v.kept and v.reason.endswith(" (shared: keep)")}
    follows = {v.tag.name for v in more.verdicts if v.follows}
    assert gone(more) <= gone(fewer) | free | held | follows


MORE: tuple[tuple[dict[str, int | None], dict[str, int]], ...] = (
    ({"pushed_within": None}, {"pushed_within": 9000}),
    ({"pulled_within": None}, {"pulled_within": 700}),
    ({"last_pulled": None}, {"last_pulled": 3}),
    ({"last": 1}, {"last": 4}),
    ({"revisions": 0}, {"revisions": 50}),
)


@thorough
@given(STATES, policies(), rules(), LIMITS, st.integers(0, 4), st.sampled_from(MORE))
def test_another_condition_never_deletes_more(
    state: State, wanted: Policy, rule: Rule, keep: Keep, number: int, added: tuple[dict[str, Any], dict[str, Any]]
) -> None:
    def deleted(limits: dict[str, Any]) -> tuple[frozenset[str], frozenset[str]]:
        every = [*wanted.rules]
        any_of = keep.model_copy(update={"mode": "any", "last": keep.last or 1, **limits})
        every.insert(number, rule.model_copy(update={"keep": any_of}))
        decided = plan(state, wanted.model_copy(update={"rules": tuple(every)}), NOW)
        return whole(decided), gone(decided)

    fewer, more = added
    for digests_or_tags, of_fewer in zip(deleted(more), deleted(fewer), strict=True):
        assert digests_or_tags <= of_fewer


@thorough
@given(STATES, policies(), st.sampled_from(DIGESTS), st.sampled_from(["latest", "a*", "b1"]))
def test_more_protection_never_takes_what_it_protects(state: State, wanted: Policy, digest: str, name: str) -> None:
    leased = plan(replace(state, leased={**state.leased, digest: us(99_999)}), wanted, NOW)
    assert whole(leased) <= whole(plan(state, wanted, NOW)) - {digest}
    assert doomed(leased) <= doomed(plan(state, wanted, NOW)) - {digest}
    protected = wanted.model_copy(update={"protect": (*wanted.protect, name)})
    decided = plan(state, protected, NOW)
    assert not any(protected.protects(tag) for tag in gone(decided))


@thorough
@given(STATES, policies(), st.integers(0, 2**40))
def test_until_it_says_so_time_changes_nothing(state: State, wanted: Policy, anywhere: int) -> None:
    decided = plan(state, wanted, NOW)
    assert decided.next_us is None or decided.next_us > NOW
    end_us = decided.next_us or us(2**31)
    between = [moment for moment in boundaries(state, wanted) if moment < end_us]
    for moment in (*between, end_us - 1, NOW + anywhere % (end_us - NOW)):
        later = plan(state, wanted, moment)
        assert (doomed(later), whole(later)) == (doomed(decided), whole(decided))
        assert (later.next_us, later.unresolved, later.undated) == (
            decided.next_us,
            decided.unresolved,
            decided.undated,
        )
        assert later.hold == decided.hold
        assert [v.kept for v in later.verdicts] == [v.kept for v in decided.verdicts]


@thorough
@given(STATES, policies())
def test_a_verdict_holds_until_it_says(state: State, wanted: Policy) -> None:
    """Time changes no verdict before the moment that the plan names."""
    young = wanted.model_copy(
        update={"rules": tuple(rule.model_copy(update={"older_than": 0}) for rule in wanted.rules)}
    )
    decided = plan(state, young, NOW)
    for moment in boundaries(state, young):
        for before, after in zip(decided.verdicts, plan(state, young, moment).verdicts, strict=True):
            if not before.kept:
                assert not after.kept
            elif before.until_us is None or moment < before.until_us:
                assert after.kept


@thorough
@given(STATES, policies())
def test_a_policy_that_keeps_always_deletes_only_parts_and_referrers(state: State, wanted: Policy) -> None:
    always = Rule(name="always", keep="always", untagged="keep")
    rules = tuple(rule.model_copy(update={"final": False}) for rule in wanted.rules)
    decided = plan(state, wanted.model_copy(update={"rules": (*rules, always)}), NOW)
    assert all(v.kept or v.follows for v in (*decided.verdicts, *decided.untagged))
