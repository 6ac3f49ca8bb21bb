"""The pages of a repository and of a tag: the decision, its reason, and the restore."""

import json
import re
from html import unescape

import pytest

from service.clock import now_us
from service.domain.events import parse
from tests.conftest import keep_last
from tests.fakes.images import make_image
from tests.fakes.registry import FakeRegistry
from tests.support.edge import Edge, ServeEdge
from tests.support.makers import digest_of, event
from tests.web.pages.browser import TOKENS, Browser

V1 = make_image("shop/api:v1").digest
TAGS, TRASH = "/panels/repository/tags/shop/api", "/panels/repository/trash/shop/api"
WHY, LINE, COMPARE = "/panels/tag/why/shop/api", "/panels/tag/line/shop/api", "/panels/tag/compare/shop/api"


def names(text: str) -> list[str]:
    return re.findall(r'<th scope="row"><a href="/tag/shop/api:([^"]+)"', text)


@pytest.fixture
def kept(serve_over_valkey: ServeEdge) -> Edge:
    """Five tags, of which two go; b and c share a digest."""
    edge = serve_over_valkey(policy=keep_last(2), registry={"url": "http://reg.example:5000"})
    digests = {"a": "1", "b": "2", "c": "2", "d": "3", "e": "4"}
    edge.heard(*(event(tag=tag, digest=of, at=at) for at, (tag, of) in enumerate(digests.items())))
    return edge


def test_each_tag_says_what_becomes_of_it_and_why(kept: Edge) -> None:
    text = Browser(kept).text(TAGS)
    assert names(text) == ["e", "d", "c", "b", "a"]
    assert text.count('<span class="status ok">kept</span>') == 2
    assert text.count('<span class="status delete">to be deleted</span>: <bdi>older than the newest 2') == 3
    assert 'data-copy="docker pull reg.example:5000/shop/api:e"' in text


def test_tags_that_share_a_digest_are_named(kept: Edge) -> None:
    (b,) = [row for row in Browser(kept).text(TAGS).split("<tr>") if "shop/api:b" in row.split("</th>")[0]]
    assert re.search(r"same image as\s+<a href=\"/tag/shop/api:c\">", b)


@pytest.mark.parametrize(
    ("query", "result"),
    [("search=d", ["d"]), ("order=name", list("abcde")), ("order=-name", list("edcba")), ("search=?", list("edcba"))],
)
def test_tags_are_found_and_sorted(kept: Edge, query: str, result: list[str]) -> None:
    assert names(Browser(kept).text(f"{TAGS}?{query}")) == result


def test_a_heading_sorts_and_the_same_heading_reverses_the_order(kept: Edge) -> None:
    browser = Browser(kept)
    assert 'href="/repository/shop/api?status=keep&amp;order=expires">Expected deletion' in browser.text(
        f"{TAGS}?status=keep"
    )
    text = browser.text(f"{TAGS}?order=expires")
    assert '<th scope="col" aria-sort="ascending"><a href="/repository/shop/api?order=-expires">' in text
    assert names(text)[:3] == ["a", "b", "c"]


def test_without_scripts_a_heading_leads_to_the_sorted_list_itself(kept: Edge) -> None:
    text = Browser(kept).get(f"{TAGS}?status=keep").text
    assert f'href="{TAGS}?status=keep&amp;order=expires">Expected deletion' in text
    assert f'href="{TAGS}?select=page&amp;status=keep">Select all' in text


def test_the_head_has_the_totals_and_a_filter_for_each_status(kept: Edge) -> None:
    text = Browser(kept).text("/panels/repository/head/shop/api?status=keep")
    assert "<dt>To be deleted</dt><dd>3</dd>" in text
    assert '?status=keep" aria-current="true">kept <span class="quiet">2</span>' in text
    assert names(Browser(kept).text(f"{TAGS}?status=keep")) == ["e", "d"]


def test_a_search_finds_deleted_tags_that_cannot_be_restored(kept: Edge) -> None:
    kept.heard(event("delete", tag="b", at=9))
    browser = Browser(kept)
    assert f'hx-get="{TRASH}?search=b"' in browser.text("/repository/shop/api?search=b")
    text = browser.text(f"{TRASH}?search=b")
    assert names(text) == ["b"]
    assert "deleted outside pushprune" in text
    assert "not restorable" in text
    assert names(browser.text(f"{TRASH}?search=x")) == []


def test_pages_of_tags_follow_each_other(kept: Edge) -> None:
    kept.heard(*(event(tag=f"t{number:03}", at=100 + number) for number in range(150)))
    browser = Browser(kept)
    for order in ("name", "-pushed", "-size"):
        first = browser.text(f"{TAGS}?order={order}")
        (more,) = re.findall(r'class="button" href="/repository/shop/api([^"]+)">More', first)
        rest = browser.text(f"{TAGS}{more.replace('&amp;', '&')}")
        assert (len(names(first)), len(names(rest))) == (100, 55)
        assert len({*names(first), *names(rest)}) == 155


