"""/api/v1/trash: what can be restored, of all repositories."""

import pytest

from service.store.keys import short
from tests.fakes.images import make_image
from tests.support.edge import Edge
from tests.support.makers import digest_of
from tests.support.problem import problem

V1 = make_image("shop/api:v1").digest
WHERE = "/api/v1/trash"


def trash(edge: Edge, query: str = "") -> list[tuple[str, str | None]]:
    answer = edge.http.get(f"{WHERE}?{query}").json or {}
    return [(image["repository"], image["tag"]) for image in answer["deleted"]]


@pytest.fixture
def edge(pruned: Edge) -> Edge:
    """Deleted: v1 of shop/api, and before that a larger image of web/site, manually by alice."""
    keys, digest = pruned.store.connection.keys, digest_of("site")
    value = f"{short(digest)} 1 2000000 9999999 deleted manually by alice"
    pruned.redis.hset(keys.of("deleted", "web/site"), f"old {short(digest)}", value)
    pruned.redis.zadd(keys.of("trashed"), {f"web/site {digest}": 2_000_000})
    return pruned


def test_deleted_images_are_listed_with_their_reason(pruned: Edge) -> None:
    answer = pruned.http.get(WHERE).json or {}
    (image,) = answer["deleted"]
    assert (image["repository"], image["tag"], image["digest"]) == ("shop/api", "v1", V1)
    assert image["reason"] == "older than the newest (rule last)"
    assert image["restorable_until"] > image["deleted_at"] > image["pushed_at"]
    assert (answer["total"], answer["unread"], answer["next_collection_at"]) == (1, 0, None)


def test_the_trash_of_all_repositories_is_sorted_and_filtered(edge: Edge) -> None:
    site, api = ("web/site", "old"), ("shop/api", "v1")
    assert trash(edge) == [api, site]
    assert [trash(edge, f"sort={order}") for order in ("deleted", "-size", "size", "repository")] == [
        [site, api], [site, api], [api, site], [api, site],
    ]  # fmt: skip
    assert (trash(edge, "reason=Alice"), trash(edge, "repository=shop/*")) == ([site], [api])
    assert problem(edge.http.get(f"{WHERE}?repository=!x*"))[0] == 422


def test_pages_of_the_trash_follow_each_other(edge: Edge) -> None:
    for order in ("-deleted", "-size", "repository"):
        first = edge.http.get(f"{WHERE}?limit=1&sort={order}").json or {}
        second = edge.http.get(f"{WHERE}?limit=1&sort={order}&cursor={first['next']}").json or {}
        assert {image["repository"] for page in (first, second) for image in page["deleted"]} == {
            "shop/api",
            "web/site",
        }
        assert second["next"] is None


def test_more_deletions_than_one_answer_reads_are_reported(edge: Edge, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("service.restore.trash_listing.MOST_READ", 1)
    monkeypatch.setattr("service.restore.trash_listing._AT_ONCE", 1)
    answer = edge.http.get(WHERE).json or {}
    assert ([image["repository"] for image in answer["deleted"]], answer["unread"]) == (["shop/api"], 1)


def test_a_large_trash_is_read_by_several_scripts(edge: Edge, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("service.store.trash._MOST_FIELDS", 0)
    assert trash(edge) == [("shop/api", "v1"), ("web/site", "old")]
