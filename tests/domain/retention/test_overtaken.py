"""A plan that pushes overtook: it is still valid only if a plan made after them deletes all that it deletes."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.domain.oci.manifest import References
from service.domain.policy.model import Policy
from service.domain.retention.overtaken import LaterPush, is_still_valid
from service.domain.retention.plan import Plan
from service.domain.retention.planner import plan
from service.domain.retention.state import State, Tag, Untagged
from tests.domain.retention.strategies import DIGESTS, NAMES, NOW, SIGNATURE, STATES, policies
from tests.support.examples import examples
from tests.support.makers import digest_of, policy, tag, us

thorough: Callable[[Any], Any] = examples(600)
_NEW = tuple(digest_of(f"new {number}") for number in range(3))
# Most pushes are of new images: those of what the repository knows are refused, which proves little.
_ANY = st.sampled_from((*_NEW * 4, *DIGESTS))
_REFERENCES = st.builds(
    References,
    children=st.lists(_ANY, max_size=2).map(tuple),
    subject=st.sampled_from((None, None, None, *_NEW, *DIGESTS)),
)
PUSHES = st.lists(
    st.tuples(
        st.builds(
            LaterPush,
            st.sampled_from(("", "new", "b3", *NAMES)),
            _ANY,
            st.just(References()) | st.just(References()) | _REFERENCES,
        ),
        st.sampled_from((us(100), us(900), us(2000))),
    ),
    min_size=1,
    max_size=3,
)


def after(state: State, pushes: list[tuple[LaterPush, int]]) -> State:
    """The state once these pushes were recorded, as record.lua does it. It does not note the late push of a tag."""
    for push, at_us in pushes:
        tags = {each.name: each for each in state.tags}
        untagged = {each.digest: each for each in state.untagged}
        revisions = dict(state.revisions)
        links = dict(state.links)
        if push.references and (push.references.children or push.references.subject):
            links[push.digest] = push.references
        if not push.tag:
            untagged.setdefault(push.digest, Untagged(push.digest, at_us))
        else:
            old = tags.get(push.tag)
            tags[push.tag] = Tag(push.tag, push.digest, max(at_us, (old.pushed_us if old else 0) or 0))
            untagged.pop(push.digest, None)
            if old and old.digest != push.digest:
                untagged.setdefault(old.digest, Untagged(old.digest, at_us, push.tag))
                before = revisions.get(push.tag, ())
                kept = (digest for digest in before if digest not in (old.digest, push.digest))
                revisions[push.tag] = (old.digest, *kept)
        state = replace(
            state,
            links=links,
            tags=tuple(tags.values()),
            untagged=tuple(untagged.values()),
            revisions=revisions,
            approved=state.approved - {push.digest},
        )
    return state


def deletions(made: Plan) -> set[tuple[str, str, bool]]:
    """Return the deletions of a plan: (digest, tag, True if the manifest is kept)."""
    return {(image.digest, verdict.tag.name, image.only_tags) for image in made.doomed for verdict in image.verdicts}


@thorough
@given(STATES, policies(), PUSHES)
def test_a_plan_that_is_kept_valid_deletes_nothing_that_a_later_plan_keeps(
    state: State, wanted: Policy, pushes: list[tuple[LaterPush, int]]
) -> None:
    made = plan(state, wanted, NOW)
    if made.doomed and is_still_valid(made, state, wanted, [push for push, _ in pushes]):
        assert deletions(made) <= deletions(plan(after(state, pushes), wanted, NOW))


OLD = State(repository="shop/api", tags=tuple(tag(f"v{n}", pushed=n) for n in range(4)))
KEEP_TWO = policy("rules: [{name: last, keep: {last: 2}}]\nhold_over: 100%")


def is_valid(*pushes: LaterPush, state: State = OLD, wanted: Policy = KEEP_TWO) -> bool:
    made = plan(state, wanted, NOW)
    assert made.doomed
    return is_still_valid(made, state, wanted, pushes)


def test_a_new_image_under_a_new_tag_or_under_a_moving_tag_leaves_a_plan_valid() -> None:
    new = digest_of("v4")
    assert is_valid(LaterPush("v4", new))
    assert is_valid(LaterPush("v4", new), LaterPush("v3", new))
    assert is_valid(LaterPush("", new))


@pytest.mark.parametrize(
    "push",
    [
        pytest.param(LaterPush("again", digest_of("v0")), id="a doomed image"),
        pytest.param(LaterPush("v0", digest_of("v4")), id="a doomed tag"),
        pytest.param(LaterPush("v2", digest_of("v3")), id="a tag that moves to a known image"),
        pytest.param(LaterPush("", digest_of("v1")), id="a doomed image by its digest"),
        pytest.param(LaterPush(SIGNATURE, digest_of("v4")), id="a referrer"),
    ],
)
def test_a_push_of_what_the_plan_relies_on_does_not(push: LaterPush) -> None:
    assert not is_valid(push)


def test_a_new_index_leaves_a_plan_valid_if_all_that_it_lists_is_new() -> None:
    image, parts = digest_of("v4"), (digest_of("amd64"), digest_of("arm64"))
    images = [LaterPush("", part) for part in parts]
    index = LaterPush("v4", image, References(children=parts))
    assert is_valid(*images, index)
    assert not is_valid(*images, replace(index, references=None)), "it was not read"
    assert not is_valid(*images, replace(index, references=References(readable=False)))
    assert not is_valid(images[0], index), "a part that is not known may be an index itself"
    pushed_before = replace(OLD, untagged=tuple(Untagged(part, us(4)) for part in parts))
    assert is_valid(index, state=pushed_before)
    for needed in ("v0", "v3"):
        assert not is_valid(*images, replace(index, references=References(children=(*parts, digest_of(needed)))))


def test_a_new_index_that_lists_an_image_without_a_tag_keeps_it() -> None:
    wanted = policy("rules: [{name: last, keep: {last: 4}, untagged: 1s}]\nhold_over: 100%")
    state = replace(OLD, untagged=(Untagged(digest_of("part"), us(-9000)),))
    assert is_valid(LaterPush("v4", digest_of("v4")), state=state, wanted=wanted)
    index = LaterPush("v4", digest_of("v4"), References(children=(digest_of("part"),)))
    assert not is_valid(index, state=state, wanted=wanted)


def test_a_referrer_leaves_a_plan_valid_if_it_is_about_a_new_image() -> None:
    new, about = digest_of("v4"), digest_of("about v4")
    assert is_valid(LaterPush("v4", new), LaterPush("", about, References(subject=new)))
    assert not is_valid(LaterPush("v4", new), LaterPush("", about, References(subject=digest_of("v0"))))


def test_a_tag_that_comes_back_keeps_its_revisions_in_another_way() -> None:
    state = replace(OLD, revisions={"v9": (digest_of("v8"),)})
    assert not is_valid(LaterPush("v9", digest_of("v4")), state=state)
    assert is_valid(LaterPush("v4", digest_of("v4")), state=state)


def test_two_images_that_lose_their_tags_to_one_make_room_for_a_third() -> None:
    new = digest_of("v4")
    assert not is_valid(LaterPush("v3", new), LaterPush("v2", new))


@pytest.mark.parametrize(
    "rule",
    [
        "{name: old, older_than: 1s, keep: {last: 2}}",
        "{name: used, keep: {last_pulled: 2}}",
        "{name: made, order: created, keep: {last: 2}}",
        "{name: last, keep: {last: 2, revisions: 1}}",
    ],
)
def test_a_tag_that_moves_can_fall_in_the_order_of_some_rules(rule: str) -> None:
    made = policy(f"rules: [{rule}]\nhold_over: 100%")
    state = replace(OLD, tags=tuple(replace(each, created_us=each.pushed_us) for each in OLD.tags))
    assert not is_valid(LaterPush("v3", digest_of("v4")), state=state, wanted=made)
    assert is_valid(LaterPush("v4", digest_of("v4")), state=state, wanted=made)
