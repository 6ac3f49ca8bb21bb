"""Referrers in a plan are deleted after their image, if its deletion was seen, unless a rule keeps them."""

from typing import Any

import pytest

from service.domain.oci import tombstone
from service.domain.oci.manifest import References
from service.domain.retention.state import Tag, Untagged, subject_of
from tests.support.makers import digest_of, planned, policy, tag, us

NOW = us(1_000_000)
IMAGE = digest_of("image")
SIGNATURE = IMAGE.replace(":", "-") + ".sig"
LAST = policy("rules: [{name: last, keep: {last: 10}}]")


def goes(*others: Tag, **state: Any) -> bool:
    """True if the signature of an image is deleted, beside these other tags."""
    state = {"deleted": frozenset({IMAGE}), **state}
    message = state.pop("policy", LAST)
    plan = planned([tag(SIGNATURE, 5), *others], message, NOW, **state)
    return any(SIGNATURE in doomed.tags for doomed in plan.doomed)


def test_a_referrer_is_deleted_when_its_image_was_seen_to_be_deleted() -> None:
    assert goes()
    assert not goes(deleted=frozenset())


def test_a_referrer_is_deleted_when_its_subject_is_a_tombstone_that_a_tag_of_the_image_pointed_at() -> None:
    report = digest_of("report")
    links = {report: References(subject=tombstone.FIRST.digest)}
    (doomed,) = planned([tag("report", 5, report)], LAST, NOW, links=links).doomed
    assert [verdict.reason for verdict in doomed.verdicts] == [f"its image {tombstone.FIRST.digest} was deleted"]


@pytest.mark.parametrize(
    ("others", "state"),
    [
        ([tag("back", 9, IMAGE)], {}),
        ([], {"untagged": (Untagged(IMAGE, us(0)),)}),
        ([tag("index", 9, "index")], {"links": {digest_of("index"): References(children=(IMAGE,))}}),
        ([tag("prod", 9, digest_of(SIGNATURE))], {"policy": policy("shared: keep\nrules: [{keep: {last: 10}}]")}),
        ([], {"leased": {digest_of(SIGNATURE): NOW + 1}}),
        ([], {"policy": policy("protect: '*.sig'\nrules: [{keep: {last: 10}}]")}),
        ([], {"policy": policy("rules: [{keep: {last: 10}}, {keep: none, tags: x, referrers: keep}]")}),
        ([], {"policy": policy("rules: [{repos: elsewhere, keep: none}]")}),
        ([], {"links": {digest_of(SIGNATURE): References(readable=False)}}),
        ([], {"links": {digest_of("other"): References(children=(digest_of(SIGNATURE),))}}),
    ],
)
def test_a_referrer_is_kept_while_anything_keeps_it_or_its_image(others: list[Tag], state: dict[str, object]) -> None:
    assert goes()
    assert not goes(*others, **state)


def test_the_reason_names_the_image_after_which_a_referrer_is_deleted() -> None:
    (doomed,) = planned([tag(SIGNATURE, 5)], LAST, NOW, deleted={IMAGE}).doomed
    assert [(verdict.reason, verdict.follows, verdict.after) for verdict in doomed.verdicts] == [
        (f"its image {IMAGE} was deleted", True, IMAGE)
    ]


def test_only_the_tag_of_a_referrer_is_deleted_if_another_tag_keeps_its_manifest() -> None:
    tags = [tag(SIGNATURE, 5), tag("prod", 9, digest_of(SIGNATURE))]
    (doomed,) = planned(tags, LAST, NOW, deleted={IMAGE}).doomed
    (verdict,) = doomed.verdicts
    assert (doomed.tags, doomed.only_tags) == ((SIGNATURE,), True)
    assert (verdict.reason, verdict.kept_as) == (f"its image {IMAGE} was deleted; its manifest is kept as prod", "prod")


def test_a_referrer_without_a_tag_is_deleted_too_unless_it_is_leased_or_a_revision() -> None:
    artifact = digest_of("artifact")
    of_it: dict[str, Any] = {
        "untagged": (Untagged(artifact, us(5)),), "links": {artifact: References(subject=IMAGE)}, "deleted": {IMAGE},
    }  # fmt: skip
    plan = planned([], LAST, NOW, **of_it)
    assert [(doomed.digest, doomed.verdicts[0].reason, doomed.verdicts[0].follows) for doomed in plan.doomed] == [
        (artifact, f"its image {IMAGE} was deleted", True)
    ]
    leased = planned([], LAST, NOW, **of_it, leased={artifact: NOW + 1})
    assert (leased.doomed, leased.next_us) == ((), NOW + 1)
    revised = policy("rules: [{keep: {last: 10, revisions: 1}}]")
    assert planned([tag("main", 9)], revised, NOW, **of_it, revisions={"main": (artifact,)}).doomed == ()


def test_whom_it_is_about_stands_in_its_manifest_or_its_tag() -> None:
    assert subject_of("v1", References(subject=IMAGE)) == IMAGE
    assert subject_of(SIGNATURE, None) == IMAGE
    assert subject_of("v1", References()) is None
