"""Make many calls, in parallel or one by one."""

import contextvars
import threading
from collections.abc import Callable, Collection, Iterator
from concurrent.futures import ThreadPoolExecutor, wait
from contextlib import contextmanager
from functools import partial

from service.domain.errors import RegistryUnavailable

Call = Callable[[], object]
Work = Callable[[Collection[Call]], object]


def one_by_one(calls: Collection[Call]) -> None:
    """Make one call after the other."""
    for call in calls:
        call()


@contextmanager
def in_parallel(parallel: int) -> Iterator[Work]:
    """Provide a function that makes calls in at most `parallel` threads, and raises their first error at the end.

    An error stops the calls that have not begun, except a fault of a single request. All calls of the `with` block
    share the threads.
    """
    with ThreadPoolExecutor(parallel, thread_name_prefix="delete") as pool:
        yield partial(_in_parallel, pool, parallel)


def _in_parallel(pool: ThreadPoolExecutor, parallel: int, calls: Collection[Call]) -> None:
    # Nearly every push displaces one image, which the thread of the caller deletes.
    if len(calls) == 1:
        one_by_one(calls)
        return
    waiting, lock, failed = iter(calls), threading.Lock(), threading.Event()
    errors: list[BaseException] = []

    def work() -> None:
        while not failed.is_set():
            with lock:
                call = next(waiting, None)
            if call is None:
                return
            try:
                call()
            except BaseException as error:  # noqa: BLE001 - it is raised again below
                errors.append(error)
                if not (isinstance(error, RegistryUnavailable) and error.is_fault):
                    failed.set()

    # Log lines and spans of a thread name the batch.
    wait([pool.submit(contextvars.copy_context().run, work) for _ in range(min(parallel, len(calls)))])
    if errors:
        raise errors[0]
