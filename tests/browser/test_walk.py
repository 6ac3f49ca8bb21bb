"""A walk through the dashboard of a running system: pages show events by themselves, and a click undoes deletions."""

import re
import subprocess
import uuid
from collections.abc import Callable
from pathlib import Path

import pytest
from playwright.sync_api import expect

from tests.browser.site import Site, Visit
from tests.live.conftest import wait_until

Visiting = Callable[..., Visit]
PATIENCE_MS = 120_000
LOOKING = ("Sign out", "Show", "Preview deletions")


@pytest.fixture
def repository(site: Site) -> str:
    """A name of its own, with v1, v2, v3 pushed, of which v1 was deleted."""
    name = f"shop/{uuid.uuid4().hex[:8]}"
    for tag in ("v1", "v2", "v3"):
        site.system.pusher.push_image(name, tag)
    wait_until(lambda: site.system.tags(name) == {"v2", "v3"}, "v1 was not deleted")
    wait_until(site.system.quiet, "it is not quiet")
    return name


def test_a_push_appears_by_itself(site: Site, visit: Visiting) -> None:
    name = f"live/{uuid.uuid4().hex[:8]}"
    window = visit()
    page = window.go("/activity?repository=live/*")
    loads = window.loads
    site.system.pusher.push_image(name, "first")
    expect(page.get_by_role("link", name="first")).to_be_visible()
    expect(page.get_by_role("cell", name="pushed", exact=True)).to_be_visible()
    assert window.loads == loads


def test_a_deleted_tag_is_explained_and_restored_by_clicking(
    site: Site, visit: Visiting, repository: str, tmp_path: Path
) -> None:
    page = visit().go(f"/repository/{repository}?status=deleted")
    row = page.get_by_role("row").filter(has=page.get_by_role("button", name="Restore v1"))
    expect(row).to_contain_text("older than the newest 2")
    row.get_by_role("link", name="v1").click()
    expect(page.get_by_role("link", name="Restore it below")).to_be_visible()
    expect(page.get_by_role("listitem").filter(has_text="older than the newest 2")).to_be_visible()
    page.get_by_role("button", name="Restore", exact=True).click()
    expect(page.get_by_role("status")).to_contain_text("restored v1")
    expect(page.get_by_text("current", exact=True)).to_be_visible()
    host = site.system.registry.url.removeprefix("http://")
    command = ["skopeo", "copy", "--quiet", "--insecure-policy", "--src-tls-verify=false"]
    subprocess.run([*command, f"docker://{host}/{repository}:v1", f"dir:{tmp_path}/pulled"], check=True)
    (entry, *_) = [item for item in site.system.store.history.entries(repository) if item.action == "restored"]
    assert "dashboard (admin)" in (entry.actor, entry.reason)


def test_a_collection_is_started_and_seen_to_end(site: Site, visit: Visiting, repository: str) -> None:
    page = visit().go("/collection")
    page.get_by_text("Collect now …").click()
    page.get_by_role("button", name="Collect now").click()
    expect(page.get_by_role("status")).to_contain_text("A collection is queued")
    ran = page.get_by_role("row").filter(has_text="requested manually (dashboard (admin))").first
    expect(ran).to_contain_text("done")


def test_without_scripts_each_panel_is_a_page(visit: Visiting, repository: str) -> None:
    page = visit(java_script_enabled=False).page
    page.goto(f"{page.url}repository/{repository}")
    page.get_by_role("link", name="Show: the tags").click()
    expect(page.get_by_role("row").filter(has_text="v3")).to_contain_text("kept")


def test_a_chart_is_drawn_and_a_tag_is_found_by_keyboard(visit: Visiting, repository: str) -> None:
    window = visit(timezone_id="Asia/Tokyo")
    page = window.go("/")
    expect(page.locator(".plot > svg").first).to_be_visible()
    age = page.locator(".needs time, .verdict time, td time").first
    assert re.fullmatch(r"[\d-]+ [\d:]+ \(Asia/Tokyo\)\n[\d-]+ [\d:]+ UTC", age.get_attribute("title") or "")
    page.keyboard.press("Tab")
    expect(page.get_by_role("link", name="Skip to the content")).to_be_focused()
    window.go(f"/repository/{repository}")
    page.get_by_label("Tag", exact=True).focus()
    page.keyboard.type("v3")
    page.keyboard.press("Enter")
    window.settle()
    expect(page.get_by_text("1 of 2 tags")).to_be_visible()
