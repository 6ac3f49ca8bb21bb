"""The time until which images of the trash can be restored, by the schedule of collections."""

from datetime import UTC, datetime, timedelta

from service.collect.garbage import collection_after, restorable_until
from service.settings.gc import GcSettings
from tests.conftest import MakeWiring

DAY_S = 86_400


def ms(at: datetime) -> int:
    return round(at.timestamp() * 1000)


def test_the_collection_after_a_time_may_be_at_that_time() -> None:
    gc = GcSettings.model_validate({"command": "true", "schedule": "0 3 * * *"})
    at = datetime(2026, 1, 5, 3, tzinfo=UTC)
    assert collection_after(gc, ms(at)) == ms(at)
    assert collection_after(gc, ms(at) + 1) == ms(at + timedelta(days=1))
    assert collection_after(GcSettings.model_validate({}), 7) == 7


def test_an_image_can_be_restored_until_the_registrys_next_collection_or_its_end_in_the_trash(
    make_wiring: MakeWiring,
) -> None:
    wiring = make_wiring(gc={"command": "true", "schedule": "0 3 * * *"})
    now = datetime.now(UTC)
    now_us = ms(now) * 1000
    images = [("shop/api", "sha256:a", now_us), ("shop/api", "sha256:b", now_us - 30 * DAY_S * 1_000_000 + 1)]
    soon_us, ended_us = restorable_until(wiring.store, wiring.settings.gc, 30 * DAY_S, images)
    assert now_us < soon_us <= now_us + DAY_S * 1_000_000
    assert datetime.fromtimestamp(soon_us / 1_000_000, UTC).hour == 3
    assert ended_us == now_us + 1
