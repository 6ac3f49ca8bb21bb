"""Safety rule 1: a digest is deleted only if nothing that is kept needs it."""

import pytest

from service.domain.oci.manifest import References
from service.domain.policy.model import Policy
from service.domain.retention.state import Tag
from tests.conftest import keep_last
from tests.domain.retention.strategies import NOW, SIGNATURE
from tests.fakes.images import index_over, make_image
from tests.fakes.pusher import Pusher
from tests.support.makers import digest_of, planned, policy, tag
from tests.support.pushes import sign
from tests.support.system import SHOP, Make

NONE = policy("rules: [{name: empty, keep: none}]")


def index_of(*children: str) -> References:
    return References(children=tuple(map(digest_of, children)))


def reasons(tags: list[Tag], rules: Policy, **links: References | None) -> dict[str, tuple[bool, str]]:
    """Map each tag to (True if it is kept, reason). links: known facts about the digests behind these short names."""
    known = {digest_of(name): references for name, references in links.items()}
    return {v.tag.name: (v.kept, v.reason) for v in planned(tags, rules, NOW, links=known).verdicts}


def test_a_child_of_a_kept_index_is_kept() -> None:
    rules = policy("protect: v1\nrules: [{keep: none}]")
    result = reasons([tag("v1", 1, "index"), tag("v1-amd64", 2, "amd64")], rules, index=index_of("amd64", "arm64"))
    assert result["v1-amd64"] == (True, f"it is part of the index {digest_of('index')}")


def test_a_child_of_an_untagged_index_is_kept() -> None:
    assert reasons([tag("amd64", 1)], NONE, index=index_of("amd64"))["amd64"][0]


def test_an_index_inside_a_kept_index_is_kept() -> None:
    rules = policy("protect: outer\nrules: [{keep: none}]")
    links = {"outer": index_of("inner"), "inner": index_of("leaf")}
    assert [kept for kept, _ in reasons([tag("outer"), tag("inner"), tag("leaf")], rules, **links).values()] == [
        True
    ] * 3


def test_a_child_of_a_doomed_index_is_kept_until_the_index_is_deleted() -> None:
    tags = [tag("v1", 1, "index"), tag("amd64", 2)]
    result = reasons(tags, NONE, index=index_of("amd64"))
    assert (result["v1"][0], result["amd64"][0]) == (False, True)
    assert not reasons(tags[1:], NONE)["amd64"][0]


def test_the_reason_names_the_same_index_whatever_the_order_of_the_input() -> None:
    links = {"one": index_of("amd64"), "two": index_of("amd64")}
    assert reasons([tag("amd64")], NONE, **links) == reasons([tag("amd64")], NONE, **dict(reversed(links.items())))


def test_tagged_children_of_an_index_take_no_slot() -> None:
    """Otherwise v1, a whole image, would be deleted because of the parts of v2."""
    rules = policy("rules: [{name: newest, keep: {last: 2}}]")
    tags = [tag("v1", 1), tag("v2-amd64", 2), tag("v2-arm64", 3), tag("v2", 4, "index")]
    result = reasons(tags, rules, index=index_of("v2-amd64", "v2-arm64"))
    assert result["v1"] == (True, "number 2 of the newest 2 (rule newest)")
    assert all(kept for kept, _ in result.values())


def test_an_index_that_was_not_read_is_reported_before_any_deletion() -> None:
    first, second = sorted((digest_of("a"), digest_of("b")))
    links = {second: None, first: None, digest_of("c"): index_of("d")}
    assert planned([tag("v1", 1)], NONE, NOW, links=links).unresolved == (first, second)


def test_a_plan_without_deletions_needs_no_manifest_to_be_read() -> None:
    decided = planned([tag("v1", 1)], policy(""), NOW, links={digest_of("a"): None})
    assert decided.unresolved == ()


