"""A timeline: recorded events, and events that follow from them. Numbers are seconds after the makers' start."""

from service.domain.retention.state import State, Tag
from service.domain.simulation.timeline import Timeline, TimelineEvent, with_implied_events
from tests.support.makers import digest_of, tag, us
from tests.support.past import adopted, pruned, pulled, pushed


def tell(*events: TimelineEvent, present: tuple[Tag, ...] = ()) -> list[tuple[str, str, int, int | None]]:
    """Return (kind, tag, at_us, pushed_us) of every event of the timeline."""
    timeline = Timeline(State(repository="shop/api", tags=present), events)
    return [(event.kind, event.tag, event.at_us, event.pushed_us) for event in with_implied_events(timeline)]


def test_a_live_tag_of_unknown_push_exists_when_the_record_begins() -> None:
    assert tell(pushed("v2", 5), present=(tag("v1", None), tag("v2", 5)))[0] == ("adopted", "v1", us(5), None)


def test_a_tag_pulled_before_any_recorded_push_was_there_before_the_record() -> None:
    result = tell(pushed("v1", 5), pulled("old", 7), pruned("older", 9))
    assert result[:2] == [("adopted", "old", us(5) - 1, us(5) - 1), ("adopted", "older", us(5) - 1, us(5) - 1)]


def test_a_pulled_tag_that_still_stands_has_its_own_time_of_push() -> None:
    result = tell(pulled("v1", 7), pushed("v2", 6), present=(tag("v1", 2), tag("v2", 6)))
    assert [item for item in result if item[1] == "v1"] == [
        ("adopted", "v1", us(2), us(2)),
        ("pulled", "v1", us(7), None),
    ]


def test_a_tag_that_was_pulled_before_its_last_push_was_there_before_it_too() -> None:
    result = tell(pulled("v1", 3), pushed("v1", 9), present=(tag("v1", 9),))
    assert result[0] == ("adopted", "v1", us(3) - 1, us(3) - 1)


def test_a_tag_that_was_found_elsewhere_after_its_first_pull_stood_elsewhere_before() -> None:
    state = State(repository="shop/api", tags=(tag("main", None, "new"),))
    result = with_implied_events(Timeline(state, (pulled("main", 7, "old"), adopted("main", 9, "new"))))
    assert [item.digest for item in result] == [digest_of("old"), digest_of("old"), digest_of("new")]


def test_an_adopted_tag_has_the_time_of_push_that_the_present_knows() -> None:
    assert tell(adopted("v1", 8), present=(tag("v1", 2),)) == [("adopted", "v1", us(8), us(2))]
    assert tell(adopted("v1", 8), present=(tag("v1", None),)) == [("adopted", "v1", us(8), None)]
    assert tell(adopted("v1", 8), pushed("v1", 9), present=(tag("v1", 9),))[0] == ("adopted", "v1", us(8), None)


def test_an_adopted_tag_that_was_pruned_had_a_time_of_push() -> None:
    assert tell(adopted("v1", 8), pruned("v1", 9))[0] == ("adopted", "v1", us(8), us(8))
    assert tell(adopted("v1", 8))[0] == ("adopted", "v1", us(8), None)


def test_the_record_begins_with_its_first_change_whatever_was_pulled_before() -> None:
    state = State(repository="shop/api")
    assert Timeline(state, (pulled("v1", 1), pushed("v1", 5), pushed("v2", 6))).begins_us == us(5)
    assert Timeline(state, (pulled("v1", 1),)).begins_us is None
