"""The order of deletes: each digest at once, or all tags first, whichever costs the registry less."""

import pytest

from service.domain.retention.batching import batch_size, next_size, untagged_first
from service.domain.retention.plan import Doomed, Verdict
from tests.support.makers import tag


def going(count: int, tags: int = 1) -> list[Doomed]:
    return [
        Doomed(f"sha256:{number}", tuple(Verdict(tag(f"v{number}-{each}", 0), False, "", "r") for each in range(tags)))
        for number in range(count)
    ]


@pytest.mark.parametrize(
    ("count", "tags", "first"),
    [(1, 5000, 0), (1, 10, 0), (990, 1000, 900), (4990, 5000, 4900), (20, 30, 0)],
)
@pytest.mark.parametrize("deletes_tags", [True, False, None])
def test_tags_are_deleted_first_until_that_leaves_a_small_repository(
    count: int, tags: int, first: int, deletes_tags: bool | None
) -> None:
    assert untagged_first(going(count), tags, 100, deletes_tags=deletes_tags) == first


def test_a_batch_grows_with_the_repository_up_to_a_bound() -> None:
    assert [batch_size(tags, 100) for tags in (10, 1000, 3000, 50_000)] == [100, 100, 300, 500]


def test_batches_are_as_large_as_the_registry_is_fast() -> None:
    assert next_size(16, took_s=0.02) == 16_000, "a disk: delete.batch_size is the bound"
    assert next_size(16, took_s=44.0) == 7, "1,000 tags on object storage, eight requests at a time"
    assert next_size(1, took_s=600.0) == 1
