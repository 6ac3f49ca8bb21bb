"""The trash page: deleted images of all repositories, and restoring several with one confirmation."""

import re

from tests.fakes.images import make_image
from tests.fakes.registry import FakeRegistry
from tests.support.edge import Edge
from tests.web.pages.browser import Browser

LIST = "/panels/trash/list"
V1 = f"shop/api {make_image('shop/api:v1').digest} v1"
UNKNOWN = f"shop/api sha256:{'0' * 64} v9"


def test_a_deleted_image_says_why_and_until_when_it_can_be_restored(pruned: Edge) -> None:
    text = Browser(pruned).text(LIST)
    assert re.findall(r'name="item" value="([^"]+)"', text) == [V1]
    assert "older than the newest (rule last)" in text
    assert "or the next collection" in text
    assert "No matching deleted images" in Browser(pruned).text(f"{LIST}?reason=alice")


def test_selected_images_are_confirmed_once_and_restored_each_with_its_result(
    pruned: Edge, registry: FakeRegistry
) -> None:
    browser = Browser(pruned)
    asked = browser.post("/trash/confirm", item=[V1, UNKNOWN]).text
    assert ("Restore 1 image" in asked, "shop/api:v9 was not deleted by pushprune" in asked) == (True, True)
    assert registry.tags("shop/api").keys() == {"v2"}, "nothing is restored yet"
    result = browser.post("/trash/restore", item=[V1, UNKNOWN]).text
    assert "1 of 2 images restored" in result
    assert "shop/api:v9 was not deleted by pushprune" in result
    assert registry.tags("shop/api").keys() == {"v1", "v2"}
    assert "The trash is empty" in browser.text(LIST)


def test_the_button_of_an_image_restores_this_image_alone(pruned: Edge, registry: FakeRegistry) -> None:
    assert "1 of 1 image restored" in Browser(pruned).post("/trash/restore", only=V1, item=UNKNOWN).text
    assert registry.tags("shop/api").keys() == {"v1", "v2"}


def test_a_selection_of_nothing_is_a_sentence(pruned: Edge) -> None:
    browser = Browser(pruned)
    assert "no image is selected" in browser.said(browser.post("/trash/confirm", back="/trash"))
    for item in ("shop/api v1", " sha256:" + "0" * 64 + " v1"):
        assert "that is no image" in browser.said(browser.post("/trash/restore", item=item, back="/trash"))
