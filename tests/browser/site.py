"""A dashboard in use: real registry, Valkey, web process, Celery worker, and a browser that looks at it."""

import subprocess
from dataclasses import dataclass, field
from importlib.resources import files
from typing import Any
from urllib.parse import urlsplit

from playwright.sync_api import Browser, BrowserContext, Page, expect

from tests.live.conftest import LiveSystem

TOKENS = {"read": "read-me-t0ken-01", "admin": "change-me-t0ken-1"}
PATIENCE_MS = 120_000
_AXE = files("tests.browser").joinpath("axe.min.js").read_text()
_GRAVE = ("serious", "critical")


@dataclass
class Visit:
    """A browser window. complaints: the messages of its console, and requests to other sites.

    loads: how often a page was loaded.
    """

    site: "Site"
    page: Page
    complaints: list[str] = field(default_factory=list)
    loads: int = 0

    def __post_init__(self) -> None:
        self.page.set_default_timeout(PATIENCE_MS)
        self.page.on(
            "console", lambda message: self._heard(message.type, f"{message.text} {message.location.get('url', '')}")
        )
        self.page.on("framenavigated", lambda _: self._loaded())
        self.page.on("pageerror", lambda error: self.complaints.append(str(error)))
        self.page.on("request", lambda request: self._asked(request.url))

    def _loaded(self) -> None:
        self.loads += 1

    def go(self, path: str) -> Page:
        """Open a page of the dashboard and wait until its panels are loaded."""
        self.page.goto(self.site.url + path)
        self.settle()
        return self.page

    def settle(self) -> None:
        """Wait until every panel shows something."""
        expect(self.page.locator(".panel[aria-busy]")).to_have_count(0)

    def sign_in(self, token: str) -> None:
        self.page.goto(f"{self.site.url}/login")
        self.page.get_by_label("Token").fill(token)
        self.page.get_by_role("button", name="Sign in").click()
        self.page.wait_for_url(f"{self.site.url}/")

    def faults(self, rules: list[str] | None = None) -> list[str]:
        """Return the obstacles that axe reports for this page. Needs a window with bypass_csp.

        rules: which of its rules are asked; None: all.
        """
        if not self.page.evaluate("'axe' in window"):
            self.page.evaluate(_AXE)
        result: dict[str, Any] = self.page.evaluate(
            "rules => axe.run(document, {resultTypes: ['violations'], ...(rules && {runOnly: rules})})", rules
        )
        return [
            f"{item['id']}: {item['help']}: {node['html'][:200]}"
            for item in result["violations"]
            if item["impact"] in _GRAVE
            for node in item["nodes"]
        ]

    def _heard(self, kind: str, text: str) -> None:
        if kind in ("error", "warning"):
            self.complaints.append(f"{kind}: {text}")

    def _asked(self, url: str) -> None:
        if urlsplit(url).netloc != urlsplit(self.site.url).netloc and not url.startswith("data:"):
            self.complaints.append(f"asked for {url}")


@dataclass
class Site:
    """The dashboard, and the system under it."""

    system: LiveSystem
    browser: Browser
    worker: subprocess.Popen[bytes]

    @property
    def url(self) -> str:
        return self.system.web_url

    def visit(self, token: str, **mode: Any) -> tuple[BrowserContext, Visit]:
        """Open a window in which the holder of a token has signed in. mode: as Playwright's new_context takes it."""
        context = self.browser.new_context(**mode)
        visit = Visit(self, context.new_page())
        visit.sign_in(token)
        return context, visit
