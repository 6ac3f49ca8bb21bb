"""An operator at work in a window, by mouse or by keyboard alone, whose clicks are counted."""

from dataclasses import dataclass
from typing import Literal

import pytest
from playwright.sync_api import Locator, Page, expect

from tests.browser.site import Visit

Hand = Literal["mouse", "keyboard"]
# For a task with every kind of control.
BY_KEYBOARD = pytest.mark.parametrize(
    "operator", ["keyboard", pytest.param("mouse", marks=pytest.mark.deep)], indirect=True
)
_MOST_TABS = 600
_IS_FOCUSED = "element => element === document.activeElement"
# The element stands before the one that has the focus.
_IS_BEHIND = (
    """element => document.activeElement.compareDocumentPosition(element) === Node.DOCUMENT_POSITION_PRECEDING"""
)
_IS_TICKED_BY_SPACE = "element => ['checkbox', 'radio'].includes(element.type)"


@dataclass
class Operator:
    """An operator who does a task of the dashboard in one window.

    Attributes:
        by: with the mouse, or with the keyboard alone: then every element is reached by Tab.
        clicks: what the task took so far: clicks, or the keys that stand for them (Enter, Space). Typing, and opening
            the first page, cost nothing.
    """

    window: Visit
    by: Hand = "mouse"
    clicks: int = 0

    @property
    def page(self) -> Page:
        return self.window.page

    def start(self, path: str = "/") -> Page:
        """Open the page where a task begins, with no clicks counted."""
        self.clicks = 0
        return self.window.go(path)

    def click(self, element: Locator) -> None:
        """Activate a link, a button, a checkbox or a summary, and wait until the panels are there."""
        expect(element).to_be_visible()
        if self.by == "mouse":
            element.click()
        else:
            self._reach(element)
            self.page.keyboard.press("Space" if element.evaluate(_IS_TICKED_BY_SPACE) else "Enter")
        self.clicks += 1
        self.window.settle()

    def choose(self, element: Locator, value: str) -> None:
        """Choose an option of a select; that counts as one click."""
        expect(element).to_be_visible()
        if self.by == "keyboard":
            self._reach(element)
        element.select_option(value)
        self.clicks += 1

    def type(self, element: Locator, text: str, *, enter: bool = False) -> None:
        """Type a text into a field, and send it by Enter."""
        if self.by == "mouse":
            element.focus()
        else:
            self._reach(element)
        element.fill("")
        self.page.keyboard.type(text)
        if enter:
            self.page.keyboard.press("Enter")
            self.window.settle()

    def _reach(self, element: Locator) -> None:
        for _ in range(_MOST_TABS):
            if element.evaluate(_IS_FOCUSED):
                return
            self.page.keyboard.press("Shift+Tab" if element.evaluate(_IS_BEHIND) else "Tab")
        raise AssertionError(f"not reached by Tab: {element}")
