"""The list of repositories: searched, sorted, page by page, and along their paths."""

import re

import pytest

from service.clock import now_us
from service.domain.usage import RepositorySize, Usage
from tests.support.edge import Edge
from tests.support.makers import event
from tests.web.pages.browser import Browser

DAY_US = 86_400_000_000
LIST = "/panels/repositories/list"


def names(text: str) -> list[str]:
    return re.findall(r'<th scope="row"><a href="/repository/([^"]+)"', text)


@pytest.fixture
def browser(edge: Edge) -> Browser:
    edge.heard(
        event(repository="shop/api", tag="v1", at=3),
        event(repository="shop/web/front", tag="v1", at=1),
        event(repository="shop/web/front", tag="v2", at=2),
        event(repository="tools", tag="v1", at=9),
    )
    return Browser(edge)


@pytest.mark.parametrize(
    ("query", "result"),
    [
        ("", ["shop/api", "shop/web/front", "tools"]),
        ("order=-pushed", ["tools", "shop/api", "shop/web/front"]),
        ("order=-tags", ["shop/web/front", "tools", "shop/api"]),
        ("order=nonsense", ["shop/api", "shop/web/front", "tools"]),
        ("search=web", ["shop/web/front"]),
        ("search=shop/*", ["shop/api"]),
        ("under=shop/", ["shop/api", "shop/web/front"]),
        ("under=shop/web/", ["shop/web/front"]),
        ("search=nothing", []),
    ],
)
def test_repositories_are_found_and_sorted(browser: Browser, query: str, result: list[str]) -> None:
    assert names(browser.text(f"{LIST}?{query}")) == result


def test_a_size_is_shown_with_its_share_of_all_and_its_growth(edge: Edge, browser: Browser) -> None:
    usage, day = edge.store.usage, now_us() // DAY_US
    before = ((day - 8, 1_000_000), (day, 3_000_000))
    usage.note_size("shop/api", RepositorySize(3_000_000, 0, "1", now_us() // 1000, before))
    usage.note_size("tools", RepositorySize(1_000_000, 2, "1", now_us() // 1000))
    usage.note(Usage(now_us() // 1000, 4_000_000, {}), hourly=False)
    text = browser.text(f"{LIST}?order=-size")
    assert names(text) == ["shop/api", "tools", "shop/web/front"]
    sizes = re.findall(r'<td data-name="Size" class="number">(.*?)</td>', text, re.DOTALL)
    assert "3.0 MB" in sizes[0]
    assert "+2.0 MB in 7 days" in sizes[0]
    assert 'width="75.0"' in sizes[0]
    assert "at least 1.0 MB" in sizes[1]
    assert "unknown" in sizes[2]
    assert "4.0 MB in total" in text


def test_a_heading_sorts_and_a_filter_keeps_the_order(browser: Browser) -> None:
    text = browser.text(f"{LIST}?order=-tags")
    assert 'aria-sort="descending"><a href="/repositories?order=tags">Tags' in text
    assert 'href="/repositories?order=-tags&amp;status=held"' in text
    assert names(browser.text(f"{LIST}?status=delete")) == []


def test_paths_lead_on_with_how_many_are_behind_them(browser: Browser) -> None:
    text = browser.text(LIST)
    assert 'under=shop/"><bdi>shop/</bdi> <span class="quiet">2</span>' in text
    within = browser.text(f"{LIST}?under=shop/web/")
    assert 'under=shop/"><bdi>shop/</bdi></a>' in within
    assert 'aria-current="true"><bdi>shop/web/</bdi>' in within


def test_pages_follow_each_other_in_every_order(edge: Edge) -> None:
    edge.heard(*(event(repository=f"r{number:03}", tag="v1", at=number) for number in range(150)))
    browser = Browser(edge)
    for order in ("name", "-pushed", "-tags"):
        first = browser.text(f"{LIST}?order={order}")
        (more,) = re.findall(r'class="button" href="/repositories([^"]+)">More', first)
        rest = browser.text(f"{LIST}{more.replace('&amp;', '&')}")
        assert len(names(first)) == 100
        assert sorted(names(first) + names(rest)) == [f"r{number:03}" for number in range(150)]
        assert f"order={order}" in more


def test_a_text_that_is_no_glob_is_refused_in_one_sentence(browser: Browser) -> None:
    assert "is no glob" in browser.panel(f"{LIST}?search=!x*").text
