"""The number of blobs that are claimed together."""

import pytest

from service.collect.online import claim_pace
from service.collect.online.claim_pace import ClaimPace


def test_parts_grow_until_one_takes_as_long_as_others_may_wait() -> None:
    parts = ClaimPace(1000, is_fixed=False)
    sizes = []
    for _ in range(12):
        sizes.append(parts.count)
        parts.took(parts.count, parts.count * 0.0001)
    assert sizes[:4] == [10, 20, 40, 80]
    assert sizes[-1] == round(claim_pace.HELD_S / 0.0001)


def test_parts_shrink_on_a_slow_disk() -> None:
    parts = ClaimPace(1000, is_fixed=False)
    parts.count = 500
    parts.took(500, 5.0)
    assert parts.count == 10


@pytest.mark.parametrize("count", [0, 5, 2500])
def test_each_item_is_in_one_part(count: int) -> None:
    items = list(range(count))
    assert [item for part in ClaimPace(1000, is_fixed=True).parts(items) for item in part] == items
