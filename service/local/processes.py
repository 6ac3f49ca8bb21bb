"""The processes of `pushprune up`: the command of each, and a check that it is ready."""

import signal
import sys
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from http import HTTPStatus
from pathlib import Path

import requests

import service
from service.domain.errors import PushpruneError, StoreUnavailable
from service.local.supervisor import Child

_ROOT = str(Path(service.__file__).parents[1])
# Python would import a folder `service` or `workers` in the current directory instead of this project's.
_PREAMBLE = (
    "import runpy, sys; sys.path.insert(0, sys.argv.pop(1)); import service, workers; sys.path.pop(0); "
    "runpy.run_module('service', run_name='__main__', alter_sys=True)"
)
Condition = Callable[[], bool]
_POLL_S = 0.05


class NotReady(PushpruneError):
    """A condition did not become true in time."""


def web(environ: Mapping[str, str], held_fds: tuple[int, ...] = ()) -> Child:
    """Return the web process. It gets SIGTERM when its parent dies, so that it ends in order."""
    return _ours("web", environ, held_fds)


def gate(environ: Mapping[str, str], held_fds: tuple[int, ...] = ()) -> Child:
    """Return the gate process, for `gc.gate: proxy`. It gets SIGTERM when its parent dies."""
    return _ours("gate", environ, held_fds)


def worker(environ: Mapping[str, str], held_fds: tuple[int, ...] = ()) -> Child:
    """Return a Celery worker. It may be killed at any moment: another worker continues its work from the outbox."""
    command = _service("worker", "--name", "up")
    return Child("worker", command, _of_python(environ), grace_s=5.0, held_fds=held_fds)


def is_ready(address: str) -> bool:
    """True once the web process answers and says that it can do its work."""
    return _answers(f"{address}/readyz")


def is_alive(address: str) -> bool:
    """True once the gate process answers."""
    return _answers(f"{address}/livez")


def _answers(url: str) -> bool:
    try:
        answer = requests.get(url, timeout=5, allow_redirects=False)
    except requests.RequestException:
        return False
    return answer.status_code == HTTPStatus.OK


def until(
    condition: Condition, failure: str, *, patience_s: float, meanwhile: Callable[[], None] = lambda: None
) -> None:
    """Wait until the condition is true.

    Args:
        failure: the start of the error's sentence, such as "Redis does not answer".
        meanwhile: called after each check that failed; may raise to end the wait.

    Raises:
        NotReady: the condition is still false after `patience_s`.
    """
    deadline = time.monotonic() + patience_s
    while not _holds(condition):
        meanwhile()
        if time.monotonic() > deadline:
            raise NotReady(f"{failure} after {patience_s:g} s.")
        time.sleep(_POLL_S)


def _holds(condition: Condition) -> bool:
    with suppress(StoreUnavailable):
        return condition()
    return False


def _ours(verb: str, environ: Mapping[str, str], held_fds: tuple[int, ...]) -> Child:
    return Child(verb, _service(verb), _of_python(environ), death_signal=signal.SIGTERM, grace_s=8.0, held_fds=held_fds)


def _service(*arguments: str) -> tuple[str, ...]:
    return (sys.executable, "-P", "-c", _PREAMBLE, _ROOT, *arguments)


def _of_python(environ: Mapping[str, str]) -> dict[str, str]:
    # The child writes into a pipe: with a buffer, its log lines would appear late.
    return {**environ, "PYTHONUNBUFFERED": "1"}
