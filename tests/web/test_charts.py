"""Charts: whole labels, bars that stand in their step, areas that add up."""

import pytest

from service.web.charts import bands, columns, moments, scale, zones


@pytest.mark.parametrize(
    ("highest", "ticks"),
    [
        (0, (0, 1)), (1, (0, 1)), (3, (0, 1, 2, 3)), (7, (0, 2, 4, 6, 8)), (99, (0, 50, 100)),
        (1_234_567, (0, 500_000, 1_000_000, 1_500_000)),
    ],
)  # fmt: skip
def test_labels_are_whole_round_and_hold_the_highest_value(highest: int, ticks: tuple[int, ...]) -> None:
    assert scale(highest).ticks == ticks


def test_the_bars_of_a_step_stand_side_by_side_within_it() -> None:
    (first, second) = columns(([10, 0], [5, 20]), scale(20))
    assert (first.left, first.width, first.middle, second.left) == (0, 50, 25, 50)
    assert first.bars == ((5, 20, 50), (25, 20, 25))
    assert second.bars == ((55, 20, 0), (75, 20, 100))


def test_areas_stand_on_each_other_at_the_place_of_their_time() -> None:
    below, above = bands((0, 10, 40), ((1, 2, 3), (4, 2, 1)), scale(5))
    assert below == "M0 833L250 667L1000 500L1000 1000L250 1000L0 1000Z"
    assert above == "M0 167L250 333L1000 333L1000 500L250 667L0 833Z"


def test_every_point_of_the_width_belongs_to_one_time() -> None:
    assert zones((0, 10, 40)) == ((0, 12.5), (12.5, 50), (62.5, 37.5))
    assert moments(0, 400_000) == (0, 100_000, 200_000, 300_000, 400_000)
    assert moments(0, 130_000) == (0, 65_000, 130_000)
    assert moments(0, 7_000) == (0, 7_000)
