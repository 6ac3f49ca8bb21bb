"""Rules for every page and panel: access, texts of clients stay text, nothing is inline."""

import gzip
import re

import fakeredis
import pytest

from service.domain.collection.run import Run
from service.store.catalog import Catalog
from service.store.history import History
from service.store.keys import short
from service.web.app import create_app
from tests.conftest import keep_last
from tests.support.edge import Edge, ServeEdge
from tests.support.makers import digest_of, event
from tests.support.old_words import old_words
from tests.web.pages.browser import TOKENS, Browser
from tests.web.pages.shape import faults

EVIL = "<script>alert(1)</script>\"'\u202e\u200f\x07"
PAGES = (
    "/", "/repositories", "/repository/shop/api", "/tag/shop/api:v2", "/activity", "/search", "/approvals",
    "/policy", "/trash", "/collection", "/collection/run/7", "/health",
)  # fmt: skip
PANELS = (
    "/panels/overview/first-start", "/panels/overview/first-start/steps",
    "/panels/overview/now", "/panels/overview/figures", "/panels/overview/storage", "/panels/overview/past",
    "/panels/overview/deletions", "/panels/overview/next",
    "/panels/activity/entries", "/panels/activity/rejected", "/panels/activity/troubles",
    "/panels/policy/force", "/panels/trash/list",
    "/panels/approvals/list", "/panels/approvals/images/shop/api", "/panels/collection/now",
    "/panels/repositories/list", "/panels/repository/head/shop/api",
    "/panels/repository/tags/shop/api", "/panels/repository/trash/shop/api",
    "/panels/tag/why/shop/api:v2", "/panels/tag/line/shop/api:v2", "/panels/tag/images/shop/api:v2",
    "/panels/collection/runs", "/panels/collection/run/7", "/panels/collection/rehearsal", "/panels/collection/garbage",
    "/panels/health/now", "/panels/health/found", "/panels/health/queues", "/panels/health/reconcile",
)  # fmt: skip
FILES = ("/activity.csv", "/activity.json", "/collection/run/7/log")
CHANGES = (
    "/collection",
    "/collection/cancel",
    "/approvals/approve",
    "/approvals/confirm",
    "/approvals/reject",
    "/trash/confirm",
    "/trash/restore",
    "/health/compare",
    "/panels/health/doctor",
    "/restore",
    "/delete",
    "/selection",
    "/selection/delete",
    "/selection/protect",
)
ASKS = ("/panels/policy/trial",)


@pytest.fixture
def edge(serve_over_valkey: ServeEdge) -> Edge:
    """A system with at least one of everything, and malicious texts wherever a stranger can put one."""
    edge = serve_over_valkey(
        policy=keep_last(1, hold_over=1, hold_min=0), tokens=TOKENS, gc={"command": "registry garbage-collect x"}
    )
    edge.heard(event(actor=EVIL, useragent=EVIL), event(tag="v2"), {"id": EVIL, "action": EVIL})
    edge.heard(event(tag="v2", digest="other", actor=EVIL, useragent=EVIL, at=2), event("pull", actor=EVIL, at=3))
    went = short(digest_of("v0"))
    edge.redis.hset(edge.store.connection.keys.of("deleted", "shop/api"), f"v0 {went}", f"{went} 1 2 3 {EVIL}")
    edge.redis.zadd(edge.store.connection.keys.of("trashed"), {f"shop/api {digest_of('v0')}": 2})
    edge.store.approvals.note("shop/api", "approved", EVIL, EVIL)
    edge.store.outbox.note_trouble(EVIL, EVIL)
    edge.store.collections.request(EVIL)
    edge.store.collection_runs.record(Run(7, 8, "done", EVIL))
    edge.store.collection_runs.keep_log(7, gzip.compress(EVIL.encode("utf-8", "replace")))
    history = edge.store.history
    assert history.commit(history.snapshot("shop/api"), edge.wiring.verdicts.plan("shop/api"), "held")
    return edge


def test_every_page_is_tried_here(edge: Edge) -> None:
    rules = [rule for rule in create_app(edge.wiring).url_map.iter_rules() if rule.endpoint.startswith("pages.")]
    known = {*PAGES, *PANELS, *FILES, *CHANGES, *ASKS, "/login", "/login/<secret>", "/logout"}
    named = {"<path:repository>": "shop/api", "<tag>": "v2", "<int:started_ms>": "7"}
    every = {re.sub("|".join(named), lambda result: named[result[0]], rule.rule) for rule in rules}
    of_tag = ("platforms/shop/api@<digest>", "contents/shop/api:v2", "compare/shop/api:v2")
    asking = {f"/panels/tag/{part}" for part in of_tag}
    assert every == {*known, *asking}


def test_each_is_sound_and_what_strangers_sent_is_text(edge: Edge) -> None:
    browser = Browser(edge, TOKENS["admin"])
    for path in (*PAGES, *PANELS):
        for text in (browser.get(path).text, browser.text(path)):
            assert faults(text) == [], path
            assert "<script>alert" not in text
            assert old_words(text) == [], path
            assert not set("\u202e\u200f\x07").intersection(text)
        assert browser.get(path).text.startswith("<!doctype html>")


