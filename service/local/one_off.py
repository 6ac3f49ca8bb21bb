"""`--registry URL`: compare, plan and delete in this process, at a registry that no pushprune service watches."""

import io
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import FIRST_EXCEPTION, ThreadPoolExecutor, wait
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from threading import Lock

from service import log
from service.dispatch import Dispatch
from service.domain.errors import LeaseLost, RegistryRefused, RegistryUnavailable
from service.domain.policy.model import Policy
from service.local import processes, redis_server
from service.local.redis_server import RedisServer
from service.local.supervisor import TURN_S, ChildKeepsDying, Supervisor, stopping_on_signals
from service.local.transcript import Transcript
from service.prune import deleting, planning
from service.reconcile import compare
from service.reconcile.pace import Pace
from service.registry import listing
from service.settings import load_settings
from service.usage.repository import RepositoryMeasurement
from service.wiring import Wiring, wire

_READY_S = 60.0
# The deletions are read from the history at the end, so it must not be trimmed.
_EVERYTHING = "100000000"
# Requests per second. The user waits for the comparison, so it is faster than the one beside everyday pushes.
_RATE = "1000"
_REPOSITORIES_AT_ONCE = 4
# Manifests of a repository that are read only for the sizes of its images: parts of indexes.
_MOST_SIZES = 500
# The waits between the attempts if the registry does not answer.
_WAITS_S = (1.0, 2.0, 4.0)
_LONGEST_WAIT_S = 60.0
_POLL_S = 0.05

Task = Callable[[Wiring, str], None]


class TaskList(Dispatch):
    """The tasks that this process still has to run, each once, instead of messages to workers."""

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


@dataclass(frozen=True)
class RepositoryDeletions:
    """The deletions in one repository.

    Attributes:
        tags: tag → the digest that it pointed at.
        digests: the digests of the deleted manifests.
    """

    repository: str
    tags: Mapping[str, str]
    digests: frozenset[str]


class OneOff:
    """Everything that the tasks of a service do, in this process, for a few repositories at a time.

    Without notifications, it knows only the result of comparing with the registry.
    """

    def __init__(self, wiring: Wiring, tasks: TaskList) -> None:
        self.wiring = wiring
        self._tasks = tasks
        self._deletes = False
        self._interrupted = False

    def compare(self, repositories: Sequence[str] = ()) -> int:
        """Compare these repositories, or all, with the registry, and plan each; return the number of their tags.

        Raises:
            RegistryRefused, RegistryUnavailable: a repository could not be compared.
        """
        pace = Pace(self.wiring.settings.reconcile.rate)
        counts, registry = dict.fromkeys(repositories, 0), self.wiring.registry

        def look(repository: str) -> None:
            snapshot = self.wiring.store.history.snapshot(repository)
            try:
                counts[repository] = compare.compare(self.wiring.store, registry, snapshot, pace).tags
            # The catalog contains a name that the API cannot address.
            except ValueError as error:
                raise RegistryRefused(f"{repository}: {error}") from error
            RepositoryMeasurement(self.wiring.store, registry, repository, pace, _MOST_SIZES, frozenset()).measure()
            self._tasks.enforce(repository)

        def look_and_plan(repository: str) -> None:
            self._retry(partial(look, repository))
            self._work_off(repository)

        self._each(look_and_plan, repositories)
        self.rest()
        return sum(counts.values())

    def delete_by(self, policy: Policy) -> None:
        """Delete what the policy does not keep. No plan waits for approval: the user has just confirmed the deletions.

        Raises:
            PushpruneError: the deletions had to stop. Everything done is recorded.
        """
        agreed = {"dry_run": False, "hold_over": 100, "hold_min": 1_000_000_000}
        self.wiring.policies.use(policy.model_copy(update=agreed))
        for repository in self.wiring.store.history.repositories():
            self._tasks.enforce(repository)
        self.finish()

    def finish(self) -> None:
        """Delete what was requested, and what belongs to it.

        Raises:
            PushpruneError: the deletions had to stop. Everything done is recorded.
            KeyboardInterrupt: the user interrupted it. Deletions under way were finished first.
        """
        self._deletes = True
        try:
            self.rest()
        except KeyboardInterrupt:
            self._interrupt()
            # What a deletion removed by accident must be restored, and no tag may be left at a tombstone.
            self.rest()
            raise

    def rest(self) -> None:
        """Plan, delete and heal until nothing is left to do. Raises RegistryRefused if a trouble stops the work."""
        outbox = self.wiring.store.outbox
        while True:
            self._each(self._work_off, self._tasks.repositories())
            stops = (trouble.message for trouble in outbox.troubles() if not _is_remark(trouble.about))
            if message := next(stops, None):
                raise RegistryRefused(message)
            for repository in (*outbox.overdue("due"), *outbox.overdue("healing")):
                self._tasks.enforce(repository)
            for repository in outbox.overdue("doomed"):
                self._tasks.delete(repository)
            if self._tasks.repositories():
                continue
            backlog = outbox.backlog()
            if not (backlog.due or backlog.doomed or outbox.healing()):
                return
            time.sleep(_POLL_S)

    @property
    def remarks(self) -> tuple[str, ...]:
        """A sentence on every deleted image or tag that the registry still serves or lists."""
        return tuple(trouble.message for trouble in self.wiring.store.outbox.troubles() if _is_remark(trouble.about))

    def deletions(self) -> tuple[RepositoryDeletions, ...]:
        """Return the deletions of each repository that has any."""
        results = (self._deletions(repository) for repository in self.wiring.store.history.repositories())
        return tuple(result for result in results if result.tags or result.digests)

    def _deletions(self, repository: str) -> RepositoryDeletions:
        history = self.wiring.store.history
        pruned = [entry for entry in history.entries(repository, None) if entry.action in ("pruned", "still listed")]
        snapshot = history.snapshot(repository)
        standing = {tag.digest for tag in snapshot.tags} | {entry.digest for entry in snapshot.untagged}
        tags = {entry.tag: entry.digest for entry in pruned if entry.tag}
        return RepositoryDeletions(repository, tags, frozenset(self.wiring.store.trash.digests(repository) - standing))

    def _work_off(self, repository: str) -> None:
        """Run the tasks of one repository, until there are none."""
        while task := self._tasks.next(repository):
            self._retry(partial(task, self.wiring, repository))

    def _retry(self, call: Callable[[], None]) -> None:
        """Call again after some time if the registry does not answer. The last failure is raised."""
        for wait_s in _WAITS_S:
            try:
                call()
            # The lease is lost if this process was suspended for a while.
            except (LeaseLost, RegistryUnavailable) as error:
                if self._interrupted:
                    raise
                asked_s = error.retry_after_s if isinstance(error, RegistryUnavailable) else None
                time.sleep(min(max(wait_s, asked_s or 0), _LONGEST_WAIT_S))
            else:
                return
        call()

    def _each(self, call: Callable[[str], None], repositories: Sequence[str]) -> None:
        """Call for each repository, in a few threads. After an error, calls that have not begun are dropped."""
        with ThreadPoolExecutor(_REPOSITORIES_AT_ONCE, thread_name_prefix="repository") as pool:
            try:
                calls = {pool.submit(call, repository) for repository in repositories}
                while calls:
                    # A signal that comes just before the main thread waits does not wake it.
                    done, calls = wait(calls, timeout=TURN_S, return_when=FIRST_EXCEPTION)
                    for ended in done:
                        ended.result()
            except KeyboardInterrupt:
                self._interrupt()
                raise
            finally:
                pool.shutdown(wait=False, cancel_futures=True)

    def _interrupt(self) -> None:
        """Begin no further deletion; while nothing is deleted yet, send no further request."""
        self._interrupted = True
        if not self._deletes:
            self.wiring.registry.client.close()
            return
        for repository in self.wiring.store.history.repositories():
            requests = self.wiring.store.manual.requests(repository)
            open_requests = (name for name, request in requests.items() if not request.rejected)
            self.wiring.store.manual.reject(
                repository, requests, dict.fromkeys(open_requests, "the command was interrupted")
            )
        # An image whose policy is no longer in force is not deleted.
        self.wiring.policies.use((self.wiring.policies.current() or Policy()).model_copy(update={"dry_run": True}))


