"""`--registry URL`: compare, plan and delete in this process, at a registry that no pushprune service watches."""

import time
from collections.abc import Callable, Sequence
from concurrent.futures import FIRST_EXCEPTION, ThreadPoolExecutor, wait
from functools import partial
from threading import Lock

from service.domain.errors import LeaseLost, RegistryRefused, RegistryUnavailable
from service.domain.policy.model import Policy
from service.domain.retention.preview import Preview
from service.local.progress import CountedPace, WorkDone
from service.local.supervisor import TURN_S
from service.local.task_list import TaskList
from service.prune import deleting
from service.reconcile import compare
from service.registry import listing
from service.usage.repository import RepositoryMeasurement
from service.wiring import Wiring

# While one repository is planned and deleted from, the next ones are read.
_REPOSITORIES_AT_ONCE = 4
# Manifests of a repository that are read only for the sizes of its images: parts of indexes.
_MOST_SIZES = 500
# The waits between the attempts if the registry does not answer.
_WAITS_S = (1.0, 2.0, 4.0)
_LONGEST_WAIT_S = 60.0
_POLL_S = 0.05


class OneOff:
    """The tasks of a service, done in this process for a few repositories at a time.

    Without notifications, it knows only the result of comparing with the registry.

    Attributes:
        report: called with the progress, a few times a second.
    """

    def __init__(self, wiring: Wiring, tasks: TaskList) -> None:
        self.wiring = wiring
        self.report: Callable[[WorkDone], object] | None = None
        self._tasks = tasks
        self._pace = self._paced(())
        self._deletes = False
        self._interrupted = False
        self._by: Policy | None = None
        self._previews: dict[str, Preview] = {}
        self._doomed: dict[str, int] = {}
        self._lock = Lock()

    def compare(self, repositories: Sequence[str]) -> int:
        """Compare these repositories with the registry, and plan each; return the number of their tags.

        Raises:
            RegistryRefused, RegistryUnavailable: a repository could not be compared.
        """
        self._pace = self._paced(repositories)
        self._each(self._compare_and_work, repositories)
        self.rest()
        names = self.wiring.store.history.tag_names
        return sum(len(names(repository)) for repository in repositories)

    def prune(self, repositories: Sequence[str], policy: Policy) -> None:
        """Compare each of these repositories, and delete from it at once what the policy does not keep.

        The comparison is then so young that it need not be repeated before the plan commits. `previews` has the plans.

        Raises:
            PushpruneError: the deletions had to stop. Everything done is recorded.
            KeyboardInterrupt: as `finish`.
        """
        self._pace = self._paced(repositories)
        self._by = policy
        self._put_in_force(policy)
        self.finish(partial(self._each, self._compare_and_work, repositories))

    def previews(self, repositories: Sequence[str]) -> tuple[Preview, ...]:
        """Return the plans of these repositories: of `prune`, as they were made before the first deletion."""
        verdicts = self.wiring.verdicts
        return tuple(
            self._previews.get(repository) or verdicts.preview([repository], self._by)[0] for repository in repositories
        )

    def delete_by(self, policy: Policy) -> None:
        """Delete what the policy does not keep. No plan waits for approval: the user has just confirmed the deletions.

        Raises:
            PushpruneError: the deletions had to stop. Everything done is recorded.
        """
        self._put_in_force(policy)
        for repository in self.wiring.store.history.repositories():
            self._tasks.enforce(repository)
        self.finish()

    def finish(self, begin: Callable[[], object] = lambda: None) -> None:
        """Delete what was requested, and what belongs to it.

        Args:
            begin: the work that comes first.

        Raises:
            PushpruneError: the deletions had to stop. Everything done is recorded.
            KeyboardInterrupt: the user interrupted it. Deletions under way were finished first.
        """
        self._deletes = True
        try:
            begin()
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

    def _put_in_force(self, policy: Policy) -> None:
        agreed = {"dry_run": False, "hold_over": 100, "hold_min": 1_000_000_000}
        self.wiring.policies.use(policy.model_copy(update=agreed))

    def _paced(self, repositories: Sequence[str]) -> CountedPace:
        rate = self.wiring.settings.reconcile.rate
        return CountedPace(rate, len(repositories), lambda: self._interrupted)

    def _compare_and_work(self, repository: str) -> None:
        self._retry(partial(self._compare, repository))
        self._work_off(repository)

    def _compare(self, repository: str) -> None:
        store, registry = self.wiring.store, self.wiring.registry
        try:
            compare.compare(store, registry, store.history.snapshot(repository), self._pace)
        # The catalog contains a name that the API cannot address.
        except ValueError as error:
            raise RegistryRefused(f"{repository}: {error}") from error
        RepositoryMeasurement(store, registry, repository, self._pace, _MOST_SIZES, frozenset()).measure()
        self._tasks.enforce(repository)

    def _work_off(self, repository: str) -> None:
        """Run the tasks of one repository, until there are none."""
        while task := self._tasks.next(repository):
            if task is deleting.delete and repository not in self._doomed:
                self._note_plan(repository)
            self._retry(partial(task, self.wiring, repository))

    def _note_plan(self, repository: str) -> None:
        """Note what is about to be deleted, for the user."""
        count = self.wiring.store.history.count_doomed([repository])
        preview = self.wiring.verdicts.preview([repository], self._by)[0] if self._by else None
        with self._lock:
            self._doomed[repository] = count
            if preview:
                self._previews[repository] = preview

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
                    if self.report:
                        self.report(self._progress())
            except KeyboardInterrupt:
                self._interrupt()
                raise
            finally:
                pool.shutdown(wait=False, cancel_futures=True)

    def _progress(self) -> WorkDone:
        with self._lock:
            doomed = dict(self._doomed)
        left = self.wiring.store.history.count_doomed(tuple(doomed))
        planned = sum(doomed.values())
        return WorkDone(self._pace.taken, self._pace.expected, max(planned - left, 0), planned)

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
