"""Run the machine: the same examples every time."""

import os
from collections.abc import Callable
from typing import Any

from hypothesis import HealthCheck, Phase, core, settings, stateful

from tests.machine.machine import Machine

_STEPS = 25


def run(machine: Callable[[], Machine], examples: int, *, shrink: bool = True) -> None:
    """Run the same examples every time, or those that --hypothesis-seed stands for.

    The environment variable MACHINE_EXAMPLES replaces the number of examples.
    """
    mode = settings(
        max_examples=int(os.environ.get("MACHINE_EXAMPLES", examples)),
        stateful_step_count=_STEPS,
        deadline=None,
        derandomize=core.global_force_seed is None,
        report_multiple_bugs=False,
        phases=(Phase.generate, Phase.shrink) if shrink else (Phase.generate,),
        suppress_health_check=list(HealthCheck),
    )
    run_machine: Any = stateful.run_state_machine_as_test
    run_machine(machine, settings=mode)
