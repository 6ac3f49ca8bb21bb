"""The bytes that a plan frees after a collection: each blob once, and none that a kept manifest references."""

from collections.abc import Mapping
from typing import Any

from service.domain.oci.manifest import References
from service.domain.policy.model import Policy
from service.domain.retention.freed import Freed, freed, freed_together
from service.domain.retention.planner import plan
from service.domain.retention.state import State, Tag, Untagged
from tests.support.makers import digest_of, policy, tag, us

LAST = policy("hold_over: 100\nrules: [{name: r, keep: {last: 1}, untagged: 1h}]")
NOW_S = 1_000_000


def frees(tags: tuple[Tag, ...], known: Mapping[str, Mapping[str, int]], rules: Policy = LAST, **more: Any) -> Freed:
    """Return the estimate for these tags. known: manifest → blob → bytes."""
    state = State(repository="shop/api", tags=tags, **more)
    layers = {digest_of(digest): tuple(blobs.items()) for digest, blobs in known.items()}
    return freed(state, plan(state, rules, us(NOW_S)), layers)


def links(**indexes: tuple[str, ...]) -> dict[str, References]:
    return {digest_of(i): References(children=tuple(digest_of(part) for part in parts)) for i, parts in indexes.items()}


def lost(digest: str, hours: float) -> Untagged:
    return Untagged(digest_of(digest), us(NOW_S - hours * 3600), "b1")


OLD, MID, NEW = tag("old", 1), tag("mid", 2), tag("new", 3)


def test_a_layer_that_a_kept_image_shares_is_kept() -> None:
    assert frees((OLD, NEW), {"old": {"base": 100, "a": 7}, "new": {"base": 100, "b": 9}}) == Freed(7, 1)


def test_an_image_with_two_doomed_tags_is_one() -> None:
    assert frees((OLD, tag("copy", 1, "old"), NEW), {"old": {"a": 7}, "new": {}}) == Freed(7, 1)


def test_a_kept_image_whose_layers_are_not_known_may_hold_any_of_it() -> None:
    assert frees((OLD, NEW), {"old": {"a": 7}}) == Freed(7, 1, at_most=True)


def test_a_plan_without_deletions_frees_nothing() -> None:
    result = frees((NEW,), {"new": {"a": 7}})
    assert (result, result.is_unknown) == (Freed(), False)


def test_a_layer_that_a_protected_tag_uses_as_well_is_not_freed() -> None:
    rules = policy("protect: [prod]\nhold_over: 100\nrules: [{keep: {last: 1}}]")
    known = {"old": {"a": 7}, "mid": {"a": 7, "b": 2}, "new": {}}
    assert frees((tag("prod", 1, "old"), MID, NEW), known, rules) == Freed(2, 1)


def test_a_tag_that_is_deleted_alone_frees_nothing() -> None:
    """The image is kept: by another tag, or as a revision that a rule keeps."""
    known = {"old": {"a": 7}, "new": {}}
    assert frees((OLD, NEW, tag("copy", 4, "old")), known, policy("rules: [{tags: old, keep: none}]")) == Freed()
    rules = policy("hold_over: 100\nrules: [{tags: old, keep: none}, {tags: new, keep: {revisions: 1, last: 1}}]")
    assert frees((OLD, NEW), known, rules, revisions={"new": (digest_of("old"),)}) == Freed()


def test_a_doomed_manifest_without_a_tag_frees_its_layers_and_a_kept_one_holds_its_own() -> None:
    known = {"new": {}, "x": {"a": 7, "base": 100}, "y": {"base": 100}}
    assert frees((NEW,), known, untagged=(lost("x", 2), lost("y", 0.5))) == Freed(7, 1)
    assert frees((NEW,), {"new": {}, "x": {"a": 7}}, untagged=(lost("x", 2), lost("y", 0.5))) == Freed(7, 1, 0, True)


def test_the_parts_of_an_index_in_a_doomed_index_are_deleted_too() -> None:
    known = {"new": {}, "amd": {"a": 7}}
    assert frees((OLD, NEW), known, links=links(old=("inner",), inner=("amd",))) == Freed(7, 1)


def test_an_index_that_lists_itself_comes_to_an_end() -> None:
    assert frees((OLD, NEW), {"new": {}}, links=links(old=("inner",), inner=("old",))) == Freed()


def test_a_part_that_has_a_tag_of_its_own_is_kept() -> None:
    known = {"amd": {"a": 7}, "arm": {"b": 9}, "new": {}}
    result = frees((OLD, tag("only-amd", 1, "amd"), NEW), known, links=links(old=("amd", "arm")))
    assert result == Freed(9, 1)


def test_an_unknown_part_of_a_kept_index_may_hold_any_of_it() -> None:
    assert frees((OLD, NEW), {"old": {"a": 7}}, links=links(new=("amd",))) == Freed(7, 1, at_most=True)


def test_an_index_that_was_not_read_may_hold_any_of_it() -> None:
    assert frees((OLD, NEW), {"old": {"a": 7}}, links={digest_of("new"): None}) == Freed(7, 1, at_most=True)
    assert frees((OLD, NEW), {"new": {}}, links={digest_of("old"): None}) == Freed(0, 1, unknown=1)


def test_everything_else_that_is_known_is_kept() -> None:
    """A manifest counts although neither a tag nor the list of manifests without a tag names it."""
    assert frees((OLD, NEW), {"old": {"a": 7, "b": 2}, "new": {}, "other": {"a": 7}}) == Freed(2, 1)
    parts = links(old=("amd", "arm"), other=("amd",))
    assert frees((OLD, NEW), {"new": {}, "amd": {"a": 7}, "arm": {"b": 9}}, links=parts) == Freed(9, 1)


def test_repositories_are_added_up() -> None:
    assert freed_together([Freed(7, 2, 1), Freed(9, 1, 0, True)]) == Freed(16, 3, 1, True)
    assert freed_together([]) == Freed()
