"""One system and one browser for all tests of this folder; each has windows of its own."""

import shutil
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
from playwright.sync_api import Browser, expect, sync_playwright

from tests.browser.operator import Operator
from tests.browser.site import PATIENCE_MS, TOKENS, Site, Visit
from tests.fakes.real_registry import require_registry
from tests.live.conftest import TOKEN, LiveSystem, last
from tests.support.collectors import command

_CHROMIUM = ("chromium", "chromium-browser", "google-chrome")


def find_chromium() -> str:
    """The system's own."""
    path = next(filter(None, map(shutil.which, _CHROMIUM)), None)
    assert path, "chromium is missing; `make test` installs it as root on Debian"
    return path


@pytest.fixture(scope="session")
def chromium() -> Iterator[Browser]:
    expect.set_options(timeout=PATIENCE_MS)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=find_chromium(), args=["--no-sandbox", "--disable-gpu"])
        yield browser
        browser.close()


@pytest.fixture(scope="session")
def site(tmp_path_factory: pytest.TempPathFactory, chromium: Browser) -> Iterator[Site]:
    """The policy: keep the last two of each repository, all of bulk/**, and aging/** for 30 days.

    A plan of more than 3 tags, and the half, waits.
    """
    require_registry()
    folder: Path = tmp_path_factory.mktemp("site")
    policy = last(2, hold_over="50%", hold_min=3)
    policy["rules"].append({"name": "bulk", "repos": ["bulk/**"], "keep": "always"})
    policy["rules"].append({"name": "aging", "repos": ["aging/**"], "keep": {"pushed_within": "30d"}})
    with ExitStack() as stack:
        system = LiveSystem(
            folder,
            stack,
            {
                "tokens": {"notify": TOKEN, **TOKENS},
                "policy": policy,
                "gc": {"command": command(folder), "settle": 0},
            },
        )
        yield Site(system, chromium, system.start_worker())


@pytest.fixture
def visit(site: Site) -> Iterator[Callable[..., Visit]]:
    """visit(token): a window; at its end, the browser has reported no error and asked no other server."""
    with ExitStack() as stack:
        visits = []

        def made(token: str = TOKENS["admin"], **mode: object) -> Visit:
            context, visit = site.visit(token, **mode)
            stack.callback(context.close)
            visits.append(visit)
            return visit

        yield made
        complaints = [complaint for item in visits for complaint in item.complaints]
    # A Redis that stands still makes a panel answer 503.
    assert [complaint for complaint in complaints if "503" not in complaint] == []


# The keyboard takes twice the time: outside of deep tests it does the two tasks with BY_KEYBOARD.
@pytest.fixture(params=["mouse", pytest.param("keyboard", marks=pytest.mark.deep)])
def operator(request: pytest.FixtureRequest, visit: Callable[..., Visit]) -> Operator:
    """An operator with the right to change everything: once with the mouse, once with the keyboard alone."""
    return Operator(visit(), request.param)
