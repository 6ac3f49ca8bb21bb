"""The tasks that a verb without a service still has to run, instead of messages to workers."""

from collections.abc import Callable
from threading import Lock

from service.dispatch import Dispatch
from service.prune import deleting, planning
from service.wiring import Wiring

Task = Callable[[Wiring, str], None]


class TaskList(Dispatch):
    """The tasks that this process still has to run, each once."""

    def __init__(self) -> None:
        self._tasks: dict[str, list[Task]] = {}
        self._lock = Lock()

    def enforce(self, repository: str) -> None:
        """Add the task that plans a repository."""
        self._add(planning.enforce, repository)

    def delete(self, repository: str) -> None:
        """Add the task that deletes from a repository."""
        self._add(deleting.delete, repository)

    def repositories(self) -> tuple[str, ...]:
        """Return the repositories with tasks."""
        with self._lock:
            return tuple(repository for repository, tasks in self._tasks.items() if tasks)

    def next(self, repository: str) -> Task | None:
        """Take the next task of a repository off the list; None if there is none."""
        with self._lock:
            tasks = self._tasks.get(repository)
            return tasks.pop(0) if tasks else None

    def _add(self, task: Task, repository: str) -> None:
        with self._lock:
            tasks = self._tasks.setdefault(repository, [])
            if task not in tasks:
                tasks.append(task)
