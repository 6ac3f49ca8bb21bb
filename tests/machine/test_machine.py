"""The machine over the in-process registry."""

from typing import Literal

import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis.stateful import run_state_machine_as_test

from tests.machine.machine import Machine
from tests.machine.world import Ground

STEPS = 25


def bounded(examples: int, *, shrink: bool = True) -> settings:
    """The same examples every time."""
    return settings(
        max_examples=examples,
        stateful_step_count=STEPS,
        deadline=None,
        derandomize=True,
        print_blob=False,
        report_multiple_bugs=False,
        phases=(Phase.generate, Phase.shrink) if shrink else (Phase.generate,),
        suppress_health_check=list(HealthCheck),
    )


@pytest.mark.parametrize("version", ["2.8", "3"])
def test_nothing_kept_is_lost_and_nothing_dropped_stays(ground: Ground, version: Literal["2.8", "3"]) -> None:
    run_state_machine_as_test(lambda: Machine(ground, version), settings=bounded(25))  # type: ignore[no-untyped-call]