def test_none_but_the_policy_reads_what_concerns_all_repositories(edge: Edge, monkeypatch: pytest.MonkeyPatch) -> None:
    """Names and times of half a million tags take seconds to read; only a search and some orders need them."""
    of_all = Catalog.names
    browser = Browser(edge, TOKENS["read"])
    monkeypatch.setattr(History, "generations", None)
    monkeypatch.setattr(Catalog, "planned_ms", None)
    monkeypatch.setattr(Catalog, "names", lambda catalog, path: of_all(catalog, path) if path else 1 / 0)
    for path in sorted({*PAGES, *PANELS, "/panels/repositories/list?under=shop/"} - {"/panels/policy/force"}):
        browser.text(path)


@pytest.mark.parametrize(
    ("path", "part", "mode"),
    [
        ("/activity", "Activity", "page"), ("/repository/shop/api", "Repositories", "true"),
        ("/tag/shop/api:v2", "Repositories", "true"), ("/collection/run/7", "Collection", "true"),
    ],
)  # fmt: skip
def test_the_navigation_says_where_one_is(edge: Edge, path: str, part: str, mode: str) -> None:
    page = Browser(edge, TOKENS["read"]).text(path)
    assert re.findall(r'<a href="[^"]+" aria-current="(page|true)">(\w+)</a>', page) == [(mode, part)]


def test_invisible_characters_are_named(edge: Edge) -> None:
    text = Browser(edge, TOKENS["read"]).text("/panels/activity/entries")
    assert '&lt;script&gt;alert(1)&lt;/script&gt;&#34;&#39;<span class="unseen">U+202E</span>' in text


def test_no_page_is_shown_without_a_token(edge: Edge) -> None:
    browser = Browser(edge)
    assert {path: browser.get(path).status_code for path in (*PAGES, *PANELS, *FILES)} == dict.fromkeys(
        (*PAGES, *PANELS, *FILES), 303
    )


def test_nothing_of_any_is_kept_or_comes_from_elsewhere(edge: Edge) -> None:
    browser = Browser(edge, TOKENS["read"])
    for path in (*PAGES, *PANELS, *FILES):
        headers = browser.get(path).headers
        assert headers["Cache-Control"] == "no-store"
        assert headers["X-Content-Type-Options"] == "nosniff"
        assert headers["Referrer-Policy"] == "same-origin"
        policy = headers["Content-Security-Policy"]
        assert "default-src 'none'" in policy
        assert "unsafe" not in policy


def test_a_user_with_read_rights_sees_no_button_that_changes(edge: Edge) -> None:
    seen = {token: set[str]() for token in (TOKENS["read"], TOKENS["admin"])}
    for token, item in seen.items():
        browser = Browser(edge, token)
        for path in (*PAGES, *PANELS):
            item.update(re.findall(r'action="([^"]+)"', browser.text(path)))
    assert seen[TOKENS["read"]] == {
        "/activity",
        "/repositories",
        "/repository/shop/api",
        "/search",
        "/tag/shop/api:v2",
        "/trash",
        "/panels/policy/trial",
        "/logout",
    }
    # No tag is selected.
    hidden = {"/selection/delete", "/selection/protect"}
    assert seen[TOKENS["admin"]] == {*seen[TOKENS["read"]], *CHANGES} - hidden


def test_a_change_by_a_user_with_read_rights_is_refused(edge: Edge) -> None:
    browser = Browser(edge, TOKENS["read"])
    for path in CHANGES:
        response = browser.post(path, repository="shop/api", plan="x")
        assert (response.status_code, "read-only: sign in with tokens.admin" in response.text) == (403, True)


def test_an_unexpected_error_is_one_sentence_in_place_of_the_panel(edge: Edge, monkeypatch: pytest.MonkeyPatch) -> None:
    browser = Browser(edge, TOKENS["admin"])
    monkeypatch.setattr(type(edge.store.stats), "read", lambda figures: 1 // 0)
    panel, page = browser.panel("/panels/overview/now"), browser.get("/panels/overview/now")
    for answer in (panel, page):
        assert answer.status_code == 500
        assert "internal error of pushprune; see its log</bdi>" in answer.text
    assert "<html" not in panel.text
    assert faults(page.text) == []


def test_a_page_from_elsewhere_is_refused(edge: Edge) -> None:
    browser = Browser(edge, TOKENS["admin"])
    browser.origin = "http://evil.example"
    for path in (*CHANGES, *ASKS):
        assert browser.post(path).status_code == 403


def test_without_redis_each_page_is_there_and_each_panel_says_so_in_one_sentence(
    serve: ServeEdge, redis_server: fakeredis.FakeServer
) -> None:
    browser = Browser(serve(policy=keep_last(3)))
    redis_server.connected = False
    for path in PAGES:
        assert browser.get(path).status_code == 200
    for path in PANELS:
        response = browser.panel(path)
        assert response.status_code == 503, path
        assert "Redis does not answer" in response.text
        assert len(response.text) < 1000
