"""Tasks of an operator, by mouse and by keyboard, with the clicks that each may take at most."""

import uuid

import pytest
from playwright.sync_api import expect

from tests.browser.operator import Operator
from tests.browser.site import Site
from tests.live.conftest import wait_until

pytestmark = pytest.mark.live


@pytest.fixture(scope="module")
def repository(site: Site) -> str:
    """A name of its own, with v1, v2, v3 pushed, of which v1 was deleted."""
    name = f"tasks/{uuid.uuid4().hex[:8]}"
    for tag in ("v1", "v2", "v3"):
        site.system.pusher.push_image(name, tag)
    wait_until(lambda: site.system.tags(name) == {"v2", "v3"}, "v1 was not deleted")
    wait_until(site.system.quiet, "it is not quiet")
    return name


def test_who_pushed_a_tag_takes_one_click(operator: Operator, repository: str) -> None:
    page = operator.start()
    operator.click(page.get_by_role("link", name="Activity"))
    operator.type(page.get_by_label("Tag"), "v3", enter=True)
    row = page.get_by_role("row").filter(has_text=repository).filter(has_text="pushed")
    expect(row.first).to_be_visible()
    assert operator.clicks <= 1
