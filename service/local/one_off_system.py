"""The system for one verb at a registry that no pushprune service watches: Redis of its own, and no workers."""

from __future__ import annotations

import io
import sys
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from service.domain.policy.model import Policy
from service.local import processes, redis_server
from service.local.redis_server import RedisServer
from service.local.supervisor import ChildKeepsDying, Supervisor, stopping_on_signals
from service.local.transcript import Transcript
from service.settings import load_settings

if TYPE_CHECKING:
    from service.local.one_off import OneOff

_READY_S = 60.0
# The deletions are read from the history at the end, so it must not be trimmed.
_EVERYTHING = "100000000"
# Requests per second. The user waits for the comparison, so it is faster than the one beside everyday pushes.
_RATE = "1000"
# The settings of the service's Redis, which may be in the same file or environment.
_NO_OTHER_REDIS = {
    "PUSHPRUNE_REDIS__URL_FILE": "",
    "PUSHPRUNE_REDIS__SENTINEL_PASSWORD": "",
    "PUSHPRUNE_REDIS__SENTINEL_PASSWORD_FILE": "null",
    "PUSHPRUNE_REDIS__CA_FILE": "null",
    "PUSHPRUNE_REDIS__CERTIFICATE_FILE": "null",
    "PUSHPRUNE_REDIS__KEY_FILE": "null",
    "PUSHPRUNE_REDIS__REPLICAS": "0",
}


@contextmanager
def one_off_system(
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
            **_NO_OTHER_REDIS,
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
            # Imported while Redis starts.
            from service import log
            from service.local.one_off import OneOff
            from service.local.task_list import TaskList
            from service.wiring import wire

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
