"""Orders: the newer one of two tags, and the place of each tag in its group."""

from dataclasses import replace
from typing import Any

import pytest
import semver
from hypothesis import given
from hypothesis import strategies as st

from service.domain.retention.ranking import ORDERS, RANKS, created_us, newest_push_first, rank
from service.domain.retention.state import Tag
from tests.support.examples import examples
from tests.support.makers import digest_of, planned, policy, tag, us

# 2013-03-20T00:00:00Z: Docker's first release.
FIRST_US = 1_363_737_600_000_000


def ordered(tags: list[Tag], order: str) -> list[str]:
    return [each.name for each in sorted(tags, key=ORDERS[order])]


def highest(*names: str) -> list[str]:
    """Sort tags, pushed one after another, from the highest version down; names without a version come last."""
    return ordered([tag(name, number) for number, name in enumerate(names)], "semver")


def test_a_version_is_higher_by_its_numbers_not_its_letters() -> None:
    assert highest("1.9.0", "1.10.0", "1.2.10", "10.0.0", "1.2.9") == ["10.0.0", "1.10.0", "1.9.0", "1.2.10", "1.2.9"]


def test_prereleases_follow_the_example_of_semver() -> None:
    """semver 2.0.0, 11.4."""
    example = ["1.0.0-alpha", "1.0.0-alpha.1", "1.0.0-alpha.beta", "1.0.0-beta", "1.0.0-beta.2", "1.0.0-beta.11",
               "1.0.0-rc.1", "1.0.0"]  # fmt: skip
    assert highest(*example) == example[::-1]


NUMBERS = st.integers(0, 12)
WORDS = NUMBERS.map(str) | st.text(alphabet="abB-1", min_size=1, max_size=3).filter(
    lambda word: not (word.isdigit() and word.startswith("0") and word != "0")
)
VERSIONS = st.builds(
    lambda numbers, words: ".".join(map(str, numbers)) + ("-" + ".".join(words) if words else ""),
    st.tuples(NUMBERS, NUMBERS, NUMBERS),
    st.lists(WORDS, max_size=4),
)


@examples(200)
@given(VERSIONS, VERSIONS)
def test_versions_are_ordered_as_the_semver_library_orders_them(item: str, other: str) -> None:
    theirs = semver.Version.parse(item).compare(other)
    first, second = (ORDERS["semver"](tag(name, 1)) for name in (item, other))
    if theirs:
        assert (first < second) == (theirs > 0)
    else:
        assert first[:-1] == second[:-1]


def test_a_creation_before_docker_was_is_unknown_and_the_push_counts() -> None:
    assert created_us(tag("a", 5, created_us=FIRST_US)) == FIRST_US
    assert created_us(tag("a", 5, created_us=FIRST_US - 1)) == us(5)
    assert created_us(tag("a", 5, created_us=0)) == us(5)
    assert created_us(tag("a", 5, created_us=None)) == us(5)
    assert created_us(tag("a", None, created_us=None)) == 0


def test_an_image_that_says_it_was_made_after_its_push_counts_by_the_push() -> None:
    assert created_us(tag("a", 5, created_us=us(6))) == us(5)
    wrong_clock = [tag(f"future-{number}", number, created_us=us(1000)) for number in range(3)]
    assert ordered([*wrong_clock, tag("new", 9, created_us=us(8))], "created")[0] == "new"


def test_by_push_the_newest_comes_first_and_names_break_ties() -> None:
    tags = [tag("c", 1), tag("a", 1), tag("b", 2), tag("unseen", None)]
    assert ordered(tags, "pushed") == ["b", "a", "c", "unseen"]


def test_a_digest_has_the_place_of_the_first_of_its_tags() -> None:
    tags = [tag("a", 4, "x"), tag("b", 3, "y"), tag("c", 2, "x"), tag("d", 1, "z")]
    places = rank([(each, "") for each in tags], by_digest=True)
    assert [places.place("", each, 9) for each in tags] == [1, 2, 1, 3]
    assert [places.place("", each, 2) for each in tags] == [1, 2, 1, None]
    by_tag = rank([(each, "") for each in tags], by_digest=False)
    assert [by_tag.place("", each, 3) for each in reversed(tags)] == [None, 3, 2, 1]


