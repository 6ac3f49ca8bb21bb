"""The storage used: the sum over repositories, its records, and the series for a chart."""

from service.domain.usage import RepositorySize, Usage, UsageSum
from service.reports.usage import current_usage, usage_series
from tests.conftest import MakeWiring

HOUR_MS = 3_600_000
DAY_MS = 86_400_000


def usage(at_ms: int = 0, shared: int = 0, **prefixes: int) -> Usage:
    return Usage(at_ms, sum(prefixes.values()) + shared, prefixes, shared_bytes=shared)


def test_each_blob_counts_once_and_a_blob_of_several_prefixes_is_shared() -> None:
    total = UsageSum()
    total.add("shop/api", [("base", 100), ("api", 7)], unknown=1)
    total.add("shop/web", [("base", 100), ("web", 5)], unknown=0)
    total.add("lab", [("lab", 3)], unknown=0)
    assert total.usage(0).prefixes == {"shop": 112, "lab": 3}
    total.add("team/a", [("base", 100)], unknown=2)
    total.add("team/b", [("base", 100)], unknown=0)
    expected = Usage(5, 115, {"shop": 12, "lab": 3, "team": 0}, shared_bytes=100, unknown=3, repositories=5)
    assert total.usage(5) == expected


def test_small_prefixes_are_one() -> None:
    total = UsageSum()
    for number in range(20):
        total.add(f"r{number}", [(f"blob {number}", number)], unknown=0)
    summed = total.usage(0)
    assert list(summed.prefixes) == [f"r{number}" for number in range(19, 7, -1)]
    assert (summed.size_bytes, summed.other_bytes) == (190, 28)


def test_a_series_has_the_largest_prefixes_as_bands_that_add_up_to_the_total(make_wiring: MakeWiring) -> None:
    store = make_wiring().store
    assert current_usage(store) is None
    assert usage_series(store, DAY_MS, 0).change_bytes is None
    records = (usage(shop=10, lab=7, old=90), usage(shop=20, lab=8, old=0, tiny=1, shared=4))
    for record in records:
        store.usage.note(record, hourly=True)
    now_ms = store.connection.now_ms()
    store.usage.note(usage(now_ms + 5, shop=30, lab=40, shared=4), hourly=False)
    series = usage_series(store, DAY_MS, now_ms, bands=3)
    assert series.sizes_bytes == (107, 33, 74)
    assert series.at_ms[-1] == now_ms + 5
    assert series.change_bytes == -33
    assert [(band.name, band.sizes_bytes) for band in series.bands] == [
        ("lab", (7, 8, 40)),
        ("shop", (10, 20, 30)),
        ("old", (90, 0, 0)),
        ("(shared)", (0, 4, 4)),
        ("(other)", (0, 1, 0)),
    ]
    assert usage_series(store, DAY_MS, now_ms, points=2).sizes_bytes == (107, 74)
    current = current_usage(store)
    assert current is not None
    assert current.prefixes == {"shop": 30, "lab": 40}


def test_growth_is_the_change_within_seven_days() -> None:
    size = RepositorySize(0, 0, "", 0)
    for day, size_bytes in ((1, 100), (3, 300), (5, 250), (12, 900)):
        size = size.followed_by(size_bytes, 0, "g", day * DAY_MS + HOUR_MS)
        assert size.growth_bytes(size.at_ms) == {1: None, 3: 200, 5: 150, 12: 650}[day]
    assert size.days == ((5, 250), (12, 900))
    assert size.growth_bytes(30 * DAY_MS) == 0
    # The part that is known is no size to compare with.
    assert size.followed_by(5, 1, "g", 13 * DAY_MS).growth_bytes(13 * DAY_MS) is None
