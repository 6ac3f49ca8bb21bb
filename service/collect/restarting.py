"""Restarts the registry by the configured commands, and waits until it is what it should be."""

import time
from collections.abc import Callable, Sequence

from service.collect.progress import Progress
from service.domain.collection.run import RESTARTING
from service.domain.errors import RegistryRefused, RegistryUnavailable
from service.log import log
from service.registry.restart import run_command

RESTART_S = 60.0
_COMMAND_S = 300.0
_POLL_S = 0.1


def restart(progress: Progress, name: str, command: Sequence[str], is_so: Callable[[], bool]) -> bool:
    """Runs a command and waits until `is_so`; False when it is not so within a minute.

    A registry that is still coming up, or whose old process still answers, is asked again. Raises CollectionFailed when
    the command fails.
    """
    progress.at(RESTARTING)
    log.info("restarting the registry", by=name)
    run_command(name, command, _COMMAND_S)
    end = time.monotonic() + RESTART_S
    while True:
        try:
            if is_so():
                return True
        except (RegistryUnavailable, RegistryRefused):
            pass
        if time.monotonic() > end:
            return False
        time.sleep(_POLL_S)
