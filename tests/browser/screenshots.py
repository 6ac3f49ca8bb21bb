"""`make screenshots`: the pictures of the manual, taken of a system at work."""

import sys
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

from playwright.sync_api import Browser, sync_playwright

from tests.browser.conftest import find_chromium
from tests.browser.site import TOKENS, Site
from tests.live.conftest import TOKEN, LiveSystem, last, wait_until
from tests.support.collections import command

_WIDE = {"width": 1100, "height": 640}
_PAGES = (
    ("overview", "/"), ("repository", "/repository/shop/api"), ("tag", "/tag/shop/api:v1"), ("activity", "/activity")
)  # fmt: skip


def main(folder: Path) -> None:
    """Takes every picture anew. folder: where they go, as PNG."""
    folder.mkdir(parents=True, exist_ok=True)
    with ExitStack() as stack:
        playwright = stack.enter_context(sync_playwright())
        browser = playwright.chromium.launch(executable_path=find_chromium(), args=["--no-sandbox", "--disable-gpu"])
        stack.callback(browser.close)
        work = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        for file in _taken(_site(work, stack, browser), folder):
            print(f"{file}: {file.stat().st_size // 1024} KiB")


def _site(work: Path, stack: ExitStack, browser: Browser) -> Site:
    """A registry with a few repositories, of which one waits for approval."""
    settings = {
        "tokens": {"notify": TOKEN, **TOKENS},
        "policy": last(3, hold_over="50%", hold_min=3),
        "gc": {"command": command(work), "settle": 0},
    }
    system = LiveSystem(work, stack, settings)
    for number in range(9):
        system.pusher.push_image("shop/checkout", f"build-{number}")
    worker = system.start_worker()
    for number in range(1, 7):
        system.pusher.push_image("shop/api", f"v{number}", layer_bytes=40_000 * number)
        system.pusher.push_image("shop/web", f"2026.{number}", layer_bytes=90_000)
        system.pusher.push_image("tools/ci-runner", f"r{number}")
        wait_until(system.quiet, "it is not quiet")
    wait_until(lambda: system.tags("shop/api") == {"v4", "v5", "v6"}, "nothing was deleted")
    wait_until(lambda: system.store.approvals.held("shop/checkout"), "no plan waits")
    return Site(system, browser, worker)


def _taken(site: Site, folder: Path) -> Iterator[Path]:
    context, visit = site.visit(TOKENS["admin"], viewport=_WIDE, color_scheme="light")
    for name, path in _PAGES:
        visit.go(path)
        file = folder / f"{name}.png"
        visit.page.screenshot(path=file)
        yield file
    context.close()


if __name__ == "__main__":
    main(Path(sys.argv[1]))
