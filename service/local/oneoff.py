"""A whole system for one command: its own Redis in memory, one worker, and a registry it has just compared."""

import io
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from service.domain.errors import RegistryRefused
from service.domain.policy.model import Policy
from service.domain.reconciliation import Walked
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
_EVERYTHING = "100000000"  # what was deleted is read from the history at the end
_RATE = "1000"  # a look by hand at a registry that nobody watches: quicker than beside everyday pushes


@dataclass(frozen=True)
class Deletions:
    """What was deleted in one repository.

    Attributes:
        tags: tag → the digest that it pointed at.
        digests: of the manifests that were deleted.
    """

    repository: str
    tags: Mapping[str, str]
    digests: frozenset[str]


@dataclass(frozen=True)
class OneOff:
    """The running system. It hears no notifications: what it knows of the registry is what it found there."""

    wiring: Wiring
    _supervisor: Supervisor
    _policy_file: Path

    def obey(self, policy: Policy, *, dry_run: bool) -> None:
        """Puts a policy in force. Whoever runs this has seen what goes: no plan waits for approval."""
        agreed = policy.model_copy(update={"dry_run": dry_run, "hold_over": 100, "hold_min": 1_000_000_000})
        fresh = self._policy_file.with_suffix(".new")
        private(fresh, agreed.model_dump_json(exclude_none=True))
        fresh.replace(self._policy_file)
        processes.until(self._reads(agreed), "the policy is not read", patience_s=_READY_S)

    def _reads(self, policy: Policy) -> processes.Condition:
        return lambda: self.wiring.policies.current() == policy

    def compare(self, repositories: Sequence[str] = ()) -> Walked:
        """Compares these repositories, or all, with the registry. Raises RegistryRefused where one could not be."""
        walks = self.wiring.walks
        ask(self.wiring, repositories)
        self._until(lambda: not (walks.wanted() or walks.under_way()), "the registry was not compared")
        last = walks.last()
        if last is None or last.failed:
            raise RegistryRefused(last.message if last else "nothing could be compared")
        return last

    @property
    def remarks(self) -> tuple[str, ...]:
        """What the registry kept of what was deleted, a sentence each: images, or tags that it still lists."""
        return tuple(one.message for one in self.wiring.outbox.troubles() if _is_remark(one.about))

    def rest(self) -> None:
        """Returns when nothing is left to plan, to delete or to heal. Raises RegistryRefused for what stops it."""
        outbox, policies = self.wiring.outbox, self.wiring.policies

        def rests() -> bool:
            policies.current()
            if outbox.policy_changed(policies.digest, policies.written):
                return False  # the worker has not read it yet
            # A registry that did not answer for a moment is asked again; one that stays away stops the work itself.
            stops = (one for one in outbox.troubles() if one.about != REGISTRY and not _is_remark(one.about))
            if trouble := next(stops, None):
                raise RegistryRefused(trouble.message)
            backlog = outbox.backlog()
            return not (backlog.due or backlog.doomed or outbox.healing())

        self._until(rests, "it does not come to rest")

    def deletions(self) -> tuple["Deletions", ...]:
        """What was deleted, by repository, as far as anything was."""
        found = (self._deletions(repository) for repository in self.wiring.history.repositories())
        return tuple(one for one in found if one.tags or one.digests)

    def _deletions(self, repository: str) -> "Deletions":
        wiring = self.wiring
        pruned = [one for one in wiring.history.entries(repository, None) if one.action in ("pruned", "still listed")]
        snapshot = wiring.history.snapshot(repository)
        standing = {tag.digest for tag in snapshot.tags} | {one.digest for one in snapshot.untagged}
        tags = {one.tag: one.digest for one in pruned if one.tag}
        return Deletions(repository, tags, frozenset(wiring.trash.digests(repository) - standing))

    def _until(self, condition: processes.Condition, what: str) -> None:
        processes.until(condition, what, patience_s=_FAR_S, meanwhile=self._supervisor.check)


def _is_remark(about: str) -> bool:
    """True for a trouble that stops nothing."""
    return about == listing.ABOUT or about.startswith(listing.STILL_LISTED)


@contextmanager
def one_off(
    registry: str, policy: Policy, config: Path | None, inherited: Mapping[str, str], trash: Path | None = None
) -> Iterator[OneOff]:
    """Starts it for as long as the block lasts, with the policy as a dry run; only the trash is left afterwards.

    trash: the folder in which everything is saved before it is deleted.

    Raises ConfigurationError, NotReady or ChildKeepsDying with one sentence when it cannot.
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
            "PUSHPRUNE_RECONCILE__LATE": "0s",  # nobody will tell of a push
            "PUSHPRUNE_HISTORY__REPOSITORY_ENTRIES": _EVERYTHING,
        }
        if trash:
            environ["PUSHPRUNE_HISTORY__TRASH_DIR"] = str(trash)
        if not config:
            environ.setdefault("PUSHPRUNE_RECONCILE__RATE", _RATE)
        settings = load_settings(environ=environ)
        said = io.StringIO()
        supervisor = Supervisor(Transcript(said, speakers=("redis", "worker")))
        with _telling(said), stopping_on_signals(supervisor), supervisor:
            supervisor.start(redis.child(environ))
            processes.until(
                lambda: redis_server.is_up(url),
                "Redis does not answer",
                patience_s=_READY_S,
                meanwhile=supervisor.check,
            )
            wiring = wire(settings)
            wiring.client.ping()
            wiring.walks.begin_nothing()
            supervisor.start(processes.worker(environ, queues="enforce,delete,reconcile"))
            processes.until(
                lambda: wiring.outbox.workers() > 0, "no worker", patience_s=_READY_S, meanwhile=supervisor.check
            )
            yield OneOff(wiring, supervisor, file)


@contextmanager
def _telling(said: io.StringIO) -> Iterator[None]:
    """What the processes said is shown only where it explains that they did not come up."""
    try:
        yield
    except (processes.NotReady, ChildKeepsDying):
        sys.stderr.write(said.getvalue())
        raise
