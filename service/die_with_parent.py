"""Ties a child process to the one that started it: when the parent dies, however it dies, the child is told by signal.

Linux does it with PR_SET_PDEATHSIG (see prctl(2)), which only a process itself can ask for. Popen's `preexec_fn` would
be the place, but it is unsafe beside threads; so this file doubles as a tiny launcher that asks and then becomes the
command. The kernel counts the *thread* that forked as the parent: start leashed children from one that lives on.
"""

import os
import signal
import sys
from collections.abc import Sequence

PR_SET_PDEATHSIG = 1
NOT_EXECUTABLE, NOT_FOUND = 126, 127  # the exit codes a shell gives for a command that cannot be started


def leashed(command: Sequence[str], death_signal: signal.Signals = signal.SIGKILL) -> list[str]:
    """Return the argv that runs `command` so that it gets `death_signal` once the caller's process or thread is dead.

    To be started by the process that calls this, not by another. Where there is no such leash (anything but Linux) the
    command comes back unchanged.
    """
    if not sys.platform.startswith("linux"):
        return list(command)
    return [sys.executable, "-I", "-S", os.path.abspath(__file__), str(int(death_signal)), str(os.getpid()), *command]


def become(death_signal: int, parent_pid: int, command: Sequence[str]) -> int:
    """Put the leash on this process and replace it by `command`; returns an exit code only where that fails."""
    _set_death_signal(death_signal)
    if os.getppid() != parent_pid:  # it died before the leash was on: nobody will tell us any more
        os.kill(os.getpid(), signal.SIGKILL)
    _restore_signals()
    try:
        os.execvp(command[0], list(command))  # noqa: S606 - becoming the given command is what a launcher does
    except OSError as error:
        print(f"{command[0]} could not be started: {error.strerror}.", file=sys.stderr)
        return NOT_FOUND if isinstance(error, FileNotFoundError) else NOT_EXECUTABLE


def _set_death_signal(death_signal: int) -> None:
    import ctypes  # only the launcher needs it

    libc = ctypes.CDLL(None, use_errno=True)
    if libc.prctl(PR_SET_PDEATHSIG, death_signal, 0, 0, 0) != 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))


def _restore_signals() -> None:
    """Undo what the interpreter set up for itself: an ignored signal would stay ignored in the command."""
    for number in (signal.SIGPIPE, signal.SIGXFSZ):
        signal.signal(number, signal.SIG_DFL)


if __name__ == "__main__":
    sys.exit(become(int(sys.argv[1]), int(sys.argv[2]), sys.argv[3:]))
