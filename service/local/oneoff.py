"""A whole system for one command: a Redis of its own, one worker, and a comparison with the registry."""

import io
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from service.domain.errors import RegistryRefused
from service.domain.policy.model import Policy
from service.domain.reconciliation import ReconcileResult
from service.health import REGISTRY
from service.local import processes, redis_server
from service.local.redis_server import RedisServer
from service.local.supervisor import ChildKeepsDying, Supervisor, stopping_on_signals
from service.local.tokens import private
from service.local.transcript import Transcript
from service.local.up import Options
from service.reconcile.status import ask
from service.registry import listing
from service.settings import load_settings
from service.wiring import Wiring, wire

_READY_S = 60.0
_FAR_S = 86_400.0
# The deletions are read from the history at the end: it must not be trimmed.
_EVERYTHING = "100000000"
# Requests per second. The user waits for the comparison, so it is faster than the one beside everyday pushes.
_RATE = "1000"


@dataclass(frozen=True)
class Deletions:
    """The deletions in one repository.

    Attributes:
        tags: tag → the digest that it pointed at.
        digests: the digests of the deleted manifests.
    """

    repository: str
    tags: Mapping[str, str]
    digests: frozenset[str]


@dataclass(frozen=True)
class OneOff:
    """The running system. It receives no notifications: it knows only the result of comparing with the registry."""

    wiring: Wiring
    _supervisor: Supervisor
    _policy_file: Path

    def obey(self, policy: Policy, *, dry_run: bool) -> None:
        """Put a policy in force. No plan waits for approval: the user has just confirmed the deletions."""
        agreed = policy.model_copy(update={"dry_run": dry_run, "hold_over": 100, "hold_min": 1_000_000_000})
        fresh = self._policy_file.with_suffix(".new")
        private(fresh, agreed.model_dump_json(exclude_none=True))
        fresh.replace(self._policy_file)
        processes.until(self._reads(agreed), "the policy is not read", patience_s=_READY_S)

    def _reads(self, policy: Policy) -> processes.Condition:
        return lambda: self.wiring.policies.current() == policy

    def compare(self, repositories: Sequence[str] = ()) -> ReconcileResult:
        """Compare these repositories, or all, with the registry. Raises RegistryRefused if one failed."""
        walks = self.wiring.walks
        ask(self.wiring, repositories)
        self._until(lambda: not (walks.requested() or walks.current()), "the registry was not compared")
        last = walks.last()
        if last is None or last.failed:
            raise RegistryRefused(last.message if last else "nothing could be compared")
        return last

    @property
    def remarks(self) -> tuple[str, ...]:
        """A sentence on every deleted image or tag that the registry still serves or lists."""
        return tuple(trouble.message for trouble in self.wiring.outbox.troubles() if _is_remark(trouble.about))

    def rest(self) -> None:
        """Wait until nothing is left to plan, delete or heal. Raises RegistryRefused if a trouble stops the work."""
        outbox, policies = self.wiring.outbox, self.wiring.policies

        def rests() -> bool:
            policies.current()
            if outbox.policy_changed(policies.digest, policies.written):
                # The worker has not read the new policy yet: an empty backlog proves nothing.
                return False
            # A registry that did not answer for a moment is retried. A long failure is a trouble of the work itself.
            stops = (
                candidate
                for candidate in outbox.troubles()
                if candidate.about != REGISTRY and not _is_remark(candidate.about)
            )
            if trouble := next(stops, None):
                raise RegistryRefused(trouble.message)
            backlog = outbox.backlog()
            return not (backlog.due or backlog.doomed or outbox.healing())

        self._until(rests, "it does not come to rest")

    def deletions(self) -> tuple["Deletions", ...]:
        """Return the deletions of each repository that has any."""
        results = (self._deletions(repository) for repository in self.wiring.history.repositories())
        return tuple(result for result in results if result.tags or result.digests)

    def _deletions(self, repository: str) -> "Deletions":
        wiring = self.wiring
        pruned = [
            entry for entry in wiring.history.entries(repository, None) if entry.action in ("pruned", "still listed")
        ]
        snapshot = wiring.history.snapshot(repository)
        standing = {tag.digest for tag in snapshot.tags} | {entry.digest for entry in snapshot.untagged}
        tags = {entry.tag: entry.digest for entry in pruned if entry.tag}
        return Deletions(repository, tags, frozenset(wiring.trash.digests(repository) - standing))

    def _until(self, condition: processes.Condition, failure: str) -> None:
        processes.until(condition, failure, patience_s=_FAR_S, meanwhile=self._supervisor.check)


def _is_remark(about: str) -> bool:
    """True for a trouble that stops nothing."""
    return about == listing.ABOUT or about.startswith(listing.STILL_LISTED)


@contextmanager
def one_off(
    registry: str, policy: Policy, config: Path | None, inherited: Mapping[str, str], trash: Path | None = None
) -> Iterator[OneOff]:
    """Run a system while the block lasts, with the policy as a dry run. Only the trash remains afterwards.

    Args:
        trash: the folder in which every image is saved before its deletion.

    Raises:
        ConfigurationError: a setting is wrong or missing.
        NotReady: a process did not answer in time.
        ChildKeepsDying: a process ended again and again.
    """
    with tempfile.TemporaryDirectory(prefix="pushprune-") as name:
        folder = Path(name)
        redis = RedisServer(redis_server.find_binary(inherited), folder / "redis")
        url = redis.prepare()
        file = folder / "policy.yaml"
        tried = policy.model_copy(update={"dry_run": bool(policy.rules)})
        private(file, tried.model_dump_json(exclude_none=True))
        environ = Options(registry=registry, data=folder, config=config).environ(inherited) | {
            "PUSHPRUNE_REDIS__URL": url,
            "PUSHPRUNE_POLICY": str(file),
            "PUSHPRUNE_LISTEN": "127.0.0.1:8080",
            "PUSHPRUNE_LOG__LEVEL": "error",
            # No notification will ever report a push, so the comparison need not wait for late ones.
            "PUSHPRUNE_RECONCILE__LATE": "0s",
            "PUSHPRUNE_HISTORY__REPOSITORY_ENTRIES": _EVERYTHING,
        }
        if trash:
            environ["PUSHPRUNE_HISTORY__TRASH_DIR"] = str(trash)
        if not config:
            environ.setdefault("PUSHPRUNE_RECONCILE__RATE", _RATE)
        settings = load_settings(environ=environ)
        output = io.StringIO()
        supervisor = Supervisor(Transcript(output, speakers=("redis", "worker")))
        with _showing_failure(output), stopping_on_signals(supervisor), supervisor:
            supervisor.start(redis.child(environ))
            processes.until(
                lambda: redis_server.is_up(url),
                "Redis does not answer",
                patience_s=_READY_S,
                meanwhile=supervisor.check,
            )
            wiring = wire(settings)
            wiring.client.ping()
            wiring.walks.skip()
            supervisor.start(processes.worker(environ, queues="enforce,delete,reconcile"))
            processes.until(
                lambda: wiring.outbox.workers() > 0, "no worker", patience_s=_READY_S, meanwhile=supervisor.check
            )
            yield OneOff(wiring, supervisor, file)


@contextmanager
def _showing_failure(output: io.StringIO) -> Iterator[None]:
    """Print the output of the processes only if they failed to start, as it explains the failure."""
    try:
        yield
    except (processes.NotReady, ChildKeepsDying):
        sys.stderr.write(output.getvalue())
        raise
