"""The checklist of a new installation: its steps tick themselves, and it is there until the first push."""

import yaml

from tests.support.edge import Edge, ServeEdge
from tests.support.makers import event
from tests.web.pages.browser import TOKENS, Browser

PANEL, STEPS = "/panels/overview/first-start", "/panels/overview/first-start/steps"


def ticks(page: str) -> list[bool]:
    return ['class="done"' in step for step in page.split("<li")[1:]]


def copied(browser: Browser) -> str:
    """The lines that the button copies, as YAML."""
    text = browser.text(PANEL).partition('data-copy="')[2].partition('"')[0]
    return text.replace("&#34;", '"').replace("&lt;", "<").replace("&gt;", ">")


def test_each_step_is_ticked_once_done_and_the_list_ends_with_the_first_push(edge: Edge) -> None:
    browser = Browser(edge)
    assert f'hx-get="{PANEL}"' in browser.text("/")
    assert (ticks(browser.text(PANEL)), STEPS in browser.text(PANEL)) == ([False, False, False], True)
    edge.heard(event("pull"))
    assert ticks(browser.text(STEPS)) == [True, True, False]
    edge.heard(event())
    assert ticks(browser.text(STEPS)) == [True, True, True]
    assert STEPS not in browser.text(STEPS), "nothing is left to wait for"
    assert browser.text(PANEL) == ""


def test_the_lines_to_copy_hold_the_token_for_an_administrator_only(serve: ServeEdge) -> None:
    edge = serve(tokens=TOKENS)
    endpoint = yaml.safe_load(copied(Browser(edge, TOKENS["admin"])))["notifications"]["endpoints"][0]
    assert endpoint["url"] == "http://127.0.0.1:8080/notifications"
    assert endpoint["headers"] == {"Authorization": [f"Bearer {TOKENS['notify']}"]}
    seen = Browser(edge, TOKENS["read"]).text(PANEL)
    assert (TOKENS["notify"] in seen, "tokens.notify" in seen) == (False, True)


def test_the_lines_name_the_address_of_the_browser_where_pushprune_listens_everywhere(serve: ServeEdge) -> None:
    lines = copied(Browser(serve(tokens=TOKENS, listen="0.0.0.0:8080"), TOKENS["admin"]))
    assert "url: http://localhost/notifications" in lines
    assert "headers" not in copied(Browser(serve()))
