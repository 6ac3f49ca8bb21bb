"""Tasks of an operator, by mouse and by keyboard, with the clicks that each may take at most."""

import uuid
from collections.abc import Callable

import pytest
from playwright.sync_api import expect

from service.domain.collection.run import Run
from tests.browser.operator import BY_KEYBOARD, Operator
from tests.browser.site import Site
from tests.live.conftest import wait_until


@pytest.fixture(scope="module")
def repository(site: Site) -> str:
    """A name of its own, with v1, v2, v3 pushed, of which v1 was deleted."""
    name = f"tasks/{uuid.uuid4().hex[:8]}"
    for tag in ("v1", "v2", "v3"):
        site.system.pusher.push_image(name, tag)
    wait_until(lambda: site.system.tags(name) == {"v2", "v3"}, "v1 was not deleted")
    wait_until(site.system.quiet, "it is not quiet")
    return name


@pytest.fixture
def fifty(site: Site) -> Callable[[], str]:
    """Make a repository with fifty tags beside stable, that no worker has deleted before the test does."""

    def made() -> str:
        name = f"bulk/{uuid.uuid4().hex[:8]}"
        for tag in ("stable", *(f"pr-{number}" for number in range(50))):
            site.system.pusher.push_image(name, tag, layer_bytes=100)
        wait_until(lambda: len(site.system.store.history.live(name)) == 51, "the pushes were not reported")
        return name

    return made


def test_the_user_who_pushed_a_tag_is_found_with_one_click(operator: Operator, repository: str) -> None:
    page = operator.start()
    operator.click(page.get_by_role("link", name="Activity"))
    operator.type(page.get_by_label("Tag", exact=True), "v3", enter=True)
    row = page.get_by_role("row").filter(has_text=repository).filter(has_text="pushed")
    expect(row.first).to_be_visible()
    assert operator.clicks <= 1


def _search(operator: Operator, repository: str, tag: str) -> None:
    """Open a repository from the overview, and search a tag there."""
    page = operator.start()
    operator.click(page.get_by_role("link", name="Repositories", exact=True))
    operator.type(page.get_by_label("Name"), repository, enter=True)
    operator.click(page.get_by_role("link", name=repository))
    operator.type(page.get_by_label("Tag", exact=True), tag, enter=True)


def test_the_reason_of_a_deletion_takes_two_clicks_and_the_restore_a_third(operator: Operator, site: Site) -> None:
    name = f"tasks/{uuid.uuid4().hex[:8]}"
    for tag in ("v1", "v2", "v3"):
        site.system.pusher.push_image(name, tag)
    wait_until(lambda: site.system.tags(name) == {"v2", "v3"}, "v1 was not deleted")
    _search(operator, name, "v1")
    row = operator.page.get_by_role("row").filter(has_text="older than the newest 2")
    expect(row).to_contain_text("v1")
    assert operator.clicks <= 2
    operator.click(row.get_by_role("button", name="Restore v1"))
    expect(operator.page.get_by_role("status")).to_contain_text("restored v1")
    assert operator.clicks <= 3


def test_the_tag_that_is_deleted_next_is_found_with_one_click(operator: Operator, site: Site) -> None:
    name = f"aging/{uuid.uuid4().hex[:8]}"
    for tag in ("v1", "v2", "v3"):
        site.system.pusher.push_image(name, tag)
    listing = site.system.wiring.inventory.repositories
    wait_until(lambda: name in {row.repository for row in listing.next_deletions(6)}, "it is not planned")
    page = operator.start()
    operator.click(page.get_by_role("link", name=name))
    heading = page.get_by_role("columnheader", name="Expected deletion")
    expect(heading).to_have_attribute("aria-sort", "ascending")
    tags = page.get_by_role("row").filter(has=page.get_by_role("checkbox", name="Select v"))
    expect(tags.first).to_contain_text("v1")
    assert operator.clicks <= 1


def test_the_largest_repositories_take_one_click(operator: Operator, repository: str) -> None:
    page = operator.start()
    operator.click(page.locator("dl.figures > div").filter(has_text="Storage used").get_by_role("link"))
    expect(page.get_by_role("columnheader", name="Size")).to_have_attribute("aria-sort", "descending")
    assert operator.clicks <= 1


@BY_KEYBOARD
def test_fifty_tags_are_deleted_in_four_clicks(operator: Operator, site: Site, fifty: Callable[[], str]) -> None:
    name = fifty()
    page = operator.start()
    operator.type(page.get_by_role("searchbox", name="Search repositories"), name, enter=True)
    operator.click(page.get_by_role("link", name=name, exact=True).first)
    operator.type(page.get_by_label("Tag", exact=True), "pr-", enter=True)
    operator.click(page.get_by_role("checkbox", name="Select all on this page"))
    operator.click(page.get_by_role("button", name="Delete selected …"))
    expect(page.get_by_role("heading", name="Delete 50 tags?")).to_be_visible()
    operator.click(page.get_by_role("button", name="Delete 50 tags"))
    expect(page.get_by_role("heading", level=1)).to_contain_text("50 ")
    assert operator.clicks <= 4
    wait_until(lambda: site.system.tags(name) == {"stable"}, "the tags were not deleted")


