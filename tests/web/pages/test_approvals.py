"""The approvals page: waiting plans with the images they would delete; decisions about one plan or several together."""

import re

import pytest

from tests.conftest import keep_last
from tests.support.edge import Edge, ServeEdge
from tests.support.makers import event
from tests.web.pages.browser import TOKENS, Browser

LIST, IMAGES = "/panels/approvals/list", "/panels/approvals/images/shop/api"
BADGE = '<span class="badge warn">1<span class="unheard"> pending</span></span>'


def hold_plan(edge: Edge, repository: str) -> str:
    """Three pushes, of which the policy would delete two: that plan waits."""
    edge.heard(*(event(repository=repository, tag=f"v{number}", at=number) for number in (1, 2, 3)))
    history = edge.store.history
    assert history.commit(history.snapshot(repository), edge.wiring.verdicts.plan(repository), "held")
    (hold,) = edge.store.approvals.holds([repository])
    return hold.plan


@pytest.fixture
def held(serve_over_valkey: ServeEdge) -> Edge:
    """shop/api, whose plan to delete v1 and v2 waits."""
    edge = serve_over_valkey(policy=keep_last(1, hold_over=10, hold_min=1))
    hold_plan(edge, "shop/api")
    return edge


def plan(edge: Edge, repository: str = "shop/api") -> str:
    return f"{repository}@{edge.store.approvals.holds([repository])[0].plan}"


def test_a_plan_that_waits_is_shown_with_what_it_would_delete(held: Edge) -> None:
    held.heard(event("pull", tag="v1", at=9))
    browser = Browser(held)
    text = browser.text(LIST)
    assert re.findall(r"<dt>(.+?)</dt><dd>(\d+)</dd>", text) == [("Images to delete", "2"), ("Tags to delete", "2")]
    assert "1 never pulled" in text
    would = browser.text(IMAGES)
    assert [f"/tag/shop/api:{tag}" in would for tag in ("v1", "v2", "v3")] == [True, True, False]
    assert 'href="/approvals">Review</a>' in browser.text("/panels/overview/now")
    assert BADGE in browser.text("/policy"), "every page says how many wait"


def test_a_plan_is_approved_with_its_button_and_recorded_in_the_history(held: Edge) -> None:
    browser = Browser(held)
    assert "Select all" not in browser.text(LIST), "one button is enough for one plan"
    response = browser.post("/approvals/approve", only=plan(held), item="other@plan", back="/approvals")
    assert response.headers["Location"] == "/approvals"
    assert "Approved: 2 images of 1 repository will be deleted." in browser.said(response)
    assert held.wiring.verdicts.plan("shop/api").hold is None
    assert held.sent == [("enforce", "shop/api")]
    (entry, *_) = held.store.history.entries("shop/api")
    assert (entry.action, entry.actor) == ("approved", "dashboard")


def test_several_plans_are_confirmed_once_and_approved_together(held: Edge) -> None:
    browser = Browser(held)
    hold_plan(held, "shop/web")
    items = [plan(held), plan(held, "shop/web")]
    assert re.findall(r'name="item" value="([^"]+)"', browser.text(LIST)) == items
    asked = browser.post("/approvals/confirm", item=items, do="approve").text
    assert "Approve deletion of 4 images" in asked
    assert re.findall(r'name="item" value="([^"]+)"', asked) == items
    assert held.sent == [], "nothing is decided yet"
    assert "4 images of 2 repositories" in browser.said(browser.post("/approvals/approve", item=items))
    assert [held.wiring.verdicts.plan(name).hold for name in ("shop/api", "shop/web")] == [None, None]


def test_a_plan_that_was_replaced_is_not_approved_and_the_others_are(held: Edge) -> None:
    browser = Browser(held)
    items = [plan(held), f"shop/web@{hold_plan(held, 'shop/web')}"]
    held.heard(event(tag="v4", at=4))
    history = held.store.history
    assert history.commit(history.snapshot("shop/api"), held.wiring.verdicts.plan("shop/api"), "held")
    assert "a new plan replaced" in browser.said(browser.post("/approvals/confirm", item=items))
    text = browser.said(browser.post("/approvals/approve", item=items))
    assert "Approved: 2 images of 1 repository will be deleted. Not decided: the plan for" in text
    assert [bool(held.wiring.verdicts.plan(name).hold) for name in ("shop/api", "shop/web")] == [True, False]


def test_a_plan_that_is_about_to_be_replaced_is_marked(held: Edge) -> None:
    notice = "a new plan will replace this one soon"
    assert notice not in Browser(held).text(LIST)
    held.heard(event(tag="v4", at=4))
    assert notice in Browser(held).text(LIST)


def test_a_rejected_plan_is_kept_and_asks_for_no_decision(held: Edge) -> None:
    browser = Browser(held)
    response = browser.post("/approvals/reject", only=plan(held), back="/approvals")
    assert "Rejected: 2 images of 1 repository are kept." in browser.said(response)
    assert ">rejected</span> by <bdi>dashboard</bdi>" in browser.text(LIST)
    assert BADGE not in browser.text("/approvals")
    assert 'href="/approvals">Review</a>' not in browser.text("/panels/overview/now")
    assert (held.http.get("/readyz").json or {})["holds"] == 0
    assert "pushprune_held_repositories 0.0" in held.http.get("/metrics").text
    (listed,) = (held.http.get("/api/v1/holds").json or {})["holds"]
    assert listed["rejected_by"] == "dashboard"
    assert held.wiring.verdicts.plan("shop/api").hold is not None
    (entry, *_) = held.store.history.entries()
    assert (entry.action, entry.repository, entry.actor) == ("refused", "shop/api", "dashboard")


def test_plans_follow_each_other_page_by_page(held: Edge, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("service.web.pages.approvals._PAGE", 1)
    hold_plan(held, "shop/web")
    browser = Browser(held)
    first = browser.text(LIST)
    (later,) = re.findall(r'class="button" href="/approvals\?([^"]+)">More of 2', first)
    assert ['href="/repository/shop/web"' in text for text in (first, browser.text(f"{LIST}?{later}"))] == [False, True]


def test_a_reader_sees_the_plans_and_no_button(serve_over_valkey: ServeEdge) -> None:
    edge = serve_over_valkey(policy=keep_last(1, hold_over=10, hold_min=1), tokens=TOKENS)
    hold_plan(edge, "shop/api")
    text = Browser(edge, TOKENS["read"]).text(LIST)
    assert ("Images to delete" in text, "<button" in text) == (True, False)
