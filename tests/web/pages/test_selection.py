"""Several tags selected in a repository: the confirmation of their deletion or protection, and its effect."""

import re

import pytest

from tests.fakes.registry import FakeRegistry
from tests.support.edge import Edge, ServeEdge
from tests.support.makers import digest_of, event, policy, understood
from tests.web.pages.browser import Browser


@pytest.fixture
def digests(registry: FakeRegistry) -> dict[str, str]:
    """Three tags of two images at the registry; also is another tag of v1's image."""
    seeds = {"v1": "1", "v2": "2", "stable": "3", "also": "1"}
    return {tag: registry.push_image("shop/api", tag, seed=seed) for tag, seed in seeds.items()}


@pytest.fixture
def edge(serve_over_valkey: ServeEdge, registry: FakeRegistry, digests: dict[str, str]) -> Edge:
    edge = serve_over_valkey(policy=policy("protect: [stable]\nrules: [{keep: {last: 9}}]"), registry_url=registry.url)
    pushes = (
        event(tag=tag, digest=digest, at=at, blobs={digest: 512}) for at, (tag, digest) in enumerate(digests.items())
    )
    edge.store.history.record(understood(*pushes))
    return edge


def items(digests: dict[str, str], *tags: str) -> list[str]:
    return [f"{tag}@{digests[tag]}" for tag in tags]


def test_a_deletion_says_first_how_many_tags_and_images_it_takes(edge: Edge, digests: dict[str, str]) -> None:
    browser = Browser(edge)
    page = browser.post("/selection", repository="shop/api", item=items(digests, "v1", "v2", "stable"), do="delete")
    assert page.status_code == 200
    assert re.findall(r"<dt>([^<]+)</dt><dd>([^<]+)</dd>", page.text) == [
        ("Tags", "2"), ("Images", "1"), ("Size of these images", "512 B"), ("Tags whose image is kept", "1"),
        ("Cannot be deleted", "1"),
    ]  # fmt: skip
    assert "protected by the policy" in page.text
    assert edge.store.manual.requests("shop/api") == {}


def test_a_confirmed_deletion_answers_with_a_result_for_each_tag(edge: Edge, digests: dict[str, str]) -> None:
    browser = Browser(edge)
    page = browser.post("/selection/delete", repository="shop/api", item=items(digests, "v2", "stable")).text
    assert "1 kept, 1 queued" in page
    assert edge.store.manual.requests("shop/api").keys() == {"v2"}
    assert edge.store.manual.requests("shop/api")["v2"].by == "dashboard"


def test_a_tag_that_moved_since_it_was_selected_is_kept(edge: Edge, digests: dict[str, str]) -> None:
    moved = [f"v2@{digest_of('before')}"]
    page = Browser(edge).post("/selection/delete", repository="shop/api", item=moved).text
    assert "points at another image by now" in page
    assert edge.store.manual.requests("shop/api") == {}


def test_protected_images_are_kept_until_the_protection_ends(edge: Edge, digests: dict[str, str]) -> None:
    browser, chosen = Browser(edge), items(digests, "v1", "v2")
    form = {"repository": "shop/api", "item": chosen, "back": "/repository/shop/api"}
    assert "2 tags, 2 images" in browser.post("/selection", do="protect", **form).text
    assert "2 images of 2 tags protected until" in browser.said(
        browser.post("/selection/protect", **form, **{"for": "604800"})
    )
    assert edge.store.history.snapshot("shop/api").leased.keys() == {digests["v1"], digests["v2"]}
    assert "protected by a user" in browser.post("/selection/delete", repository="shop/api", item=chosen).text
    (entry, *_) = edge.store.history.entries("shop/api")
    assert (entry.action, entry.actor, "v1, v2" in entry.reason) == ("protected", "dashboard", True)
    assert "protection of 2 images has ended" in browser.said(
        browser.post("/selection/protect", **form, **{"for": "end"})
    )
    assert edge.store.history.snapshot("shop/api").leased == {}


def test_a_protection_names_the_tags_that_point_at_another_image_by_now(edge: Edge, digests: dict[str, str]) -> None:
    browser, chosen = Browser(edge), [*items(digests, "v1"), f"v2@{digest_of('before')}"]
    form = {"repository": "shop/api", "item": chosen, "for": "604800", "back": "/repository/shop/api"}
    assert "which is not protected: v2." in browser.said(browser.post("/selection/protect", **form))


@pytest.mark.parametrize(
    ("form", "sentence"),
    [
        ({"do": "delete"}, "no tag is selected"),
        ({"do": "protect", "item": ["v1"]}, "names something that is not a tag"),
    ],
)
def test_a_selection_of_nothing_is_refused_in_one_sentence(edge: Edge, form: dict[str, str], sentence: str) -> None:
    browser = Browser(edge)
    assert sentence in browser.said(browser.post("/selection", repository="shop/api", **form))


def test_a_page_selects_all_of_its_tags_without_scripts(edge: Edge) -> None:
    browser = Browser(edge)
    assert 'name="item"' in browser.text("/panels/repository/tags/shop/api")
    assert " checked" not in browser.text("/panels/repository/tags/shop/api")
    assert browser.text("/panels/repository/tags/shop/api?select=page").count(" checked>") == 5