@pytest.mark.parametrize("name", ["sha256-" + "a" * 64, SIGNATURE])
def test_a_referrers_tag_is_kept_and_takes_no_slot(name: str) -> None:
    rules = policy("rules: [{keep: {last: 1}}]")
    result = reasons([tag("v1", 1), tag(name, 2)], rules)
    assert result[name] == (True, f"it belongs to sha256:{'a' * 64} and is deleted only after it")
    assert result["v1"][0]


def test_a_manifest_with_a_subject_is_kept_and_takes_no_slot() -> None:
    rules = policy("rules: [{keep: {last: 1}}]")
    result = reasons([tag("v1", 1), tag("sbom", 2)], rules, sbom=References(subject=digest_of("v1")))
    assert result["sbom"] == (True, f"it belongs to {digest_of('v1')} and is deleted only after it")
    assert result["v1"][0]


def test_an_unreadable_manifest_is_kept_and_takes_no_slot() -> None:
    rules = policy("rules: [{keep: {last: 1}}]")
    result = reasons([tag("v1", 1), tag("odd", 2)], rules, odd=References(readable=False))
    assert result["odd"] == (True, "its manifest cannot be read, so its layers and parts are unknown")
    assert result["v1"][0]


def test_an_image_that_shares_its_digest_with_a_referrers_tag_is_kept() -> None:
    tags = [tag("v1", 1, "x"), tag(SIGNATURE, 2, "x")]
    (doomed,) = planned(tags, NONE, NOW).doomed
    assert (doomed.tags, doomed.only_tags, doomed.verdicts[0].kept_as) == (("v1",), True, SIGNATURE)
    assert reasons(tags, NONE.model_copy(update={"shared": "keep"}))["v1"] == (
        True,
        f"its image is kept as {SIGNATURE} (shared: keep)",
    )


def test_the_children_of_a_kept_index_are_kept_even_when_they_are_tagged_and_old(make_system: Make) -> None:
    system = make_system(keep_last(2))
    system.registry.push_index("shop/api", "multi")
    child = next(d for d in system.registry.manifests("shop/api") if d != system.registry.tags("shop/api")["multi"])
    manifest = system.wiring.registry.client.get("shop/api", child)
    assert manifest is not None
    Pusher(system.registry.url).put("shop/api", "amd64", manifest.media_type, manifest.content)
    system.push("v2")
    system.registry.push_index("shop/api", "multi")
    system.settle()
    assert {"amd64", "multi"} <= system.tags()
    assert child in system.registry.manifests("shop/api")


def test_children_of_an_inner_index_are_kept_although_their_pushes_were_not_reported(make_system: Make) -> None:
    system = make_system(keep_last(2))
    leaf = make_image("leaf")
    outer = index_over([index_over([leaf], seed="inner")], seed="outer")
    system.deaf = True
    system.registry.push("shop/api", "outer", outer)
    system.missed.clear()
    system.deaf = False
    pusher = Pusher(system.registry.url)
    pusher.put("shop/api", "leaf", leaf.media_type, leaf.manifest)
    system.push("a", "b")
    system.settle()
    pusher.pull_whole("shop/api", "outer")


def test_a_second_tag_whose_push_was_not_reported_keeps_its_digest(make_system: Make) -> None:
    system = make_system(keep_last(2))
    system.push("v1", "v2")
    system.deaf = True
    system.registry.push_image("shop/api", "stable", seed="shop/api:v1")
    system.deaf = False
    system.missed.clear()
    system.push("v3")
    system.settle()
    assert system.tags() == {"stable", "v1", "v2", "v3"}
    system.pull_whole("stable")


def test_a_signature_is_deleted_after_its_image_and_kept_with_a_kept_image(make_system: Make) -> None:
    system = make_system(keep_last(1))
    system.push("v1")
    first = sign(system, "v1")
    system.push("v2")
    second = sign(system, "v2", ".att")
    image = system.registry.tags(SHOP)["v1"]
    system.settle()
    assert system.tags() == {"v2", second}
    assert system.reasons() == {
        "v1": "older than the newest (rule last)", first: f"its image {image} was deleted",
    }  # fmt: skip
    assert len(system.registry.manifests(SHOP)) == 2