def test_places_are_read_no_further_than_requested() -> None:
    tags = [tag(f"b{number}", -number) for number in range(5)]
    unread = iter([(each, "g" if each.name == "b3" else "") for each in tags])
    places = rank(unread, by_digest=True)
    assert places.place("", tags[4], 2) is None
    assert [each.name for each, _ in unread] == ["b3", "b4"], "b2 is read: it could tie with b1"


NAMES = [f"{kind}{number}" for kind in ("1.", "v1.0.0-", "x") for number in range(4)]
TAGS = st.lists(
    st.builds(
        Tag,
        st.sampled_from(NAMES),
        st.sampled_from([digest_of(name) for name in "wxyz"]),
        st.integers(0, 3).map(us),
        pulled_us=st.none() | st.integers(0, 5).map(us),
        created_us=st.none() | st.just(0) | st.integers(0, 4).map(us),
    ),
    unique_by=lambda item: item.name,
)


@examples(150)
@given(TAGS, st.sampled_from(sorted(ORDERS)), st.booleans(), st.integers(1, 5))
def test_places_are_counted_group_by_group(tags: list[Tag], order: str, by_digest: bool, most: int) -> None:
    groups = {each.name: each.name[0] for each in tags}
    tags.sort(key=ORDERS[order])
    places = rank([(each, groups[each.name]) for each in tags], by_digest=by_digest, order=order)
    for each in sorted(tags, key=newest_push_first):
        in_group = [t for t in tags if groups[t.name] == groups[each.name]]
        ranks: dict[str, Any] = {}
        for other in in_group:
            ranks.setdefault(other.digest if by_digest else other.name, RANKS[order](other))
        counted = each.digest if by_digest else each.name
        place = list(ranks).index(counted) + 1
        is_tied = place > most and ranks[counted] == list(ranks.values())[most - 1]
        assert places.place(groups[each.name], each, most) == (place if place <= most or is_tied else None)


TIMES = {"pushed": {}, "created": {"created_us": us(1)}, "semver": {}, "pulled": {"pulled_us": us(7)}}


@pytest.mark.parametrize(("order", "times"), TIMES.items())
def test_a_tag_that_ties_with_the_last_place_is_not_beyond_it(order: str, times: dict[str, Any]) -> None:
    tags = [tag(name, 5, **times) for name in "mzakc"]
    tags.sort(key=ORDERS[order])
    places = rank([(each, "") for each in tags], by_digest=True, order=order)
    assert [places.place("", each, 2) for each in tags] == [1, 2, 3, 4, 5]


def test_only_a_tag_that_is_no_version_is_deleted_by_its_age() -> None:
    tags = [replace(tag(name, 5), unannounced=True) for name in ("1.1", "1.0", "x", "y")]
    places = rank([(each, "") for each in tags], by_digest=True, order="semver")
    assert [places.place("", each, 3) for each in tags] == [1, 2, 3, 3]
    assert places.place("", tags[3], 2) is None


def kept(tags: list[Tag], order: str) -> list[tuple[str, str]]:
    decided = planned(tags, policy(f"rules: [{{name: r, order: {order}, keep: {{last: 1}}}}]"), us(1000))
    return [(verdict.tag.name, verdict.reason) for verdict in decided.verdicts]


def test_every_order_has_its_own_words() -> None:
    tags = [tag("1.10.0", 3, created_us=us(2)), tag("1.9.0", 4, created_us=us(1))]
    assert kept(tags, "pushed") == [
        ("1.9.0", "the newest (rule r)"), ("1.10.0", "older than the newest (rule r)"),
    ]  # fmt: skip
    assert kept(tags, "semver") == [
        ("1.9.0", "below the highest version (rule r)"), ("1.10.0", "the highest version (rule r)"),
    ]  # fmt: skip
    assert kept(tags, "created") == [
        ("1.9.0", "created before the last one (rule r)"), ("1.10.0", "the one created last (rule r)"),
    ]  # fmt: skip
    assert kept(tags, "name") == [
        ("1.9.0", "the last by name (rule r)"), ("1.10.0", "before the last by name (rule r)"),
    ]  # fmt: skip
