"""The progress of a verb without a service, counted while it works."""

from collections.abc import Callable
from dataclasses import dataclass
from threading import Lock

from service.domain.errors import RegistryUnavailable
from service.reconcile.pace import Pace


@dataclass(frozen=True, slots=True)
class WorkDone:
    """The work done so far.

    Attributes:
        looked: the requests of the comparison that were made.
        to_look: all requests of the comparison, as far as it is known; what was not listed yet is estimated.
        deleted: the images deleted.
        to_delete: the images planned to be deleted until now, those deleted included.
    """

    looked: int
    to_look: int
    deleted: int
    to_delete: int


class CountedPace(Pace):
    """The pace of the comparisons, which counts their requests, and stops them if the user interrupts the verb."""

    def __init__(self, per_second: float, repositories: int, is_interrupted: Callable[[], bool]) -> None:
        super().__init__(per_second)
        self._repositories, self._is_interrupted = repositories, is_interrupted
        self._counted = Lock()
        self._listed = self._expected = self.taken = 0

    def take(self) -> None:
        """Wait until the next request may be sent. Raises RegistryUnavailable after an interruption."""
        if self._is_interrupted():
            raise RegistryUnavailable("the command was interrupted")
        super().take()
        with self._counted:
            self.taken += 1

    def expect(self, requests: int) -> None:
        """Note the number of tags of one more repository."""
        with self._counted:
            self._listed += 1
            self._expected += 1 + requests

    @property
    def expected(self) -> int:
        """All requests, if the repositories that are not listed yet have as many tags as the others."""
        with self._counted:
            mean = self._expected / self._listed if self._listed else 1
            return max(self.taken, round(mean * max(self._repositories, self._listed)))
