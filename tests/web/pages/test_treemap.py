"""The treemap of repositories by size."""

from itertools import combinations

import pytest

from service.domain.usage import UNMEASURED
from service.reports.repository_listing import SizedRepository
from service.web.pages.treemap import Tile, treemap
from tests.support.edge import Edge
from tests.support.makers import event
from tests.web.pages.browser import Browser


def overlap(tile: Tile, other: Tile) -> float:
    across = min(tile.x + tile.width, other.x + other.width) - max(tile.x, other.x)
    down = min(tile.y + tile.height, other.y + other.height) - max(tile.y, other.y)
    return max(across, 0) * max(down, 0)


@pytest.mark.parametrize("count", [0, 1, 2, 7, 60, 300])
def test_tiles_have_the_areas_of_the_sizes_and_fill_the_picture(count: int) -> None:
    rows = [SizedRepository(f"p{number % 9}/r{number}", 10**6 // (number + 1)) for number in range(count)]
    picture = treemap([*rows, SizedRepository("empty", 0)])
    assert len(picture.tiles) == min(count, 61)
    assert picture.rest == max(count - 60, 0)
    for tile in picture.tiles:
        assert tile.width * tile.height == pytest.approx(10_000 * tile.size_bytes / picture.size_bytes, rel=0.1, abs=1)
        assert tile.x + tile.width <= 100.1
        assert tile.y + tile.height <= 100.1
    assert sum(overlap(*pair) for pair in combinations(picture.tiles, 2)) < 10
    assert {tile.series for tile in picture.tiles if tile.repository} <= set(range(7))


def test_the_treemap_links_the_repositories_whose_size_is_known(edge: Edge) -> None:
    edge.heard(event(repository="shop/api"), event(repository="lab/new"))
    edge.store.usage.note_size("shop/api", UNMEASURED.followed_by(3_000_000, 0, "g", edge.store.usage.now_ms()))
    picture = Browser(edge).text("/panels/repositories/list?view=map")
    assert "<title>shop/api: 3.0 MB, 100.0 %</title>" in picture
    assert 'href="/repository/shop/api"' in picture
    assert "lab/new" not in picture
