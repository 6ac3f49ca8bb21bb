"""Habits of people while panels renew themselves: links by keyboard, marked text, another window, a proxy."""

import uuid
from collections.abc import Callable

import pytest
from playwright.sync_api import Route, expect

from tests.browser.site import Site, Visit

Visiting = Callable[..., Visit]
_HIDE = """() => {
  Object.defineProperty(document, "hidden", { configurable: true, get: () => true });
  window.wanted = 0;
  document.addEventListener("htmx:beforeRequest", () => { window.wanted += 1; });
}"""
_MARK = """() => getSelection().selectAllChildren(document.querySelector(".panel caption"))"""


@pytest.fixture
def name(site: Site) -> str:
    """A browser on the activity of a repository with one tag."""
    name = f"habit/{uuid.uuid4().hex[:8]}"
    site.system.pusher.push_image(name, "first")
    return name


def test_the_focus_stays_on_its_link_while_new_rows_come_in(site: Site, visit: Visiting, name: str) -> None:
    page = visit().go(f"/activity?repository={name}")
    page.get_by_role("link", name="first").focus()
    site.system.pusher.push_image(name, "second")
    expect(page.get_by_role("link", name="second")).to_be_visible()
    expect(page.get_by_role("link", name="first")).to_be_focused()


def test_a_link_to_a_part_of_a_page_leads_there_although_panels_arrive_later(
    site: Site, visit: Visiting, name: str
) -> None:
    for number in range(3):
        site.system.pusher.push_image(name, f"v{number}")
    page = visit(viewport={"width": 360, "height": 900}).go(f"/activity?repository={name}#rejected")
    expect(page.get_by_role("heading", name="Rejected events")).to_be_in_viewport()


def test_a_text_that_the_user_selects_stays_selected(site: Site, visit: Visiting, name: str) -> None:
    page = visit().go(f"/activity?repository={name}")
    page.evaluate(_MARK)
    site.system.pusher.push_image(name, "second")
    with page.expect_response(lambda answer: "panels/activity/entries" in answer.url and "second" in answer.text()):
        pass
    page.wait_for_function("() => !document.querySelector('.htmx-request')")
    assert page.evaluate("() => getSelection().toString()") == "Newest first"


def test_a_button_under_the_pointer_stays_that_of_its_row(site: Site, visit: Visiting, name: str) -> None:
    page = visit().go(f"/repository/{name}")
    page.get_by_role("button", name="Delete selected").hover()
    site.system.pusher.push_image(name, "second")
    with page.expect_response(lambda answer: "panels/repository/tags" in answer.url and "second" in answer.text()):
        pass
    page.wait_for_function("() => !document.querySelector('.htmx-request')")
    assert page.get_by_role("link", name="second").count() == 0
    page.get_by_role("heading", name=name).hover()
    expect(page.get_by_role("link", name="second")).to_be_visible()


def test_the_link_that_skips_the_navigation_moves_no_button(visit: Visiting) -> None:
    """A click ends the focus of the link: a button that moves at that moment would not be clicked."""
    page = visit().go("/policy")
    button = page.get_by_role("button", name="Preview deletions")
    before = button.bounding_box()
    link = page.get_by_role("link", name="Skip to the content")
    link.focus()
    expect(link).to_be_in_viewport()
    assert button.bounding_box() == before


def test_while_no_page_is_visible_nothing_is_requested(visit: Visiting) -> None:
    page = visit().go("/collection")
    page.evaluate(_HIDE)
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    page.wait_for_function("() => window.wanted >= 4")
    assert asked == []


@pytest.mark.parametrize("body", ["<html><h1>502 Bad Gateway</h1></html>", "<!DOCTYPE html><form>Log in</form>"])
def test_a_page_of_the_proxy_in_place_of_a_panel_is_not_shown_as_one(visit: Visiting, body: str) -> None:
    page = visit().go("/collection")
    expect(page.get_by_text("Connection lost")).to_be_hidden()
    page.route("**/panels/**", lambda route: route.fulfill(body=body, content_type="text/html"))
    expect(page.get_by_text("Connection lost")).to_be_visible()
    expect(page.get_by_text("no collection is running")).to_be_visible()
    page.unroute("**/panels/**")
    expect(page.get_by_text("Connection lost")).to_be_hidden()


def test_a_server_that_does_not_answer_in_time_is_shown_as_away(visit: Visiting) -> None:
    window = visit()
    page = window.go("/collection")
    held: list[Route] = []
    page.route("**/panels/**", lambda route: held.append(route))
    page.evaluate("() => { htmx.config.timeout = 100; }")
    expect(page.get_by_text("Connection lost")).to_be_visible()
    page.close()
    assert all(item.startswith("error: htmx:") for item in window.complaints)
    window.complaints.clear()


def test_a_session_that_ends_takes_no_written_text_away(visit: Visiting) -> None:
    window = visit()
    page = window.go("/policy")
    text = page.get_by_label("Policy", exact=True)
    text.fill("rules: []")
    page.context.clear_cookies()
    expect(page.get_by_text("you may have to sign in again")).to_be_visible()
    expect(text).to_have_value("rules: []")
    text.fill(text.evaluate("field => field.defaultValue"))
    page.wait_for_url("**/login?next=/policy")
    window.complaints[:] = [text for text in window.complaints if "401" not in text]
