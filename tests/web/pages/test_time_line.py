"""The drawn time line of a tag, and the start of the period of an imported tag."""

from service.domain.history.interval import Interval
from service.web.pages.time_line import WIDTH, began_us, time_line
from tests.support.makers import digest_of, us

NEW, OLD = digest_of("new"), digest_of("old")


def test_the_periods_fill_the_line_in_proportion_and_a_digest_keeps_its_colour() -> None:
    periods = (
        Interval(OLD, us(300), how="restored"),
        Interval(NEW, us(100), us(300), how="push", ended="overwritten"),
        Interval(OLD, us(0), us(100), how="push", ended="overwritten"),
    )
    line = time_line(periods, us(400))
    assert line is not None
    assert [(bar.left, bar.width) for bar in line.bars] == [(750, 250), (250, 500), (0, 250)]
    assert [bar.colour for bar in line.bars] == [1, 2, 1]


def test_a_short_period_is_seen_and_stays_within_the_line() -> None:
    line = time_line((Interval(NEW, us(999_999)), Interval(OLD, us(0), us(1), ended="deleted")), us(1_000_000))
    assert line is not None
    assert all(bar.width >= 4 and bar.left + bar.width <= WIDTH for bar in line.bars)


def test_an_imported_tag_begins_with_its_push_and_not_when_it_was_found() -> None:
    imported = Interval(NEW, us(1000), how="adopted", pushed_us=us(10))
    assert began_us(imported) == us(10)
    line = time_line((imported,), us(2000))
    assert line is not None
    assert line.from_us == us(10)


def test_nothing_is_drawn_if_no_time_is_known() -> None:
    assert time_line((Interval(NEW, None),), us(1)) is None
    assert time_line((), us(1)) is None