@pytest.mark.parametrize(
    ("page", "sentence"),
    [
        ("/repository/nope/x", "no repository 'nope/x' is known"),
        ("/tag/nope/x:v1", "no repository 'nope/x' is known"),
        ("/tag/shop/api:nope", "no tag 'nope' is known in 'shop/api'"),
    ],
)
def test_the_page_of_an_unknown_name_says_so_once(pruned: Edge, page: str, sentence: str) -> None:
    response = Browser(pruned).get(page)
    assert (response.status_code, unescape(response.text).count(sentence)) == (404, 1)
    assert "hx-get" not in response.text


def test_an_unknown_repository_does_not_exist(edge: Edge) -> None:
    for panel in (TAGS, TRASH, f"{WHY}:v1", f"{LINE}:v1"):
        response = Browser(edge).panel(panel)
        assert (response.status_code, "is known" in response.text) == (404, True)


def test_platforms_are_read_only_if_requested(pruned: Edge, registry: FakeRegistry) -> None:
    before = len(registry.requests)
    assert "Platforms" not in Browser(pruned).text(TAGS)
    assert len(registry.requests) == before
    assert "Platforms" in Browser(pruned).text(f"{TAGS}?platforms=yes")
    assert len(registry.requests) > before


@pytest.mark.parametrize("digest", ["latest", "..", "sha256:zz"])
def test_a_text_that_is_no_digest_has_no_platforms(pruned: Edge, digest: str) -> None:
    answer = Browser(pruned).panel(f"/panels/tag/platforms/shop/api@{digest}")
    assert (answer.status_code, "is not a valid digest" in answer.text) == (409, True)


def test_a_deleted_tag_is_restored_and_the_history_names_the_user(pruned: Edge, registry: FakeRegistry) -> None:
    browser = Browser(pruned)
    assert "older than the newest" in browser.text(TRASH)
    assert 'aria-label="Restore shop/api:v1"' in browser.text("/panels/overview/deletions")
    form = {"repository": "shop/api", "tag": "v1", "digest": V1, "back": "/repository/shop/api"}
    response = browser.post("/restore", **form)
    assert response.headers["Location"] == "/repository/shop/api"
    assert "restored v1" in browser.said(response)
    assert registry.tags("shop/api")["v1"] == V1
    (entry, *_) = pruned.wiring.store.history.entries("shop/api")
    assert (entry.action, "dashboard" in (entry.actor + entry.reason)) == ("restored", True)
    assert "Nothing to restore" in browser.text("/panels/overview/deletions")
    assert "No deleted tags" in browser.text(TRASH)


@pytest.mark.parametrize(
    ("form", "sentence"),
    [
        ({"tag": "v9"}, "was not deleted by pushprune"),
        ({"tag": "<b>"}, "is not a valid tag"),
        ({"tag": "v1", "as_tag": "a b"}, "is not a valid tag"),
        ({"digest": "sha256:x"}, "is not a valid digest"),
        ({"repository": "nobody/knows", "tag": "v1"}, "no repository"),
    ],
)
def test_an_impossible_restore_is_reported_in_one_sentence(pruned: Edge, form: dict[str, str], sentence: str) -> None:
    browser = Browser(pruned)
    assert sentence in browser.said(browser.post("/restore", **{"repository": "shop/api", **form}))


def test_a_deleted_tag_says_why_it_was_deleted_and_where_it_is_restored(pruned: Edge) -> None:
    browser = Browser(pruned)
    why = browser.text(f"{WHY}:v1")
    assert "</time> by <bdi>pushprune</bdi>: <bdi>older than the newest (rule last)</bdi>" in why
    assert '<a href="#history">Restore it below</a>' in why
    line = browser.text(f"{LINE}:v1")
    assert "older than the newest" in line
    assert "Restore</button>" in line
    assert "Push the image again" not in line
    pruned.wiring.store.trash.collected()
    line = browser.text(f"{LINE}:v1")
    assert "Restore</button>" not in line
    assert "Can no longer be restored" in line


def test_a_tag_that_moved_shows_each_digest_and_who_moved_it(kept: Edge) -> None:
    kept.heard(event(tag="e", digest="5", actor="bob", at=10))
    line = Browser(kept).text(f"{LINE}:e")
    assert line.count("<li>") == 2
    assert line.count(">current</span>") == 1
    assert "overwritten by bob" in line


@pytest.fixture
def moved(serve_over_valkey: ServeEdge, registry: FakeRegistry) -> Edge:
    """v1 pointed at the image of v1, and points at that of seed two."""
    edge = serve_over_valkey(policy=keep_last(9), registry_url=registry.url, tokens=TOKENS)
    for seed in (None, "two"):
        registry.push_image("shop/api", "v1", seed=seed)
    edge.store.history.record(parse(json.dumps({"events": registry.events}).encode(), now_us()))
    return edge


