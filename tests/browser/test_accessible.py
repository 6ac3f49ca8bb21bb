"""Every page can be used by everybody: axe finds no obstacle, and no page scrolls sideways on a phone."""

import uuid
from collections.abc import Callable, Iterator

import pytest
from playwright.sync_api import Page, expect

from service.domain.collection.run import Run
from service.web.app import create_app
from tests.browser.site import TOKENS, Site, Visit
from tests.live.conftest import wait_until

pytestmark = pytest.mark.live

PHONE = {"width": 360, "height": 800}
SELECT_ALL = "Select all on this page"
# What is no page: answers to programs, downloads, and forms that lead to another page.
FILES = {
    "/activity.csv", "/activity.json", "/collection/run/<int:started_ms>/log", "/openapi.json", "/static/<name>",
    "/favicon.ico",
}  # fmt: skip
REDIRECTS = {
    "/approvals/approve", "/approvals/reject", "/collection", "/collection/cancel", "/delete", "/health/compare",
    "/login/<secret>", "/logout", "/restore", "/selection/protect",
}  # fmt: skip
# Pages that answer a form; they are reached by clicking.
ANSWERS = {"/approvals/confirm", "/selection", "/selection/delete", "/trash/confirm", "/trash/restore", "/login"}


def addresses(repository: str, moved: str, images: tuple[str, ...]) -> dict[str, tuple[str, ...]]:
    """Return the addresses to look at, by the rule of the page."""
    return {
        "/": ("/", "/?period=7d"),
        "/repositories": ("/repositories", "/repositories?view=map", "/repositories?search=nothing-like-it"),
        "/repository/<path:repository>": (
            f"/repository/{repository}", f"/repository/{repository}?status=deleted", "/repository/not/known",
        ),
        "/tag/<path:repository>:<tag>": (
            f"/tag/{repository}:v1", f"/tag/{repository}:v3",
            f"/tag/{moved}:stable?before={images[0]}&after={images[1]}",
        ),
        "/activity": ("/activity",),
        "/search": ("/search", "/search?q=v", "/search?q=nothing-like-it"),
        "/trash": ("/trash",),
        "/approvals": ("/approvals",),
        "/policy": ("/policy",),
        "/collection": ("/collection",),
        "/collection/run/<int:started_ms>": ("/collection/run/1",),
        "/health": ("/health",),
        "/docs": ("/docs", "/no/such/page"),
    }  # fmt: skip


@pytest.fixture
def repository(site: Site) -> str:
    """A name of its own, with v1 … v4 pushed, of which v1 and v2 were deleted."""
    name = f"shop/{uuid.uuid4().hex[:8]}"
    for tag in ("v1", "v2", "v3", "v4"):
        site.system.pusher.push_image(name, tag)
    wait_until(lambda: site.system.tags(name) == {"v3", "v4"}, "v1 and v2 were not deleted")
    wait_until(site.system.quiet, "it is not quiet")
    return name


@pytest.fixture
def held(site: Site) -> None:
    """Two plans that wait for approval."""
    names, tags = [f"held/{uuid.uuid4().hex[:8]}" for _ in range(2)], {f"v{number}" for number in range(7)}
    site.system.kill(site.worker)
    for name in names:
        for tag in sorted(tags):
            site.system.pusher.push_image(name, tag, layer_bytes=100)
    # A plan of the first five would not wait.
    wait_until(lambda: all(site.system.heard(name, tags) for name in names), "the pushes were not heard")
    site.worker = site.system.start_worker()
    wait_until(lambda: all(map(site.system.store.approvals.held, names)), "the plans do not wait")


def _obstacles(window: Visit, page: Page) -> Iterator[str]:
    """Yield what axe finds in light and dark colours, and if the page is wider than a phone."""
    expect(page.get_by_role("heading", level=1)).to_be_visible()
    # The reference has a hundred articles of one kind, with which axe was busy for a third of its time.
    page.evaluate("document.querySelectorAll('.operations article').forEach((each, at) => at % 6 && each.remove())")
    name = page.url.removeprefix(window.site.url)
    yield from (f"{name}: {fault}" for fault in window.faults())
    page.emulate_media(color_scheme="dark")
    yield from (f"{name}, dark: {fault}" for fault in window.faults(["color-contrast"]))
    page.emulate_media(color_scheme="light")
    wide = page.evaluate("document.documentElement.scrollWidth")
    if wide > PHONE["width"]:
        yield f"{name} scrolls sideways: {wide}"


def test_nothing_keeps_people_from_using_any_page(
    site: Site, visit: Callable[..., Visit], repository: str, held: None
) -> None:
    site.system.store.collection_runs.record(Run(1, 2000, "done", "scheduled", blobs=7, bytes_freed=5_000_000))
    moved = f"{repository}-moved"
    images = tuple(site.system.pusher.push_image(moved, "stable", seed=seed) for seed in ("one", "two"))
    wait_until(lambda: len(site.system.store.history.entries(moved)) >= 2, "the pushes were not reported")
    pages = addresses(repository, moved, images)
    rules = [
        rule.rule for rule in create_app(site.system.wiring).url_map.iter_rules()
        if rule.endpoint.startswith(("pages.", "docs.", "assets.")) and not rule.rule.startswith("/panels/")
    ]  # fmt: skip
    assert set(rules) == {*pages, *FILES, *REDIRECTS, *ANSWERS}

    window = visit(bypass_csp=True, viewport=PHONE)
    obstacles = [
        fault for group in pages.values() for path in group for fault in _obstacles(window, window.go(path))
    ]  # fmt: skip
    obstacles += _restored(window, repository)
    obstacles += _decided(window)
    obstacles += _deleted(window, repository)
    stranger = visit(token=TOKENS["read"], bypass_csp=True, viewport=PHONE)
    stranger.page.context.clear_cookies()
    obstacles += _obstacles(stranger, stranger.go("/login"))
    stranger.page.get_by_label("Token").fill("wrong")
    stranger.page.get_by_role("button", name="Sign in").click()
    obstacles += _obstacles(stranger, stranger.page)
    assert obstacles == []
    for item in (window, stranger):
        # Unknown pages, and the wrong token, are refused.
        item.complaints[:] = [text for text in item.complaints if not {"404", "401", "403"} & set(text.split())]


def _restored(window: Visit, repository: str) -> Iterator[str]:
    page = window.go(f"/trash?repository={repository}")
    page.get_by_role("checkbox", name=SELECT_ALL).check()
    page.get_by_role("button", name="Restore selected …").click()
    yield from _obstacles(window, page)
    page.get_by_role("button", name="Restore 2 images").click()
    expect(page.get_by_role("heading", level=1)).to_contain_text("restored")
    yield from _obstacles(window, page)


def _decided(window: Visit) -> Iterator[str]:
    for button in ("Approve selected …", "Reject selected …"):
        page = window.go("/approvals")
        page.get_by_text("Show all images").first.click()
        window.settle()
        yield from _obstacles(window, page)
        page.get_by_role("checkbox", name=SELECT_ALL).check()
        page.get_by_role("button", name=button).click()
        yield from _obstacles(window, page)


def _deleted(window: Visit, repository: str) -> Iterator[str]:
    for button in ("Protect selected …", "Delete selected …"):
        page = window.go(f"/repository/{repository}?search=v4")
        page.get_by_role("checkbox", name=SELECT_ALL).check()
        page.get_by_role("button", name=button).click()
        yield from _obstacles(window, page)
    page.get_by_role("button", name="Delete 1 tag").click()
    expect(page.get_by_role("heading", level=1)).to_contain_text("1 ")
    yield from _obstacles(window, page)
