"""Texts of strangers start nothing in a real browser: no dialog, no word in its console, no other host."""

from collections.abc import Callable
from dataclasses import replace
from urllib.parse import quote

from playwright.sync_api import Dialog, expect

from service.domain.events import Envelope, Rejected
from tests.browser.site import Site, Visit
from tests.support.makers import event, understood

Visiting = Callable[..., Visit]
EVIL = "\"'><img src=x onerror=alert(1)><script>alert(2)</script><b onclick=alert(3)>\u202e\u200f"


def test_no_name_from_a_notification_runs_a_script(site: Site, visit: Visiting) -> None:
    history, rulings = site.system.store.history, site.system.store.approvals
    (item,) = understood(event("pull", "evil/names", actor=EVIL[:128], useragent=EVIL)).events
    pushed = replace(item, action="push", id="evil push", address=EVIL, media_type=EVIL)
    history.record(Envelope((item, pushed), (Rejected(EVIL, EVIL),)))
    rulings.note(EVIL, EVIL, EVIL, EVIL)
    window = visit()
    dialogs: list[str] = []

    def shut(dialog: Dialog) -> None:
        dialogs.append(dialog.message)
        dialog.dismiss()

    window.page.on("dialog", shut)
    for path in ("/activity", "/tag/evil/names:v1", f"/activity?who={quote(EVIL)}"):
        page = window.go(path)
        expect(page.get_by_text("onerror=alert(1)").first).to_be_visible()
        expect(page.locator("main img, main script, main b")).to_have_count(0)
    assert dialogs == []
