"""Hours of the day: the minutes that they contain, over midnight too, and the time at which they open."""

from datetime import UTC, datetime

import pytest

from service.domain.collection.window import Hours, is_open, opens_at, parse_hours, spell_window


def at(clock: str, day: int = 1) -> datetime:
    hour, minute = clock.split(":")
    return datetime(2026, 5, day, int(hour), int(minute), 30, tzinfo=UTC)


@pytest.mark.parametrize(
    ("text", "clock", "is_in"),
    [
        ("02:00-04:00", "02:00", True), ("02:00-04:00", "03:59", True), ("02:00-04:00", "04:00", False),
        ("02:00-04:00", "01:59", False), ("22:00-06:00", "23:30", True), ("22:00-06:00", "00:00", True),
        ("22:00-06:00", "05:59", True), ("22:00-06:00", "06:00", False), ("22:00-06:00", "21:59", False),
        ("00:00-24:00", "23:59", True), ("9:05 - 9:06", "09:05", True),
    ],
)  # fmt: skip
def test_hours_begin_and_end_without_their_end(text: str, clock: str, is_in: bool) -> None:
    assert is_open([parse_hours(text)], at(clock)) is is_in


def test_no_hours_are_all_hours() -> None:
    assert is_open((), at("12:00"))
    assert opens_at((), at("12:00")) == at("12:00")


@pytest.mark.parametrize(
    "text", ["", "22:00", "22-06", "24:00-06:00", "22:00-25:00", "22:60-06:00", "05:00-05:00", "now", 22, None]
)
def test_a_text_that_names_no_hours_is_refused(text: object) -> None:
    with pytest.raises(ValueError, match="are no hours"):
        parse_hours(text)


def test_the_window_opens_when_its_next_hours_begin() -> None:
    window = (parse_hours("22:00-02:00"), parse_hours("12:00-13:00"))
    assert opens_at(window, at("12:30")) == at("12:30")
    assert opens_at(window, at("11:00")).strftime("%d %H:%M:%S") == "01 12:00:00"
    assert opens_at(window, at("14:00")).strftime("%d %H:%M") == "01 22:00"
    assert opens_at((parse_hours("02:00-03:00"),), at("04:00")).strftime("%d %H:%M") == "02 02:00"
    assert spell_window(window) == "22:00-02:00, 12:00-13:00"
    assert str(Hours(5, 1440)) == "00:05-24:00"
