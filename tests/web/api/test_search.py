"""/api/v1/search, and the page of the search box: the same matches, without a link to anything that does not exist."""

import pytest

from tests.support.edge import Edge, ServeEdge
from tests.support.makers import digest_of, event
from tests.support.problem import problem
from tests.web.pages.browser import TOKENS, Browser


@pytest.fixture
def edge(serve_over_valkey: ServeEdge) -> Edge:
    edge = serve_over_valkey(tokens=TOKENS)
    edge.heard(event(tag="v1", digest="d1", actor="alice"))
    return edge


def test_a_read_token_finds_a_tag_by_its_digest(edge: Edge) -> None:
    matches = edge.http.get(
        f"/api/v1/search?q={digest_of('d1')[:15]}", headers={"Authorization": f"Bearer {TOKENS['read']}"}
    ).json
    assert isinstance(matches, dict)
    assert [(match["repository"], match["tag"], match["state"]) for match in matches["tags"]] == [
        ("shop/api", "v1", "live")
    ]
    assert {name: matches[name] for name in ("tag_count", "repositories", "unsearched", "history_from")} == {
        "tag_count": 1, "repositories": [], "unsearched": 0, "history_from": None,
    }  # fmt: skip


@pytest.mark.parametrize("query", ["", "q=", f"q={'x' * 257}", "q=v1&limit=201"])
def test_a_search_without_a_text_or_for_too_much_is_refused(edge: Edge, query: str) -> None:
    headers = {"Authorization": f"Bearer {TOKENS['read']}"}
    assert problem(edge.http.get(f"/api/v1/search?{query}", headers=headers))[0] == 422


def test_the_page_leads_to_the_tag_the_repository_and_what_the_user_did(edge: Edge) -> None:
    browser = Browser(edge, TOKENS["read"])
    assert 'action="/search"' in browser.text("/"), "the box is on every page"
    assert '<a href="/tag/shop/api:v1">' in browser.text("/search?q=v1")
    assert '<a href="/repository/shop/api">' in browser.text("/search?q=shop")
    assert '<a href="/activity?who=alice">' in browser.text("/search?q=ali")
    assert "Nothing matches" in browser.text("/search?q=nothing-like-that")


def test_the_activity_of_a_digest_is_found_by_its_first_characters(edge: Edge) -> None:
    browser, path = Browser(edge, TOKENS["read"]), "/panels/activity/entries?digest="
    assert "alice" in browser.text(path + digest_of("d1")[7:15])
    assert "alice" not in browser.text(path + digest_of("d2"))
    assert "write at least its first 8 characters" in browser.panel(path + "d1").text
    headers = {"Authorization": f"Bearer {TOKENS['read']}"}
    events = edge.http.get(f"/api/v1/events?digest={digest_of('d1')[7:15]}", headers=headers).json or {}
    assert [row["tag"] for row in events["events"]] == ["v1"]
    assert edge.http.get("/api/v1/events?digest=d1", headers=headers).status_code == 422
