"""Restart the registry with the configured commands, and wait for the wanted state."""

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
    """Run a command and wait until the registry has the wanted state.

    Args:
        name: of the setting that holds the command.
        is_so: True if the registry has the wanted state.

    Returns:
        False if the registry does not have the wanted state within a minute.

    Raises:
        CollectionFailed: the command failed.
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
            # The registry is still starting, or its old process still answers.
            pass
        if time.monotonic() > end:
            return False
        time.sleep(_POLL_S)
