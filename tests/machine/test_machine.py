"""The machine over the in-process registry: some examples always, many in `make test-deep`."""

from typing import Literal

import pytest
from hypothesis.internal.conjecture import engine

from service.prune import listing
from tests.machine.ground import Ground
from tests.machine.machine import Awkward, ByHand, Forged, Machine, PutBack
from tests.support.machine import run

_IS_WHOLE = listing.is_whole
_SHRINKING_S = 60


@pytest.fixture(autouse=True)
def shrink_in_time(monkeypatch: pytest.MonkeyPatch) -> None:
    """Hypothesis may take five minutes over a failing example, which is longer than anybody waits."""
    monkeypatch.setattr(engine, "MAX_SHRINKING_SECONDS", _SHRINKING_S)


@pytest.mark.live  # it takes its time
@pytest.mark.parametrize("version", ["2.8", "3"])
def test_nothing_kept_is_lost_and_nothing_dropped_stays(ground: Ground, version: Literal["2.8", "3"]) -> None:
    run(lambda: Machine(ground, version), 30)


@pytest.mark.live
@pytest.mark.parametrize("version", ["2.8", "3"])
def test_nothing_but_what_was_asked_for_by_hand_goes_as_well(ground: Ground, version: Literal["2.8", "3"]) -> None:
    run(lambda: ByHand(ground, version), 20)


@pytest.mark.live
@pytest.mark.parametrize("version", ["2.8", "3"])
def test_nothing_kept_is_lost_where_events_are_forged(ground: Ground, version: Literal["2.8", "3"]) -> None:
    run(lambda: Forged(ground, version), 10, shrink=False)


@pytest.mark.deep
@pytest.mark.parametrize("version", ["2.8", "3"])
def test_nothing_kept_is_lost_where_events_are_forged_in_five_hundred_examples(
    ground: Ground, version: Literal["2.8", "3"]
) -> None:
    run(lambda: Forged(ground, version), 500)


@pytest.mark.live
@pytest.mark.parametrize("version", ["2.8", "3"])
def test_nothing_is_lost_where_tags_are_put_back(ground: Ground, version: Literal["2.8", "3"]) -> None:
    run(lambda: PutBack(ground, version), 20)


@pytest.fixture
def tried(ground: Ground, monkeypatch: pytest.MonkeyPatch) -> Ground:
    """The ground, where it is tried whether the registry lists every tag."""
    monkeypatch.setattr(listing, "is_whole", _IS_WHOLE)
    return ground


@pytest.mark.live
def test_nothing_kept_is_lost_on_a_registry_that_hides_tags_dates_equally_and_answers_late(tried: Ground) -> None:
    run(lambda: Awkward(tried, "3.1.1"), 30)


@pytest.mark.deep
def test_nothing_kept_is_lost_on_such_a_registry_in_five_hundred_examples(tried: Ground) -> None:
    run(lambda: Awkward(tried, "3.1.1"), 500)


@pytest.mark.deep
@pytest.mark.parametrize("version", ["2.8", "3"])
def test_nothing_is_lost_where_tags_are_put_back_in_five_hundred_examples(
    ground: Ground, version: Literal["2.8", "3"]
) -> None:
    run(lambda: PutBack(ground, version), 500)


@pytest.mark.deep
@pytest.mark.parametrize("version", ["2.8", "3"])
def test_nothing_else_is_lost_by_hand_in_five_hundred_examples(ground: Ground, version: Literal["2.8", "3"]) -> None:
    run(lambda: ByHand(ground, version), 500)


@pytest.mark.deep
@pytest.mark.parametrize("version", ["2.8", "3"])
def test_nothing_is_lost_in_a_thousand_examples(ground: Ground, version: Literal["2.8", "3"]) -> None:
    run(lambda: Machine(ground, version), 1000)
