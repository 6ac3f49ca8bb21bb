"""Runs the commands that restart the registry."""

import subprocess
import tempfile
from collections.abc import Sequence

from service.child_environment import child_environment
from service.domain.errors import CollectionFailed

_SAID_BYTES = 2000


def run_command(name: str, command: Sequence[str], timeout_s: float) -> None:
    """Runs a configured command to its end. Raises CollectionFailed when it cannot be run, fails or takes too long.

    name: the setting. It is not tied to this process, as a collector is: half a restart would leave the registry down.
    What it starts in the background may live on, and keep its output open: so that goes to a file and not to a pipe.
    """
    with tempfile.TemporaryFile() as output:
        try:
            done = subprocess.run(
                list(command), stdin=subprocess.DEVNULL, stdout=output, stderr=subprocess.STDOUT,
                timeout=timeout_s, start_new_session=True, check=False, env=child_environment(),
            )  # fmt: skip
        except OSError as error:
            raise CollectionFailed(f"{name} cannot be run: {error}") from error
        except subprocess.TimeoutExpired as error:
            raise CollectionFailed(f"{name} took longer than {timeout_s:.0f} s and was stopped") from error
        if done.returncode != 0:
            output.seek(0)
            said = " / ".join(output.read(_SAID_BYTES).decode("utf-8", "replace").split("\n")).strip(" /")
            raise CollectionFailed(f"{name} ended with exit code {done.returncode}: {said[:500]}")
