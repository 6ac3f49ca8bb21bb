"""Work through a batch, in parallel or one by one."""

import contextvars
import threading
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor

from service.domain.errors import RegistryUnavailable
from service.domain.retention.plan import Doomed


def one_by_one(call: Callable[[Doomed], None], batch: Iterable[Doomed]) -> None:
    """Call a function for one image after the other."""
    for doomed in batch:
        call(doomed)


def in_parallel(parallel: int, call: Callable[[Doomed], None], batch: Iterable[Doomed]) -> None:
    """Call for each of the batch in at most `parallel` threads; raise the first error at the end.

    An error stops the calls that have not begun, except a fault of a single request.
    """
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

    with ThreadPoolExecutor(parallel, thread_name_prefix="delete") as pool:
        for _ in range(parallel):
            # Log lines and spans of a thread name the batch.
            pool.submit(contextvars.copy_context().run, work)
    if errors:
        raise errors[0]
