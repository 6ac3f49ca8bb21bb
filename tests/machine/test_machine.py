"""The machine over the in-process registry: some examples always, many in `make test-deep`."""

from typing import Literal

import pytest
from hypothesis.internal.conjecture import engine

from tests.machine.by_digest import ByDigest
from tests.machine.ground import Ground
from tests.machine.machine import Awkward, ByHand, Changing, Forged, Machine, Protecting, PutBack
from tests.support.machine import run

_SHRINKING_S = 60


@pytest.fixture(autouse=True)
def shrink_in_time(monkeypatch: pytest.MonkeyPatch) -> None:
    """Hypothesis may take five minutes over a failing example, which is longer than anybody waits."""
    monkeypatch.setattr(engine, "MAX_SHRINKING_SECONDS", _SHRINKING_S)


@pytest.mark.parametrize("version", ["2.8", "3"])
@pytest.mark.parametrize(
    ("kind", "examples"),
    [
        pytest.param(Machine, 6, id="users", marks=pytest.mark.live),
        pytest.param(Machine, 1000, id="a thousand examples", marks=pytest.mark.deep),
        pytest.param(ByHand, 6, id="by hand", marks=pytest.mark.live),
        pytest.param(ByHand, 500, id="by hand, many examples", marks=pytest.mark.deep),
        pytest.param(ByDigest, 6, id="by digest", marks=pytest.mark.live),
        pytest.param(ByDigest, 500, id="by digest, many examples", marks=pytest.mark.deep),
        pytest.param(PutBack, 6, id="put back", marks=pytest.mark.live),
        pytest.param(PutBack, 500, id="put back, many examples", marks=pytest.mark.deep),
        pytest.param(Protecting, 4, id="protecting", marks=pytest.mark.live),
        pytest.param(Protecting, 500, id="protecting, many examples", marks=pytest.mark.deep),
        pytest.param(Changing, 4, id="changing policy", marks=pytest.mark.live),
        pytest.param(Changing, 500, id="changing policy, many examples", marks=pytest.mark.deep),
        pytest.param(Forged, 6, id="forged", marks=pytest.mark.live),
        pytest.param(Forged, 500, id="forged, many examples", marks=pytest.mark.deep),
    ],
)
def test_nothing_kept_is_lost_and_nothing_dropped_is_kept(
    ground: Ground, kind: type[Machine], examples: int, version: Literal["2.8", "3"]
) -> None:
    run(lambda: kind(ground, version), examples)


@pytest.mark.parametrize(
    "examples", [pytest.param(6, marks=pytest.mark.live), pytest.param(500, marks=pytest.mark.deep)]
)
def test_nothing_kept_is_lost_on_a_registry_that_hides_tags_dates_equally_and_answers_late(
    tried: Ground, examples: int
) -> None:
    run(lambda: Awkward(tried, "3.1.1"), examples)


@pytest.mark.parametrize("version", ["2.8", "3"])
@pytest.mark.parametrize(
    ("kind", "examples"),
    [
        pytest.param(Machine, 2, id="users", marks=pytest.mark.live),
        pytest.param(Machine, 250, id="users, many examples", marks=pytest.mark.deep),
        pytest.param(ByHand, 250, id="by hand, many examples", marks=pytest.mark.deep),
        pytest.param(PutBack, 250, id="put back, many examples", marks=pytest.mark.deep),
    ],
)
def test_nothing_kept_is_lost_where_the_storage_is_mounted(
    mounted: Ground, kind: type[Machine], examples: int, version: Literal["2.8", "3"]
) -> None:
    run(lambda: kind(mounted, version), examples)
