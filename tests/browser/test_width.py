"""No page scrolls sideways at three widths, with the longest names that a registry allows."""

from collections.abc import Callable, Iterator
from urllib.parse import quote

import pytest
from playwright.sync_api import Page

from service.clock import now_us
from service.domain.usage import RepositorySize
from tests.browser.site import Site, Visit
from tests.support.makers import digest_of, event, understood

DAY_US = 86_400_000_000
WIDTHS = (390, 1024, 1440)
REPOSITORY = "/".join(("n" * 63,) * 4)
TAG, DELETED, USER = "t" * 128, "d" * 128, "u" * 128
SIGNATURE = f"sha256-{digest_of('image').removeprefix('sha256:')}.sig"
ORPHAN = f"sha256-{'0' * 64}.sig"
_IS_TOO_WIDE = "document.documentElement.scrollWidth > document.documentElement.clientWidth"
# The elements that stick out, to name them in the failure.
_WIDE = """[...document.querySelectorAll("main *, header *")]
  .filter((element) => element.getBoundingClientRect().right > document.documentElement.clientWidth + 1)
  .slice(0, 3).map((element) => element.outerHTML.slice(0, 120))"""


@pytest.fixture(scope="module")
def long_names(site: Site) -> str:
    """A repository with tags, signatures, users and clients of the longest names; one tag was deleted."""
    pushes = [
        event(repository=REPOSITORY, tag=tag, digest=digest, actor=USER, useragent="c" * 256, at=at)
        for at, (tag, digest) in enumerate(
            {TAG: "image", "x" * 128: "image", SIGNATURE: "sig", ORPHAN: "orphan", DELETED: "old"}.items()
        )
    ]
    deletion = event("delete", repository=REPOSITORY, tag=DELETED, at=9, actor=USER)
    site.system.store.history.record(understood(*pushes, deletion))
    growth = RepositorySize(10**14, 9, "1", now_us() // 1000, ((1, 1), (now_us() // DAY_US, 10**14)))
    site.system.store.usage.note_size(REPOSITORY, growth)
    site.system.store.approvals.note(REPOSITORY, "approved", USER, "r" * 256)
    return REPOSITORY


def _too_wide(page: Page) -> Iterator[str]:
    for width in WIDTHS:
        page.set_viewport_size({"width": width, "height": 900})
        # A click may have opened another page, which has no content yet.
        page.wait_for_load_state()
        if page.evaluate(_IS_TOO_WIDE):
            yield f"{page.url[:80]} at {width}: {page.evaluate(_WIDE)}"


def test_no_page_scrolls_sideways(visit: Callable[..., Visit], long_names: str) -> None:
    window = visit()
    start = window.go("/")
    named = [str(link.get_attribute("href")) for link in start.locator("nav.pages a").all()]
    name, tag = quote(long_names), quote(TAG)
    of_names = (
        f"/repositories?search={name}", "/repositories?view=map",
        f"/repository/{name}", f"/repository/{name}?search=d&status=deleted",
        f"/repository/{name}?platforms=&order=expires", f"/tag/{name}:{tag}", f"/tag/{name}:{SIGNATURE}",
        f"/tag/{name}:{DELETED}", f"/activity?repository={name}", f"/activity?who={USER}", f"/search?q={name}",
        f"/search?q={TAG}", f"/search?q={digest_of('image')}", "/docs",
    )  # fmt: skip
    assert len(named) >= 6
    wide = [line for path in (*named, *of_names) for line in _too_wide(window.go(path))]
    page = window.go(f"/repository/{name}")
    page.get_by_role("checkbox", name="Select all on this page").check()
    for button in ("Delete selected …", "Protect selected …"):
        page.get_by_role("button", name=button).click()
        wide += _too_wide(page)
        page.go_back()
        window.settle()
        page.get_by_role("checkbox", name="Select all on this page").check()
    assert wide == []
    # A page about an image that the registry does not have says so.
    window.complaints[:] = [text for text in window.complaints if "404" not in text and "502" not in text]