def test_the_effect_of_a_policy_change_takes_two_clicks(operator: Operator, repository: str) -> None:
    page = operator.start()
    operator.click(page.get_by_role("link", name="Policy"))
    operator.type(page.get_by_label("Repositories", exact=True), repository)
    operator.type(page.get_by_label("Policy", exact=True), "rules: [{name: one, keep: {last: 1}}]")
    operator.click(page.get_by_role("button", name="Preview deletions"))
    expect(page.get_by_role("definition").filter(has_text="1 tag").first).to_be_visible()
    row = page.get_by_role("row").filter(has=page.get_by_role("link", name=repository))
    expect(row).to_contain_text("1")
    expect(page.get_by_role("listitem").filter(has_text="v2")).to_contain_text("only by the tested policy")
    assert operator.clicks <= 2


def test_the_result_of_a_collection_takes_one_click(operator: Operator, site: Site) -> None:
    site.system.store.collection_runs.record(Run(1, 2000, "done", "scheduled", blobs=7, bytes_freed=5_000_000))
    page = operator.start()
    operator.click(page.get_by_role("link", name="Collection"))
    expect(page.get_by_role("row").filter(has_text="scheduled").filter(has_text="5.0 MB").first).to_contain_text("done")
    assert operator.clicks <= 1


def test_a_digest_is_found_in_two_clicks(operator: Operator, site: Site, repository: str) -> None:
    (tag,) = (tag for tag in site.system.store.history.live(repository) if tag.name == "v3")
    page = operator.start("/health")
    operator.type(page.get_by_role("searchbox", name="Search repositories"), tag.digest[7:15], enter=True)
    row = page.get_by_role("row").filter(has_text=repository).filter(has_text="current")
    operator.click(row.get_by_role("link", name="v3"))
    expect(page.get_by_role("heading", level=1)).to_contain_text("v3")
    assert operator.clicks <= 2


def test_several_deleted_images_are_restored_in_four_clicks(operator: Operator, site: Site) -> None:
    name = f"trash/{uuid.uuid4().hex[:8]}"
    for tag in ("v1", "v2", "v3", "v4"):
        site.system.pusher.push_image(name, tag)
    wait_until(lambda: site.system.tags(name) == {"v3", "v4"}, "v1 and v2 were not deleted")
    wait_until(site.system.quiet, "it is not quiet")
    page = operator.start()
    operator.click(page.get_by_role("link", name="Trash", exact=True))
    operator.type(page.get_by_label("Repository", exact=True), name, enter=True)
    operator.click(page.get_by_role("checkbox", name="Select all on this page"))
    operator.click(page.get_by_role("button", name="Restore selected …"))
    operator.click(page.get_by_role("button", name="Restore 2 images"))
    expect(page.get_by_role("heading", name="2 of 2 images restored")).to_be_visible()
    assert operator.clicks <= 4
    assert site.system.tags(name) == {"v1", "v2", "v3", "v4"}


@BY_KEYBOARD
def test_a_hold_is_looked_at_and_approved_in_three_clicks(operator: Operator, site: Site) -> None:
    name = f"held/{uuid.uuid4().hex[:8]}"
    system = site.system
    system.kill(site.worker)
    for number in range(7):
        system.pusher.push_image(name, f"v{number}")
    # A plan of the first five would not wait.
    wait_until(lambda: system.heard(name, {f"v{number}" for number in range(7)}), "the pushes were not heard")
    site.worker = system.start_worker()
    wait_until(lambda: system.store.approvals.held(name), "the plan does not wait")
    page = operator.start()
    operator.click(page.get_by_role("navigation").get_by_role("link", name="Approvals"))
    plan = page.get_by_role("article").filter(has_text=name)
    expect(plan).to_contain_text("Approve deletion of 5 images")
    operator.click(plan.get_by_text("Show all images"))
    expect(plan.get_by_role("row").filter(has_text="v4")).to_contain_text("older than the newest 2")
    expect(plan.get_by_role("row").filter(has_text="v5")).to_have_count(0)
    operator.click(plan.get_by_role("button", name="Approve"))
    assert operator.clicks <= 3
    expect(page.get_by_role("status")).to_contain_text("Approved: 5 images")
    wait_until(lambda: system.tags(name) == {"v5", "v6"}, "what was approved did not go")
    expect(page.get_by_role("article").filter(has_text=name)).to_have_count(0)