def test_an_overwritten_image_is_restored_once_the_image_that_it_overwrites_was_read(
    moved: Edge, registry: FakeRegistry
) -> None:
    browser, two = Browser(moved, TOKENS["admin"]), registry.tags("shop/api")["v1"]
    line = browser.text(f"{LINE}:v1")
    (details,) = re.findall(r"<details>\s+<summary>Revert tag to this image …</summary>.*?</details>", line, re.DOTALL)
    assert f'title="{two}"' in details.split("</form>")[0].split("Afterwards")[0]
    form = dict(re.findall(r'name="([a-z]+)" value="([^"]+)"', details))
    assert (form["tag"], form["digest"], form["over"]) == ("v1", V1, two)
    assert f"{two} no longer has the tag" in browser.said(browser.post("/restore", **form))
    assert registry.tags("shop/api")["v1"] == V1
    (entry, *_) = moved.wiring.store.history.entries("shop/api")
    assert (entry.action, entry.actor) == ("restored", "dashboard (admin)")
    assert f'name="digest" value="{two}"' in browser.text(f"{LINE}:v1")


def test_any_two_digests_of_a_tag_are_compared(kept: Edge) -> None:
    for at, (digest, blobs) in enumerate(
        {"5": {"c5": 1, "base": 4_000_000}, "6": {"c6": 1, "base": 4_000_000, "l": 2_000_000}}.items()
    ):
        kept.heard(event(tag="e", digest=digest, blobs=blobs, actor="bob", at=10 + at))
    browser = Browser(kept)
    choice = browser.text("/panels/tag/images/shop/api:e")
    assert re.findall(r'value="([^"]+)"', choice) == [digest_of(item) for item in ("6", "5", "4")] * 2
    assert re.findall(r'value="([^"]+)" selected', choice) == [digest_of("5"), digest_of("6")]
    text = browser.text(f"{COMPARE}:e?before={digest_of('5')}&after={digest_of('6')}")
    assert "2.0 MB new, 1 B removed, 4.0 MB shared" in text
    assert text.count("<bdi>bob</bdi>") == 2
    assert "The shared layers are unknown" in browser.text(
        f"{COMPARE}:e?before={digest_of('4')}&after={digest_of('6')}"
    )
    assert "Both are the same image" in browser.text(f"{COMPARE}:e?before={digest_of('5')}&after={digest_of('5')}")
    assert "never pointed to" in browser.panel(f"{COMPARE}:e?before={digest_of('1')}&after={digest_of('5')}").text
    assert "only ever pointed at one digest" in browser.text("/panels/tag/images/shop/api:a")


def test_the_address_names_the_images_that_are_compared(kept: Edge) -> None:
    page = Browser(kept).text(f"/tag/shop/api:e?before={digest_of('4')}&after={digest_of('5')}")
    assert f'hx-get="{COMPARE}:e?before={digest_of("4")}&amp;after={digest_of("5")}"' in page
    assert COMPARE not in Browser(kept).text("/tag/shop/api:e")


def test_the_result_of_each_rule_about_a_tag_is_shown(kept: Edge) -> None:
    text = Browser(kept).text(f"{WHY}:b")
    assert '<span class="status delete">To be deleted</span>' in text
    assert "3 (rule keeps 2)" in text
    assert '<a href="/tag/shop/api:c">' in text


def test_a_tag_is_deleted_by_hand_over_the_workers(pruned: Edge) -> None:
    browser = Browser(pruned)
    answer = browser.said(browser.post("/delete", repository="shop/api", tag="v2", back="/tag/shop/api:v2"))
    assert "shop/api:v2 is queued for deletion" in answer
    assert pruned.wiring.store.manual.requests("shop/api")["v2"].by == "dashboard"
    assert "Deletion requested by" in browser.text(f"{WHY}:v2")
    assert pruned.sent == [("enforce", "shop/api")]


@pytest.mark.parametrize(
    ("tag", "sentence"), [("v9", "tag not found"), ("*", "is not a valid tag"), ("", "name the tag")]
)
def test_an_impossible_deletion_is_reported(pruned: Edge, tag: str, sentence: str) -> None:
    browser = Browser(pruned)
    assert sentence in browser.said(browser.post("/delete", repository="shop/api", tag=tag))
    assert pruned.wiring.store.manual.requests("shop/api") == {}


def test_another_policy_is_tried_on_this_repository_alone(kept: Edge) -> None:
    kept.heard(event(repository="shop/api2"))
    browser = Browser(kept)
    text = browser.post("/panels/policy/trial", policy="rules: [{keep: none}]", repository="shop/api").text
    assert "1 of 1 repositories" in text
