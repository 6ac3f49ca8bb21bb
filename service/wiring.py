"""Construct every collaborator once. Only this module knows all of them; registry_wiring.py helps it."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from dataclasses import dataclass, fields
from functools import cache, partial
from pathlib import Path
from threading import Thread
from typing import Any, TypeVar

import redis

from service import log
from service.dispatch import Dispatch, celery_app
from service.domain.errors import ConfigurationError
from service.registry import Registry
from service.registry.probe import Probe
from service.registry_clients import registry_auth, registry_client
from service.registry_wiring import wire_registry
from service.reports.inventory import Inventory
from service.reports.platforms import Platforms
from service.reports.search import Search
from service.reports.verdicts import Verdicts
from service.restore.from_folder import RestoreFolder
from service.restore.record import RestoreRecord
from service.restore.restore import Restore
from service.restore.trash_folder import TrashFolder
from service.settings import PolicySource, Settings
from service.store import Store
from service.store.connection import PULSE_S, Connection, connect
from service.store.deletions import CollectAfter
from service.store.keys import Keys
from service.store.limits import Limits, PushLimits
from service.store.schema import Schema, SchemaWatch
from service.store.search import Searcher

T = TypeVar("T")


@dataclass(frozen=True)
class Wiring:
    """Every collaborator, constructed but not connected yet."""

    settings: Settings
    policies: PolicySource
    store: Store
    registry: Registry
    verdicts: Verdicts
    inventory: Inventory
    platforms: Platforms
    search: Search
    restore: Restore
    dispatch: Dispatch


def redis_url(settings: Settings) -> str:
    """The URL of Redis. Raises ConfigurationError, with one sentence, if it is not set."""
    if settings.redis.address is None:
        raise ConfigurationError("redis.url is not set: set it to redis://HOST:PORT/0, or use `pushprune up`")
    return settings.redis.address


def wire_service(settings: Settings) -> Wiring:
    """Construct the collaborators of a process of the service. An older store is migrated; then it is watched.

    If Redis is away, the store is checked when it answers.

    Raises:
        ConfigurationError: as `wire`.
        SchemaTooNew: the store was written by a newer pushprune.
    """
    wiring = wire(settings, patient=True, migrates=True)
    watch = SchemaWatch(wiring.store.connection)
    watch.wait()
    Thread(target=watch.run, name="schema", daemon=True).start()
    return wiring


def wire(
    settings: Settings, client: redis.Redis | None = None, *, patient: bool = False, migrates: bool = False
) -> Wiring:
    """Construct the collaborators for these settings.

    Args:
        client: a Redis client, instead of one for `redis.url`.
        patient: if the policy file cannot be read, wait for it and use the last policy until then.
        migrates: an older store is migrated at its first use; else it is refused.

    Raises:
        ConfigurationError: `redis.url` is not set, or the policy cannot be read.
    """
    log.configure(settings.log.format, settings.log.level)
    # The pulse must show within PULSE_S that Redis hangs, so it has a client with a shorter timeout.
    hasty = client or connect(redis_url(settings), answer_s=PULSE_S)
    connection = Connection(
        client or connect(redis_url(settings)),
        Keys(settings.redis.prefix),
        hasty,
        settings.redis.replicas,
        Schema(migrates=migrates),
    )
    bounds = settings.history
    limits = Limits(
        repository_entries=bounds.repository_entries,
        events=bounds.events,
        pulls=bounds.pulls,
        rejected=bounds.rejected,
        repository_layers=bounds.repository_layers,
        unseen_repositories=bounds.unseen_repositories,
    )
    gc = settings.gc
    can_collect = gc.command or gc.collector == "online"
    store = Store(
        connection,
        limits=limits,
        pushes=PushLimits(gc.youth * 1000),
        # After a worker is killed, the registry may still be working on its DELETE for this long.
        look_again_ms=round(settings.registry.delete_timeout_s * 1000) + 5000,
        late_s=settings.reconcile.late,
        trash_s=bounds.trash,
        save_also=TrashFolder(bounds.trash_dir.absolute()).save if bounds.trash_dir else lambda *_: None,
        collect_after=CollectAfter(gc.after_deletes or 0, gc.after_bytes or 0) if can_collect else CollectAfter(),
        runs=bounds.runs,
        has_gate_processes=gc.gate == "proxy",
        changes_per_minute=settings.api.changes_per_minute,
    )
    registry = wire_registry(settings, partial(store.meter.time, "registry_request"), store.history.word)
    policies = PolicySource(settings, patient=patient, remembered=store.policy_changes.last)
    verdicts = Verdicts(store.history, store.facts, policies, store.approvals)
    return Wiring(
        settings=settings,
        policies=policies,
        store=store,
        registry=registry,
        verdicts=verdicts,
        inventory=Inventory(
            store.history, store.facts, store.catalog, store.archive, verdicts, store.approvals, store.usage
        ),
        platforms=Platforms(registry.optional_client, settings.delete.parallel),
        search=Search(store.history, Searcher(connection)),
        restore=Restore(store, registry),
        dispatch=Dispatch(partial(celery_app, redis_url(settings), settings.redis.prefix)),
    )


def given(wiring: Wiring, function: Callable[..., T], *arguments: Any, **named: Any) -> T:
    """Call a function with these arguments, and with the collaborators that its parameters name."""
    collaborators = {"wiring": wiring} | {member.name: getattr(wiring, member.name) for member in fields(Wiring)}
    wanted = _parameters(function) & collaborators.keys()
    return function(*arguments, **{name: collaborators[name] for name in wanted}, **named)


# Reading a signature takes a fifth of the time in which an application is built.
@cache
def _parameters(function: Callable[..., Any]) -> frozenset[str]:
    return frozenset(inspect.signature(function).parameters)


def probe(wiring: Wiring, name: str) -> Probe | None:
    """The registry client of the doctor; None if `registry.url` is not set. name: of this run of the doctor."""
    settings, registry = wiring.settings, wiring.settings.registry
    if registry.url is None:
        return None
    auth = registry_auth(settings, registry.url)
    return Probe(
        registry.url, name, auth=auth, ca_file=registry.ca_file,
        # The repository of the probe has no tags that would make a deletion slow.
        timeout_s=registry.timeout_s, delete_timeout_s=registry.timeout_s,
        word=wiring.store.history.word,
    )  # fmt: skip


def restore_folder(settings: Settings, folder: Path, *, force: bool, recorded_by: str = "") -> RestoreFolder:
    """The object that restores images from a folder. Raises ConfigurationError if `registry.url` is not set.

    Args:
        settings: of the registry; with `recorded_by` also of the Redis of the service that watches the registry.
        force: also restore a tag that points at another image by now.
        recorded_by: the user, for the history of the service; "": nothing is recorded.
    """
    if recorded_by:
        wiring = wire(settings, patient=True)
        record = RestoreRecord(wiring.store, recorded_by)
        return RestoreFolder(TrashFolder(folder), wiring.registry.client, force=force, record=record)
    registry = registry_client(settings)
    if registry is None:
        raise ConfigurationError("--from needs a registry: add --registry URL, or set registry.url")
    return RestoreFolder(TrashFolder(folder), registry, force=force)
