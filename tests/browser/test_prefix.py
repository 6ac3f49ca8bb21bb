"""The dashboard under a path of a real nginx, as docs/dashboard.md says: people sign in at the proxy."""

from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, expect

from tests.browser.site import PATIENCE_MS, TOKENS
from tests.fakes.nginx import Frontend
from tests.fakes.real_registry import require_registry
from tests.live.conftest import TOKEN, LiveSystem, last


@pytest.fixture(scope="module")
def front(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Frontend]:
    require_registry()
    folder: Path = tmp_path_factory.mktemp("front")
    web = {"prefix": "/pushprune", "proxies": ["127.0.0.1"], "user_header": "X-Remote-User", "admins": ["alice"]}
    with ExitStack() as stack:
        system = LiveSystem(folder, stack, {"tokens": {"notify": TOKEN, **TOKENS}, "web": web, "policy": last(2)})
        system.pusher.push_image("shop/api", "v1")
        yield stack.enter_context(Frontend(folder / "nginx", web_url=system.web_url))


@pytest.fixture
def complaints() -> Iterator[list[str]]:
    """The complaints of a browser, and its requests outside of the path."""
    message: list[str] = []
    yield message
    # A Redis that stands still makes a panel answer 503.
    assert [complaint for complaint in message if "503" not in complaint] == []


def opened(browser: Browser, stack: ExitStack, front: Frontend, name: str, complaints: list[str]) -> Page:
    context = browser.new_context(http_credentials={"username": name, "password": front.PEOPLE[name]})
    stack.callback(context.close)
    page = context.new_page()
    page.set_default_timeout(PATIENCE_MS)
    page.on(
        "console", lambda message: complaints.append(message.text) if message.type in ("error", "warning") else None
    )
    page.on(
        "request", lambda item: None if item.url.startswith(f"{front.url}/pushprune/") else complaints.append(item.url)
    )
    page.goto(f"{front.url}/pushprune/")
    return page


def test_every_page_works_under_the_path(front: Frontend, chromium: Browser, complaints: list[str]) -> None:
    with ExitStack() as stack:
        page = opened(chromium, stack, front, "alice", complaints)
        expect(page.get_by_text("alice")).to_be_visible()
        expect(page.locator(".panel[aria-busy]")).to_have_count(0)
        for name in ("Repositories", "Activity", "Policy", "Collection", "Health"):
            page.get_by_role("link", name=name, exact=True).click()
            expect(page.get_by_role("heading", name=name, exact=True, level=1)).to_be_visible()
            expect(page.locator(".panel[aria-busy]")).to_have_count(0)
        page.get_by_role("button", name="Compare with the registry now").click()
        expect(page.get_by_role("status")).to_contain_text("requested manually (alice)")
        page.get_by_role("link", name="Repositories", exact=True).click()
        page.get_by_role("link", name="shop/api").click()
        page.get_by_role("link", name="v1").click()
        expect(page.get_by_text("current", exact=True)).to_be_visible()
