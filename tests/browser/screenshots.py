"""`make screenshots`: the pictures of the manual, taken of a system at work."""

import math
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import Any

from playwright.sync_api import Page, sync_playwright

from service.domain.collection.run import Run
from service.domain.usage import Usage
from service.store.usage import pack_usage
from tests.browser.conftest import find_chromium
from tests.browser.site import TOKENS, Site, Visit
from tests.live.conftest import TOKEN, LiveSystem, last, wait_until
from tests.support.collectors import command

_WIDE = {"width": 1200, "height": 760}
_HOUR_MS = 3_600_000
_NIGHTS = 12
_REPOSITORIES = {
    "shop/api": ("v", 900_000), "shop/web": ("2026.", 700_000), "base/python": ("3.", 1_200_000),
    "tools/ci-runner": ("r", 300_000), "ml/notebook": ("nightly-", 1_500_000),
}  # fmt: skip


def _trial(page: Page) -> None:
    page.get_by_label("Policy", exact=True).fill("rules: [{name: newest, keep: {last: 1}}]")
    page.get_by_role("button", name="Preview deletions").click()
    page.get_by_role("heading", name="Tag by tag").wait_for()
    page.locator("#trial").evaluate("element => element.scrollIntoView()")


def _runs(page: Page) -> None:
    page.get_by_role("heading", name="Past collections").evaluate("element => element.scrollIntoView()")


# Name, page, colours, and what happens on the page before the picture is taken.
_PICTURES: tuple[tuple[str, str, str, Callable[[Page], None] | None], ...] = (
    ("overview", "/?period=7d", "light", None),
    ("overview-dark", "/?period=7d", "dark", None),
    ("repositories", "/repositories?order=-size", "light", None),
    ("repository", "/repository/shop/api", "light", None),
    ("repository-dark", "/repository/shop/api", "dark", None),
    ("tag", "/tag/shop/api:v1", "light", None),
    ("activity", "/activity", "light", None),
    ("approvals", "/approvals", "light", None),
    ("policy", "/policy", "light", _trial),
    ("collection", "/collection", "light", _runs),
)


def main(folder: Path) -> None:
    """Take every picture anew. folder: for the pictures, as PNG."""
    folder.mkdir(parents=True, exist_ok=True)
    with ExitStack() as stack:
        playwright = stack.enter_context(sync_playwright())
        browser = playwright.chromium.launch(executable_path=find_chromium(), args=["--no-sandbox", "--disable-gpu"])
        stack.callback(browser.close)
        work = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        system, worker = _system(work, stack)
        for file in _taken(Site(system, browser, worker), folder):
            print(f"{file}: {file.stat().st_size // 1024} KiB")


def _system(work: Path, stack: ExitStack) -> tuple[LiveSystem, Any]:
    """A registry with a few repositories, of which one waits for approval, and with a past."""
    settings = {
        "tokens": {"notify": TOKEN, **TOKENS},
        "policy": last(3, hold_over="50%", hold_min=3),
        "gc": {"command": command(work), "settle": 0, "schedule": "0 3 * * *"},
    }
    system = LiveSystem(work, stack, settings)
    _add_past_events(system)
    _add_past_runs(system)
    for number in range(9):
        system.pusher.push_image("shop/checkout", f"build-{number}", layer_bytes=400_000)
    worker = system.start_worker()
    for number in range(1, 7):
        for name, (prefix, size_bytes) in _REPOSITORIES.items():
            system.pusher.push_image(name, f"{prefix}{number}", layer_bytes=size_bytes)
        wait_until(system.quiet, "it is not quiet")
    wait_until(lambda: system.tags("shop/api") == {"v4", "v5", "v6"}, "nothing was deleted")
    wait_until(lambda: system.store.approvals.held("shop/checkout"), "no plan waits")
    wait_until(lambda: _is_measured(system.store.usage.now()), "the storage is not measured")
    _add_past_usage(system)
    return system, worker


def _is_measured(usage: Usage | None) -> bool:
    # Three images of each repository are kept, and nine wait for approval.
    kept_bytes = 3 * sum(size_bytes for _, size_bytes in _REPOSITORIES.values()) + 9 * 400_000
    return usage is not None and usage.size_bytes >= kept_bytes


def _add_past_events(system: LiveSystem) -> None:
    """Add pushes and deletions of the last week, more of them by day than by night."""
    client: Any = system.store.connection.client
    end_ms = time.time_ns() // 1_000_000 - _HOUR_MS
    for hour in range(7 * 24, 0, -1):
        at_ms = end_ms - hour * _HOUR_MS
        pushes = round(3 + 3 * math.sin((at_ms / _HOUR_MS - 8) * math.pi / 12))
        for number in range(pushes + pushes * 2 // 3):
            action = "push" if number < pushes else "pruned"
            fields = {"repository": "shop/api", "action": action, "tag": f"old-{hour}", "at_us": at_ms * 1000}
            empty = dict.fromkeys(("digest", "actor", "agent", "address", "reason", "rule", "media"), "")
            client.xadd(
                system.store.connection.keys.of("events"), {**fields, **empty, "size": 0}, id=f"{at_ms}-{number}"
            )


def _add_past_runs(system: LiveSystem) -> None:
    now_ms = time.time_ns() // 1_000_000
    for night in range(_NIGHTS, 0, -1):
        ended_ms = now_ms - night * 24 * _HOUR_MS
        freed = 2_000_000 + 1_400_000 * (night * 7 % 5)
        run = Run(
            ended_ms - 9_000 - 700 * night, ended_ms, "done", "schedule", 0, 900, freed // 90_000, night % 4, freed
        )
        system.store.collection_runs.record(replace(run, final=night * 5 % 9 + 1, gate="none"))


def _add_past_usage(system: LiveSystem) -> None:
    """Replace the records of the storage by a week that ends with the storage of today."""
    client: Any = system.store.connection.client
    now = system.store.usage.now()
    assert now is not None
    key = system.store.connection.keys.of("usage")
    # Together, as the worker measures meanwhile.
    records = client.pipeline()
    records.delete(key)
    for hour in range(7 * 24, 0, -1):
        share = 1 - hour / 400 + (24 - hour % 24) / 160 - 0.15
        earlier = replace(
            now,
            size_bytes=sum(round(size * share) for size in now.prefixes.values()),
            prefixes={name: round(size * share) for name, size in now.prefixes.items()},
            other_bytes=0,
            shared_bytes=0,
        )
        records.xadd(key, pack_usage(earlier), id=f"{now.at_ms - hour * _HOUR_MS}-0")
    records.xadd(key, pack_usage(now), id=f"{now.at_ms}-0")
    records.execute()


def _taken(site: Site, folder: Path) -> Iterator[Path]:
    windows: dict[str, Visit] = {}
    for name, path, scheme, prepare in _PICTURES:
        if scheme not in windows:
            _, windows[scheme] = site.visit(TOKENS["admin"], viewport=_WIDE, color_scheme=scheme)
        page = windows[scheme].go(path)
        if prepare:
            prepare(page)
        file = folder / f"{name}.png"
        page.screenshot(path=file)
        yield file


if __name__ == "__main__":
    main(Path(sys.argv[1]))
