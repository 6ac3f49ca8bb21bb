"""Safety rule 1: a digest is doomed only when nothing that stays holds it; and what holds for every plan there is."""

from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from service.domain.manifest import References
from service.domain.policy import Keep, Policy, Rule
from service.domain.state import Tag, is_referrer_tag
from tests.makers import digest_of, planned, policy, tag, us

NOW = us(1_250)
NONE = policy("rules: [{name: empty, keep: none}]")
SIGNATURE = "sha256-" + "a" * 64 + ".sig"


def index_of(*children: str) -> References:
    return References(children=tuple(map(digest_of, children)))


def reasons(tags: list[Tag], said: Policy, **links: References | None) -> dict[str, tuple[bool, str]]:
    """Per tag whether it is kept, and why. links: what is known of the digests that go by these short names."""
    known = {digest_of(name): references for name, references in links.items()}
    return {v.tag.name: (v.kept, v.reason) for v in planned(tags, said, NOW, links=known).verdicts}


def test_a_child_of_a_kept_index_is_kept() -> None:
    said = policy("protect: v1\nrules: [{keep: none}]")
    found = reasons([tag("v1", 1, "index"), tag("v1-amd64", 2, "amd64")], said, index=index_of("amd64", "arm64"))
    assert found["v1-amd64"] == (True, f"it is part of the index {digest_of('index')}")


def test_a_child_of_an_untagged_index_is_kept() -> None:
    assert reasons([tag("amd64", 1)], NONE, index=index_of("amd64"))["amd64"][0]


def test_an_index_inside_a_kept_index_is_kept() -> None:
    said = policy("protect: outer\nrules: [{keep: none}]")
    links = {"outer": index_of("inner"), "inner": index_of("leaf")}
    assert [kept for kept, _ in reasons([tag("outer"), tag("inner"), tag("leaf")], said, **links).values()] == [
        True
    ] * 3


def test_the_child_of_an_index_that_goes_stays_until_the_index_is_gone() -> None:
    tags = [tag("v1", 1, "index"), tag("amd64", 2)]
    found = reasons(tags, NONE, index=index_of("amd64"))
    assert (found["v1"][0], found["amd64"][0]) == (False, True)
    assert not reasons(tags[1:], NONE)["amd64"][0]


def test_the_same_index_is_named_in_the_order_of_any_input() -> None:
    links = {"one": index_of("amd64"), "two": index_of("amd64")}
    assert reasons([tag("amd64")], NONE, **links) == reasons([tag("amd64")], NONE, **dict(reversed(links.items())))


def test_tagged_children_of_an_index_take_no_slot() -> None:
    """Rule 1: children are never counted. Else v1, a whole image, would go for the parts of v2."""
    said = policy("rules: [{name: newest, keep: {last: 2}}]")
    tags = [tag("v1", 1), tag("v2-amd64", 2), tag("v2-arm64", 3), tag("v2", 4, "index")]
    found = reasons(tags, said, index=index_of("v2-amd64", "v2-arm64"))
    assert found["v1"] == (True, "number 2 of the newest 2 (rule newest)")
    assert all(kept for kept, _ in found.values())


def test_an_index_nobody_looked_into_is_named_before_anything_goes() -> None:
    first, second = sorted((digest_of("a"), digest_of("b")))
    links = {second: None, first: None, digest_of("c"): index_of("d")}
    assert planned([tag("v1", 1)], NONE, NOW, links=links).unresolved == (first, second)


def test_nothing_need_be_looked_into_while_nothing_goes() -> None:
    decided = planned([tag("v1", 1)], policy(""), NOW, links={digest_of("a"): None})
    assert decided.unresolved == ()


@pytest.mark.parametrize("name", ["sha256-" + "a" * 64, SIGNATURE])
def test_a_referrers_tag_is_kept_and_takes_no_slot(name: str) -> None:
    said = policy("rules: [{keep: {last: 1}}]")
    found = reasons([tag("v1", 1), tag(name, 2)], said)
    assert found[name] == (True, "it belongs to another image and follows it")
    assert found["v1"][0]


def test_what_names_a_subject_is_kept_and_takes_no_slot() -> None:
    said = policy("rules: [{keep: {last: 1}}]")
    found = reasons([tag("v1", 1), tag("sbom", 2)], said, sbom=References(subject=digest_of("v1")))
    assert found["sbom"] == (True, f"it refers to {digest_of('v1')} and follows it")
    assert found["v1"][0]


def test_what_cannot_be_read_is_kept_and_takes_no_slot() -> None:
    said = policy("rules: [{keep: {last: 1}}]")
    found = reasons([tag("v1", 1), tag("odd", 2)], said, odd=References(readable=False))
    assert found["odd"] == (True, "its manifest cannot be read, so nobody knows what it holds")
    assert found["v1"][0]


def test_an_image_that_shares_its_digest_with_a_referrers_tag_is_kept() -> None:
    assert reasons([tag("v1", 1, "x"), tag(SIGNATURE, 2, "x")], NONE)["v1"] == (
        True,
        f"its digest is kept as {SIGNATURE}",
    )


