"""A search finds repositories, tags, digests and users, the best first, and names the parts that it had no time for."""

from dataclasses import replace
from typing import Any

import pytest

from service.domain.history.search import TagMatch, UserMatch
from service.store.keys import short
from service.store.live_tags import packed_live
from service.wiring import Wiring
from tests.conftest import MakeWiring
from tests.support.makers import digest_of
from tests.support.record import NOW, digest, event, record, user_delete


@pytest.fixture
def wiring(make_wiring: MakeWiring) -> Wiring:
    """Tags of shop/api, pushed by ci, and of web/api, pushed by Alice; v1 moved, v0 was deleted by a user."""
    wiring = make_wiring()
    record(wiring.store.history, *(event(number, tag=f"v{number}") for number in (0, 1, 2, 10)))
    record(wiring.store.history, event(20, tag="v1", digest=digest_of("moved")))
    record(wiring.store.history, replace(user_delete(30, "v0"), repository="shop/api"))
    record(wiring.store.history, event(40, tag="v1", repository="web/api", actor="Alice"))
    return wiring


def found(wiring: Wiring, text: str) -> list[tuple[str, str, str]]:
    return [(match.repository, match.tag, match.state) for match in wiring.search.find(text).tags]


@pytest.mark.parametrize("length", [8, 9, 12, 13, 64])
@pytest.mark.parametrize("algorithm", ["", "sha256:"])
def test_eight_characters_of_a_digest_find_it_with_and_without_its_algorithm(
    wiring: Wiring, length: int, algorithm: str
) -> None:
    text = algorithm + digest(2).removeprefix("sha256:")[:length].upper()
    assert ("shop/api", "v2", "live") in found(wiring, text)
    other = digest(2)[7:14] + f"{int(digest(2)[14], 16) ^ 1:x}"
    assert ("shop/api", "v2", "live") not in found(wiring, other)


def test_a_digest_is_found_wherever_it_is_recorded(wiring: Wiring) -> None:
    assert found(wiring, digest(1)) == [("shop/api", "v1", "earlier"), ("shop/api", "", "untagged")]
    assert found(wiring, digest(0)) == [("shop/api", "v0", "earlier"), ("shop/api", "", "untagged")]
    keys, index, part = wiring.store.connection.keys, digest_of("index"), digest_of("part")
    wiring.store.connection.client.hset(keys.of("links", "shop/api"), index, f"1 child={part}")
    assert wiring.search.find(part).tags == (TagMatch("shop/api", "", index, "part"),)
    wiring.store.connection.client.hset(keys.of("untagged", "shop/api"), short(digest_of("lonely")), f"{NOW} v7")
    assert wiring.search.find(digest_of("lonely")).tags == (
        TagMatch("shop/api", "", digest_of("lonely"), "untagged", NOW),
    )


def test_tags_with_exactly_this_name_come_first_and_deleted_tags_are_found(wiring: Wiring) -> None:
    assert found(wiring, "v1") == [("web/api", "v1", "live"), ("shop/api", "v1", "live"), ("shop/api", "v10", "live")]
    assert found(wiring, "V0") == [("shop/api", "v0", "deleted")]
    keys, went = wiring.store.connection.keys, short(digest_of("went"))
    wiring.store.connection.client.hset(keys.of("deleted", "shop/api"), f"v0 {went}", f"{went} 1 {NOW} 3 too old")
    (match,) = wiring.search.find("v0").tags
    assert (match.state, match.at_us, match.reason, match.restorable) == ("deleted", NOW, "too old", True)


def test_a_reference_is_searched_in_its_repository(wiring: Wiring) -> None:
    assert found(wiring, "registry.example.com:5000/web/api:v1") == [("web/api", "v1", "live")]
    assert found(wiring, f"shop/api@{digest(2)}") == [("shop/api", "v2", "live")]


def test_repositories_and_users_are_found_by_a_part_of_their_name(wiring: Wiring) -> None:
    assert wiring.search.find("api").repositories == ("web/api", "shop/api")
    assert wiring.search.find("web/api").repositories == ("web/api",)
    assert wiring.search.find("alic").users == (UserMatch("Alice", 1),)


def test_only_the_best_matches_are_listed_and_all_are_counted(wiring: Wiring) -> None:
    record(wiring.store.history, *(event(100 + number, tag=f"nightly-{number}") for number in range(30)))
    record(wiring.store.history, event(99, tag="nightly"))
    result = wiring.search.find("nightly", 5)
    assert (result.tags[0].tag, len(result.tags), result.tag_count) == ("nightly", 5, 31)


def test_a_search_without_time_says_what_it_did_not_search(wiring: Wiring, monkeypatch: pytest.MonkeyPatch) -> None:
    result = wiring.search.find("v1", patience_s=-1)
    assert (result.tags, result.unsearched, result.history_from_us) == ((), 2, None)
    monkeypatch.setattr("service.store.search._EVENTS", 2)
    assert wiring.search.find("v1", history_s=-1).history_from_us == NOW + 30_000
    assert wiring.search.find("v1", history_s=60).history_from_us is None


def test_a_large_repository_is_searched_in_steps_that_do_not_block_redis(
    wiring: Wiring, monkeypatch: pytest.MonkeyPatch
) -> None:
    connection = wiring.store.connection
    live: dict[Any, Any] = {
        f"build-{number}": packed_live(f"{short(digest_of(str(number)))} 7! Bob", {}) for number in range(2000)
    }
    connection.client.hset(connection.keys.of("live", "shop/api"), mapping=live)
    monkeypatch.setattr("service.store.search._MOST_FIELDS", 100)
    steps = 0
    run = connection.run_undecoded

    def counted(*args: Any, **named: Any) -> object:
        nonlocal steps
        steps += args[0] == "search"
        return run(*args, **named)

    monkeypatch.setattr(connection, "run_undecoded", counted)
    result = wiring.search.find("build", 5, patience_s=60)
    assert steps >= 15
    assert (result.tag_count, result.unsearched, len(result.tags)) == (2000, 0, 5)
    assert wiring.search.find("bob").users == (UserMatch("Bob", 2000),)
    assert found(wiring, "build-1234") == [("shop/api", "build-1234", "live")]
    assert found(wiring, digest_of("77")) == [("shop/api", "build-77", "live")]
