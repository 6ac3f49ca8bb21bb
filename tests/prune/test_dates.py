"""`order: created`: when images were made is read from their configs, once, and only where a rule counts by it."""

from datetime import UTC, datetime, timedelta

import pytest

from service.domain.errors import RegistryUnavailable
from service.prune import planning
from tests.fakes.images import index_over, make_image
from tests.support.makers import policy
from tests.support.system import SHOP, Make, System

NEWEST = policy("rules: [{name: made, order: created, keep: {last: 2}}]")


def day(number: int) -> datetime:
    return datetime(2026, 1, number, tzinfo=UTC)


def push(system: System, tag: str, created: datetime, pushed_minutes_ago: int) -> None:
    at = datetime.now(UTC) - timedelta(minutes=pushed_minutes_ago)
    system.registry.push(SHOP, tag, make_image(tag, created=created), at=at)


def asked(system: System, part: str) -> int:
    return system.registry.count("pushprune", "GET", part)


def test_the_images_made_last_are_kept_whenever_they_were_pushed(make_system: Make) -> None:
    system = make_system(NEWEST)
    for tag, made, pushed in (("old", day(1), 11), ("new", day(3), 19), ("mid", day(2), 15)):
        push(system, tag, made, pushed)
    system.settle()
    assert system.tags() == {"new", "mid"}
    assert system.reasons() == {"old": "created before the last 2 (rule made)"}


def test_each_image_is_asked_for_once(make_system: Make) -> None:
    system = make_system(NEWEST)
    for number in (1, 2, 3):
        push(system, f"v{number}", day(number), 10 - number)
    system.settle()
    before = asked(system, "/blobs/")
    assert before == 3
    push(system, "v4", day(4), 1)
    system.settle()
    assert asked(system, "/blobs/") == before + 1
    assert system.tags() == {"v3", "v4"}


def test_nothing_is_asked_where_nothing_overflows_or_no_rule_counts_by_it(make_system: Make) -> None:
    system = make_system(NEWEST)
    push(system, "v1", day(1), 2)
    push(system, "v2", day(2), 1)
    system.settle()
    assert len(system.registry.requests) == 0


def test_an_image_that_does_not_say_counts_from_its_push(make_system: Make) -> None:
    system = make_system(NEWEST)
    push(system, "epoch", datetime(1970, 1, 1, tzinfo=UTC), 3)
    push(system, "made-long-ago", day(1), 2)
    push(system, "made-later", day(2), 1)
    system.settle()
    assert system.tags() == {"epoch", "made-later"}


def test_an_index_is_as_old_as_the_first_image_in_it(make_system: Make) -> None:
    system = make_system(NEWEST)
    multi = index_over([make_image("amd64", created=day(1)), make_image("arm64", created=day(9))])
    system.registry.push(SHOP, "multi", multi, at=datetime.now(UTC) - timedelta(minutes=3))
    push(system, "v2", day(2), 2)
    push(system, "v3", day(3), 1)
    system.settle()
    assert system.tags() == {"v2", "v3"}


def test_while_it_cannot_be_asked_nothing_is_deleted_and_what_was_learnt_is_kept(make_system: Make) -> None:
    system = make_system(NEWEST, delete={"parallel": 1})
    for number in (1, 2, 3):
        push(system, f"v{number}", day(number), 10 - number)
    system.messages.sent.clear()
    system.registry.fail_next("GET", "/blobs/", status=503)
    with pytest.raises(RegistryUnavailable):
        planning.enforce(system.wiring, SHOP)
    assert system.tags() == {"v1", "v2", "v3"}
    assert sum(tag.created_us is not None for tag in system.store.history.live(SHOP)) == 2
    system.messages.enforce(SHOP)
    system.settle()
    assert system.tags() == {"v2", "v3"}
