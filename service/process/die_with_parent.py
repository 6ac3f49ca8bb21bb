"""Tie a child process to its parent: when the parent dies, for any reason, the child gets a signal.

Linux does this with PR_SET_PDEATHSIG (see prctl(2)), which a process can set only for itself. Popen's `preexec_fn`
would be the place, but it is unsafe beside threads. So this file is also a tiny launcher that sets the signal and then
executes the command. For the kernel, the parent is the *thread* that forked: start such children from a thread that
lives as long as they do.
"""

import os
import signal
import sys
from collections.abc import Sequence

PR_SET_PDEATHSIG = 1
NOT_EXECUTABLE, NOT_FOUND = 126, 127  # the exit codes a shell gives for a command that cannot be started


def die_with_parent(command: Sequence[str], death_signal: signal.Signals = signal.SIGKILL) -> list[str]:
    """Return the argv that runs `command` so that it gets `death_signal` when the caller's process or thread dies.

    Only the process that calls this may start the argv. On systems other than Linux, the command is returned unchanged.
    """
    if not sys.platform.startswith("linux"):
        return list(command)
    # -I and -S: the launcher needs no installed package, and must start fast and independent of the environment.
    return [sys.executable, "-I", "-S", os.path.abspath(__file__), str(int(death_signal)), str(os.getpid()), *command]


def exec_child(death_signal: int, parent_pid: int, command: Sequence[str]) -> int:
    """Set the death signal of this process and replace it by `command`. Returns an exit code only on failure."""
    _set_death_signal(death_signal)
    # The parent died before the signal was set: the kernel will send none.
    if os.getppid() != parent_pid:
        os.kill(os.getpid(), signal.SIGKILL)
    _restore_signals()
    try:
        os.execvp(command[0], list(command))  # noqa: S606 - becoming the given command is what a launcher does
    except OSError as error:
        print(f"{command[0]} could not be started: {error.strerror}.", file=sys.stderr)
        return NOT_FOUND if isinstance(error, FileNotFoundError) else NOT_EXECUTABLE


def _set_death_signal(death_signal: int) -> None:
    # Imported here: only the launcher needs it.
    import ctypes

    libc = ctypes.CDLL(None, use_errno=True)
    if libc.prctl(PR_SET_PDEATHSIG, death_signal, 0, 0, 0) != 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))


def _restore_signals() -> None:
    """Restore the signals that Python ignores: otherwise the command would ignore them, too."""
    for number in (signal.SIGPIPE, signal.SIGXFSZ):
        signal.signal(number, signal.SIG_DFL)


if __name__ == "__main__":
    sys.exit(exec_child(int(sys.argv[1]), int(sys.argv[2]), sys.argv[3:]))
