"""The threads that answer requests: a pool, or one thread that serves all waiting requests together."""

from collections import deque
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from waitress.task import ThreadedTaskDispatcher, WSGITask

from service.log import log

if TYPE_CHECKING:
    from service.web.server import DeadlineChannel

# The threads of each pool.
THREADS = 8
# Requests that are recorded together, at most.
GATHERED = 64


class ReceivedTask(WSGITask):
    """A request whose environment may have been made before."""

    def get_environment(self) -> dict[str, Any]:
        """Return the environment of the request, the same each time."""
        request = self.request
        if not hasattr(request, "environ"):
            request.environ = super().get_environment()
        environ: dict[str, Any] = request.environ
        return environ


class GatheringPool(ThreadedTaskDispatcher):
    """One thread that hands all waiting requests to `receive` together, and then answers each.

    Args:
        receive: takes the WSGI environments of the requests.
    """

    def __init__(self, receive: Callable[[Sequence[dict[str, Any]]], None]) -> None:
        super().__init__()
        self._receive = receive
        self._gathered: deque[DeadlineChannel] = deque()
        self.set_thread_count(1)

    def add_task(self, task: "DeadlineChannel") -> None:
        """Queue a request."""
        self._gathered.append(task)
        super().add_task(self)

    def service(self) -> None:
        """Serve what has gathered; nothing if an earlier call has served it already."""
        channels = [self._gathered.popleft() for _ in range(min(len(self._gathered), GATHERED))]
        sound = [channel for channel in channels if not channel.requests[0].error]
        if not channels:
            return
        try:
            self._receive([ReceivedTask(channel, channel.requests[0]).get_environment() for channel in sound])
        except Exception as error:  # noqa: BLE001  then each request is answered by itself
            log.error("a batch of notifications failed; each is recorded alone", error=repr(error), exc_info=error)
        for channel in channels:
            channel.service()

    def cancel(self) -> None:
        """Drop what has gathered."""
        while self._gathered:
            self._gathered.popleft().cancel()


def thread_pool(threads: int) -> ThreadedTaskDispatcher:
    """A pool of threads that answer requests."""
    made = ThreadedTaskDispatcher()
    made.set_thread_count(threads)
    return made