def _is_remark(about: str) -> bool:
    """True for a trouble that stops nothing."""
    return about == listing.ABOUT or about.startswith(listing.STILL_LISTED)


@contextmanager
def one_off(
    registry: str, policy: Policy, config: Path | None, inherited: Mapping[str, str], trash: Path | None = None
) -> Iterator[OneOff]:
    """Provide a OneOff with a Redis of its own, and the policy as a dry run. Only the trash remains afterwards.

    Args:
        registry: the URL of the registry.
        policy: planned by while repositories are compared.
        config: the settings as YAML, or None.
        inherited: the environment.
        trash: the folder in which every image is saved before its deletion.

    Raises:
        ConfigurationError: a setting is wrong or missing.
        NotReady, ChildKeepsDying: Redis could not be started.
    """
    with tempfile.TemporaryDirectory(prefix="pushprune-") as folder:
        redis = RedisServer(redis_server.find_binary(inherited), Path(folder) / "redis")
        url = redis.prepare()
        environ = {
            **inherited,
            "PUSHPRUNE_REGISTRY__URL": registry,
            "PUSHPRUNE_DATA_DIR": folder,
            "PUSHPRUNE_REDIS__URL": url,
            "PUSHPRUNE_LISTEN": "127.0.0.1:8080",
            # No notification will ever report a push, so the comparison need not wait for late ones.
            "PUSHPRUNE_RECONCILE__LATE": "0s",
            "PUSHPRUNE_HISTORY__REPOSITORY_ENTRIES": _EVERYTHING,
        }
        if trash:
            environ["PUSHPRUNE_HISTORY__TRASH_DIR"] = str(trash)
        if not config:
            environ.setdefault("PUSHPRUNE_RECONCILE__RATE", _RATE)
        tried = policy.model_copy(update={"dry_run": bool(policy.rules)})
        settings = load_settings(config, environ=environ, policy=tried)
        output = io.StringIO()
        supervisor = Supervisor(Transcript(output, speakers=("redis",)))
        with _showing_failure(output), stopping_on_signals(supervisor), supervisor:
            supervisor.start(redis.child(environ))
            processes.until(
                lambda: redis_server.is_up(url),
                "Redis does not answer",
                patience_s=_READY_S,
                meanwhile=supervisor.check,
            )
            tasks = TaskList()
            wiring = replace(wire(settings), dispatch=tasks)
            # The verb prints every error and every trouble itself.
            log.configure(settings.log.format, "critical")
            wiring.registry.client.ping()
            yield OneOff(wiring, tasks)


@contextmanager
def _showing_failure(output: io.StringIO) -> Iterator[None]:
    """Print the output of Redis only if it failed to start, as it explains the failure."""
    try:
        yield
    except (processes.NotReady, ChildKeepsDying):
        sys.stderr.write(output.getvalue())
        raise
