"""Referrers in a plan: they follow what was seen to go and stands nowhere, unless a rule keeps them."""

import pytest

from service.domain.manifest import References
from service.domain.state import Tag, Untagged, subject_of
from tests.makers import digest_of, planned, policy, tag, us

NOW = us(1_000_000)
IMAGE = digest_of("image")
SIGNATURE = IMAGE.replace(":", "-") + ".sig"
LAST = policy("rules: [{name: last, keep: {last: 10}}]")


def goes(*others: Tag, **state: object) -> bool:
    """Whether the signature of an image goes, beside these other tags."""
    state = {"deleted": frozenset({IMAGE}), **state}
    said = state.pop("policy", LAST)
    plan = planned([tag(SIGNATURE, 5), *others], said, NOW, **state)  # type: ignore[arg-type]
    return any(SIGNATURE in doomed.tags for doomed in plan.doomed)


def test_it_goes_when_its_image_was_seen_to_go() -> None:
    assert goes()
    assert not goes(deleted=frozenset())


@pytest.mark.parametrize(
    ("others", "state"),
    [
        ([tag("back", 9, IMAGE)], {}),
        ([], {"untagged": (Untagged(IMAGE, us(0)),)}),
        ([tag("index", 9, "index")], {"links": {digest_of("index"): References(children=(IMAGE,))}}),
        ([tag("prod", 9, digest_of(SIGNATURE))], {}),
        ([], {"policy": policy("protect: '*.sig'\nrules: [{keep: {last: 10}}]")}),
        ([], {"policy": policy("rules: [{keep: {last: 10}}, {keep: none, tags: x, referrers: keep}]")}),
        ([], {"policy": policy("rules: [{repos: elsewhere, keep: none}]")}),
        ([], {"links": {digest_of(SIGNATURE): References(readable=False)}}),
        ([], {"links": {digest_of("other"): References(children=(digest_of(SIGNATURE),))}}),
    ],
)
def test_it_stays_while_anything_keeps_it_or_its_image(others: list[Tag], state: dict[str, object]) -> None:
    assert goes()
    assert not goes(*others, **state)


def test_one_without_a_tag_follows_too() -> None:
    links = {digest_of("artifact"): References(subject=IMAGE)}
    plan = planned([], LAST, NOW, untagged=(Untagged(digest_of("artifact"), us(5)),), links=links, deleted={IMAGE})
    assert [(one.digest, one.verdicts[0].reason, one.verdicts[0].follows) for one in plan.doomed] == [
        (digest_of("artifact"), f"its image {IMAGE} is gone", True)
    ]


def test_whom_it_is_about_stands_in_its_manifest_or_its_tag() -> None:
    assert subject_of("v1", References(subject=IMAGE)) == IMAGE
    assert subject_of(SIGNATURE, None) == IMAGE
    assert subject_of("v1", References()) is None
