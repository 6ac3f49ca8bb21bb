"""The threads of a deletion, played in one thread: in the middle of a DELETE, the next image is deleted."""

from collections.abc import Collection, Iterator
from contextlib import contextmanager

from service.domain.errors import RegistryUnavailable
from service.domain.oci.tombstone import TOMBSTONES
from service.prune.parallel import Call, Work


class PlayedThreads:
    """The calls of one batch, of which some are made in the middle of others."""

    def __init__(self) -> None:
        self._begin(())

    @contextmanager
    def in_parallel(self, _: int) -> Iterator[Work]:
        """Stand in for `parallel.in_parallel`."""
        yield self._work

    def meet(self) -> None:
        """Make the next call in the middle of a request of another call."""
        # In steps of one image, a call with the tombstone of an unfinished call would wait for that call for ever.
        if self._unfinished and self._begun - min(self._unfinished) < len(TOMBSTONES):
            self._make_next()

    def _begin(self, calls: Collection[Call]) -> None:
        self._calls, self._begun = list(calls), 0
        self._unfinished: set[int] = set()
        self._errors: list[BaseException] = []
        self._is_failed = False

    def _work(self, calls: Collection[Call]) -> None:
        self._begin(calls)
        while self._begun < len(self._calls) and not self._is_failed:
            self._make_next()
        if self._errors:
            raise self._errors[0]

    def _make_next(self) -> None:
        if self._begun == len(self._calls) or self._is_failed:
            return
        number = self._begun
        self._begun += 1
        self._unfinished.add(number)
        try:
            self._calls[number]()
        except BaseException as error:  # noqa: BLE001 - it is raised at the end of the batch
            self._errors.append(error)
            self._is_failed = not (isinstance(error, RegistryUnavailable) and error.is_fault)
        finally:
            self._unfinished.discard(number)
