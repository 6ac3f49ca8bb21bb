"""Work through a batch, in parallel or one by one."""

import contextvars
import threading
from collections.abc import Callable, Collection, Iterator
from concurrent.futures import ThreadPoolExecutor, wait
from contextlib import contextmanager
from functools import partial

from service.domain.errors import RegistryUnavailable
from service.domain.retention.plan import Doomed

Work = Callable[[Callable[[Doomed], None], Collection[Doomed]], object]


def one_by_one(call: Callable[[Doomed], None], batch: Collection[Doomed]) -> None:
    """Call a function for one image after the other."""
    for doomed in batch:
        call(doomed)


@contextmanager
def in_parallel(parallel: int) -> Iterator[Work]:
    """Provide a call for each image of a batch, in at most `parallel` threads; it raises the first error at the end.

    An error stops the calls that have not begun, except a fault of a single request. All batches of the `with` block
    share the threads.
    """
    with ThreadPoolExecutor(parallel, thread_name_prefix="delete") as pool:
        yield partial(_in_parallel, pool, parallel)


def _in_parallel(
    pool: ThreadPoolExecutor, parallel: int, call: Callable[[Doomed], None], batch: Collection[Doomed]
) -> None:
    # Nearly every push displaces one image, which the thread of the caller deletes.
    if len(batch) == 1:
        one_by_one(call, batch)
        return
    waiting, lock, failed = iter(batch), threading.Lock(), threading.Event()
    errors: list[BaseException] = []

    def work() -> None:
        while not failed.is_set():
            with lock:
                doomed = next(waiting, None)
            if doomed is None:
                return
            try:
                call(doomed)
            except BaseException as error:  # noqa: BLE001 - it is raised again below
                errors.append(error)
                if not (isinstance(error, RegistryUnavailable) and error.is_fault):
                    failed.set()

    # Log lines and spans of a thread name the batch.
    wait([pool.submit(contextvars.copy_context().run, work) for _ in range(min(parallel, len(batch)))])
    if errors:
        raise errors[0]