NAMES = ("latest", "a1", "a2", "a3", "b1", "b2", "b3", "c", SIGNATURE)
DIGESTS = tuple(digest_of(name) for name in "uvwxyz")
TAGS = st.lists(
    st.builds(
        Tag,
        st.sampled_from(NAMES),
        st.sampled_from(DIGESTS),
        st.none() | st.integers(0, 6).map(lambda step: us(step * 200)),
    ),
    unique_by=lambda tag: tag.name,
)
REFERENCES = st.none() | st.builds(
    References,
    children=st.lists(st.sampled_from(DIGESTS), max_size=3).map(tuple),
    subject=st.none() | st.sampled_from(DIGESTS),
    readable=st.sampled_from([True, True, False]),
)
LINKS = st.dictionaries(st.sampled_from(DIGESTS), REFERENCES, max_size=3)
KEEPS = st.just("always") | st.just("none") | st.integers(1, 4).map(lambda last: Keep(last=last))
RULES = st.builds(
    Rule,
    repos=st.sampled_from([("**",), ("shop/*",), ("other",)]),
    tags=st.sampled_from([("*",), ("a*",), ("re:[0-9]",), ("!b*",), ("c", "latest")]),
    count=st.sampled_from(["digests", "tags"]),
    keep=KEEPS,
    final=st.booleans(),
)
POLICIES = st.builds(
    Policy,
    protect=st.sampled_from([(), ("latest",), ("b*",)]),
    grace=st.sampled_from([0, 300, 700]),
    hold_over=st.sampled_from([0, 50, 100]),
    hold_min=st.sampled_from([0, 2, 20]),
    rules=st.lists(RULES, max_size=4).map(tuple),
)
thorough = settings(deadline=None, max_examples=300)


@thorough
@given(TAGS, POLICIES, LINKS)
def test_what_is_held_is_never_doomed(tags: list[Tag], said: Policy, links: dict[str, References | None]) -> None:
    decided = planned(tags, said, NOW, links=links)
    doomed = {one.digest for one in decided.doomed}
    known = {digest: references for digest, references in links.items() if references}
    assert not doomed & {verdict.tag.digest for verdict in decided.verdicts if verdict.kept}
    assert not doomed & {child for references in known.values() for child in references.children}
    assert not doomed & {
        digest for digest, references in known.items() if references.subject or not references.readable
    }
    for one in decided.doomed:
        for verdict in one.verdicts:
            assert not is_referrer_tag(verdict.tag.name)
            assert not said.protects(verdict.tag.name)
            assert verdict.tag.pushed_us is not None
            assert verdict.tag.pushed_us <= NOW - said.grace * 1_000_000


@thorough
@given(TAGS, POLICIES, LINKS)
def test_every_tag_gets_one_verdict_with_its_reason(
    tags: list[Tag], said: Policy, links: dict[str, References | None]
) -> None:
    decided = planned(tags, said, NOW, links=links)
    assert sorted(verdict.tag.name for verdict in decided.verdicts) == sorted(tag.name for tag in tags)
    assert all(verdict.reason for verdict in decided.verdicts)
    assert {v for one in decided.doomed for v in one.verdicts} == {v for v in decided.verdicts if not v.kept}
    assert all({v.tag.digest for v in one.verdicts} == {one.digest} for one in decided.doomed)
    assert all(verdict.rule for verdict in decided.verdicts if not verdict.kept)
    assert decided.next_us is None or decided.next_us > NOW


@thorough
@given(TAGS, POLICIES, LINKS, st.randoms(use_true_random=False))
def test_the_plan_is_the_same_for_any_order_of_its_input(
    tags: list[Tag], said: Policy, links: dict[str, References | None], random: Random
) -> None:
    shuffled, relinked = list(tags), list(links.items())
    random.shuffle(shuffled)
    random.shuffle(relinked)
    again = planned(shuffled, said, NOW, links=dict(relinked))
    assert again == planned(tags, said, NOW, links=links)


@thorough
@given(TAGS, POLICIES, LINKS, st.integers(1, 4))
def test_keeping_more_never_deletes_more(
    tags: list[Tag], said: Policy, links: dict[str, References | None], last: int
) -> None:
    def deleted(count: int) -> set[str]:
        rules = (*said.rules, Rule(name="newest", keep=Keep(last=count)))
        decided = planned(tags, said.model_copy(update={"rules": rules}), NOW, links=links)
        return {verdict.tag.name for verdict in decided.verdicts if not verdict.kept}

    assert deleted(last + 1) <= deleted(last)


@thorough
@given(TAGS, POLICIES, LINKS)
def test_the_order_of_rules_that_are_not_final_decides_nothing(
    tags: list[Tag], said: Policy, links: dict[str, References | None]
) -> None:
    def deleted(rules: tuple[Rule, ...]) -> set[str]:
        decided = planned(tags, said.model_copy(update={"rules": rules}), NOW, links=links)
        return {verdict.tag.name for verdict in decided.verdicts if not verdict.kept}

    rules = tuple(rule.model_copy(update={"final": False}) for rule in said.rules)
    assert deleted(rules) == deleted(rules[::-1]) == deleted((*rules[1:], *rules[:1]))
