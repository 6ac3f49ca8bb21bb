"""Processes of pushprune that need not import it: forked from a process that has.

Importing takes a second of CPU time, and the live tests start hundreds of processes. Each has an environment, output,
session and exit code of its own, and dies by signals as any other. How the installed command starts is the subject of
live/test_up.py, live/test_demo.py, live/test_one_off.py and test_systemd.py.
"""

import contextlib
import ctypes
import gc
import json
import os
import select
import signal
import socket
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from functools import cache
from importlib import import_module
from pathlib import Path
from typing import IO, Any

from service.cli.main import VERBS, main
from service.process.die_with_parent import PR_SET_PDEATHSIG
from service.settings import load_settings
from service.web.app import create_app
from service.web.pages.rendering import compile_templates
from service.wiring import wire
from tests.support.templates import compile_once

_ROOT = str(Path(__file__).parents[2])
_REQUEST_BYTES = 1 << 17
# What a worker imports. workers.app reads the settings, so each worker imports that itself.
_IMPORTED = (
    "service.broker", "workers.tasks", "workers.tick", "service.usage.measuring",
    "workers.reachability", "workers.schedule", "celery.bin.celery", "celery.app.amqp", "celery.app.control",
    "celery.app.events", "celery.app.log", "celery.apps.worker", "celery.concurrency.thread", "celery.fixups.django",
    "celery.worker.autoscale", "celery.worker.components", "celery.worker.consumer.delayed_delivery",
    "celery.worker.pidbox", "celery.worker.strategy", "billiard.pool", "kombu.transport.redis",
)  # fmt: skip


class Forked(subprocess.Popen[bytes]):
    """A process that the warm parent forked, with the methods of Popen that the tests use."""

    # It is not our child: Popen must not wait for it.
    _child_created = False

    def __init__(self, arguments: Sequence[str], status: int) -> None:
        self.args = ("pushprune", *arguments)
        self._status = status
        self.returncode: Any = None
        self.pid = int(self._read())

    def __del__(self, *_: Any) -> None:
        os.close(self._status)

    def poll(self) -> int | None:
        """Return the exit code, or None while the process runs."""
        return self._wait_s(0)

    def wait(self, timeout: float | None = None) -> int:
        """Wait for the end of the process."""
        code = self._wait_s(timeout)
        if code is None:
            raise subprocess.TimeoutExpired(self.args, timeout or 0)
        return code

    def _wait_s(self, timeout_s: float | None) -> int | None:
        code: int | None = self.returncode
        if code is None and self._is_ended(timeout_s):
            # Nothing is written if the warm parent is killed, and its children with it.
            self.returncode = code = int(self._read() or -signal.SIGKILL)
        return code

    def _is_ended(self, timeout_s: float | None) -> bool:
        # Tests may have more than 1,024 files open, which `select.select` does not take.
        ready = select.poll()
        ready.register(self._status, select.POLLIN)
        return bool(ready.poll(None if timeout_s is None else timeout_s * 1000))

    def _read(self) -> bytes:
        """Read one number: each has a write of its own."""
        return os.read(self._status, 32)


class WarmParent:
    """A process that has imported everything and forks on demand; it ends with the process of the tests."""

    def __init__(self) -> None:
        self._control, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        with theirs:
            subprocess.Popen(
                [sys.executable, "-m", __name__, str(theirs.fileno())], cwd=_ROOT, pass_fds=[theirs.fileno()],
                stdin=subprocess.DEVNULL, start_new_session=True,
            )  # fmt: skip

    def start(
        self, arguments: Sequence[str], environment: Mapping[str, str], out: IO[Any], err: IO[Any] | None = None
    ) -> Forked:
        """Start `pushprune arguments`."""
        status, theirs = os.pipe()
        request = json.dumps({"arguments": [*arguments], "environment": {**environment}}).encode()
        socket.send_fds(self._control, [request], [out.fileno(), (err or out).fileno(), theirs])
        os.close(theirs)
        return Forked(arguments, status)


@cache
def warm_parent() -> WarmParent:
    """Return the one parent of this process of the tests, started when a test first needs it."""
    return WarmParent()


def run_verb(
    *arguments: str, environment: Mapping[str, str], timeout_s: float | None = None
) -> subprocess.CompletedProcess[str]:
    """Run `pushprune arguments` to its end."""
    with tempfile.TemporaryFile("w+") as out, tempfile.TemporaryFile("w+") as err:
        code = warm_parent().start(arguments, environment, out, err).wait(timeout_s)
        out.seek(0)
        err.seek(0)
        return subprocess.CompletedProcess(arguments, code, out.read(), err.read())


def _warm_up() -> None:
    """Import everything, and compile the templates of the dashboard."""
    for module in (*_IMPORTED, *(module for module, _ in VERBS.values())):
        import_module(module)
    compile_once()
    compile_templates(create_app(wire(load_settings(environ={}, redis={"url": "redis://127.0.0.1:1/0"}))))


def _serve(control: socket.socket) -> dict[str, Any]:
    """Fork a keeper for each request. Returns only in the process that is to run the request."""
    signal.signal(signal.SIGCHLD, _reap)
    while True:
        message, descriptors, *_ = socket.recv_fds(control, _REQUEST_BYTES, 3)
        if not message:
            sys.exit()
        if os.fork() == 0:
            control.close()
            return _keep(json.loads(message), *descriptors)
        for descriptor in descriptors:
            os.close(descriptor)


def _reap(*_: object) -> None:
    """Collect the keepers that have ended, so that their CPU time counts as that of the tests."""
    with contextlib.suppress(ChildProcessError):
        while os.waitpid(-1, os.WNOHANG)[0]:
            pass


def _keep(request: dict[str, Any], out: int, err: int, status: int) -> dict[str, Any]:
    """Fork the process itself, report its pid and its exit code. Returns only in that process."""
    _die_with_parent()
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    if pid := os.fork():
        os.close(out)
        os.close(err)
        os.write(status, str(pid).encode())
        code = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
        # The test may be over.
        with contextlib.suppress(BrokenPipeError):
            os.write(status, str(code).encode())
        os._exit(0)
    _die_with_parent()
    os.setsid()
    for number, descriptor in enumerate((out, err), start=1):
        os.dup2(descriptor, number)
        os.close(descriptor)
    os.close(status)
    return request


def _die_with_parent() -> None:
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)


if __name__ == "__main__":
    _warm_up()
    gc.collect()
    # Collecting what was imported would copy its pages into each child.
    gc.freeze()
    wanted = _serve(socket.socket(fileno=int(sys.argv[1])))
    os.environ.clear()
    os.environ.update(wanted["environment"])
    sys.argv[:] = ["pushprune", *wanted["arguments"]]
    main()
