"""Times as the API and `--json` write them."""

from datetime import UTC, datetime

import pytest

from service.answers.operations import PostponedCollection
from service.domain.collection.run import Postponement
from service.domain.timestamps import rfc3339


@pytest.mark.parametrize(
    ("at_us", "text"),
    [
        (0, "1970-01-01T00:00:00.000000Z"),
        (1_700_000_000_123_457, "2023-11-14T22:13:20.123457Z"),
        (10**18, "9999-12-31T00:00:00.000000Z"),
        (10**30, "9999-12-31T00:00:00.000000Z"),
    ],
)
def test_a_time_is_exact_and_no_forged_one_breaks_an_answer(at_us: int, text: str) -> None:
    assert rfc3339(at_us) == text
    assert datetime.fromisoformat(text).tzinfo == UTC


def test_times_in_ms_read_the_same() -> None:
    answer = PostponedCollection.model_validate(Postponement("a push is under way", 1000, 2001, 3))
    assert (answer.since, answer.at) == ("1970-01-01T00:00:01.000000Z", "1970-01-01T00:00:02.001000Z")
