"""Run the commands that restart the registry."""

import subprocess
import tempfile
from collections.abc import Sequence

from service.domain.errors import CollectionFailed
from service.process.child_environment import child_environment

_OUTPUT_BYTES = 2000


def run_command(name: str, command: Sequence[str], timeout_s: float) -> None:
    """Run a configured command to its end.

    Unlike a collector, the command is not killed with this process: half a restart would leave the registry down.

    Args:
        name: of the setting.
        command: the program and its arguments.
        timeout_s: after this time the command is killed.

    Raises:
        CollectionFailed: the command cannot be run, failed, or took too long.
    """
    # A file and not a pipe: a process that the command starts in the background may keep the output open.
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
            text = " / ".join(output.read(_OUTPUT_BYTES).decode("utf-8", "replace").split("\n")).strip(" /")
            raise CollectionFailed(f"{name} ended with exit code {done.returncode}: {text[:500]}")
