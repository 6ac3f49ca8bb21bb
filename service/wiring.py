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
from service.domain.retention.plan import Doomed
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
from service.store.approvals import Approvals
from service.store.archive import Archive
from service.store.backup import Backup
from service.store.capabilities import Capabilities
from service.store.catalog import Catalog
from service.store.change_limit import ChangeLimit
from service.store.claims import Claims
from service.store.collection_runs import CollectionRuns
from service.store.collections import Collections
from service.store.connection import PULSE_S, Connection, connect
from service.store.deletions import CollectAfter, Deletions
from service.store.doctor_probes import DoctorProbes
from service.store.doctor_reports import DoctorReports
from service.store.ended_sessions import EndedSessions
from service.store.event_counts import EventCounts
from service.store.facts import RegistryFacts
from service.store.garbage import GarbageRecord
from service.store.gate import Gate
from service.store.history import History
from service.store.keys import Keys
from service.store.lease import Leases
from service.store.limits import Limits, PushLimits
from service.store.manual import ManualDeletions
from service.store.meter import Meter
from service.store.outbox import Outbox
from service.store.policy_changes import PolicyChanges
from service.store.protections import Protections
from service.store.reconcile_runs import ReconcileRuns
from service.store.restorations import Restorations
from service.store.schema import Schema, SchemaWatch
from service.store.search import Searcher
from service.store.sign_in_links import SignInLinks
from service.store.stats import Stats
from service.store.trash import Trash
from service.store.unfinished_pushes import UnfinishedPushes
from service.store.usage import UsageRecords
from service.store.webhooks import Webhooks

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
    # After a worker is killed, the registry may still be working on its DELETE for this long.
    look_again_ms = round(settings.registry.delete_timeout_s * 1000) + 5000
    pushes = PushLimits(settings.gc.youth * 1000)
    history = History(connection, limits, look_again_ms, pushes, settings.reconcile.late)
    facts = RegistryFacts(connection, limits)
    outbox = Outbox(connection)
    policy_changes = PolicyChanges(connection, outbox)
    trash = Trash(connection, settings.history.trash, look_again_ms, *_also_saved(settings))
    gc = settings.gc
    collect_after = (
        CollectAfter(gc.after_deletes or 0, gc.after_bytes or 0)
        if gc.command or gc.collector == "online"
        else CollectAfter()
    )
    removals = Deletions(connection, limits, settings.history.trash, collect_after)
    restorations = Restorations(connection, limits, look_again_ms)
    meter = Meter(connection)
    registry = wire_registry(settings, partial(meter.time, "registry_request"), history.word)
    policies = PolicySource(settings, patient=patient, remembered=policy_changes.last)
    archive, approvals = Archive(connection, limits), Approvals(connection, limits)
    verdicts = Verdicts(history, facts, policies, approvals)
    store = Store(
        connection=connection,
        history=history,
        facts=facts,
        deletions=removals,
        trash=trash,
        restorations=restorations,
        manual=ManualDeletions(connection),
        approvals=approvals,
        outbox=outbox,
        policy_changes=policy_changes,
        leases=Leases(connection),
        collections=Collections(connection),
        collection_runs=CollectionRuns(connection, settings.history.runs),
        garbage=GarbageRecord(connection),
        reconcile_runs=ReconcileRuns(connection),
        gate=Gate(connection, pushes, has_processes=gc.gate == "proxy"),
        pushes=UnfinishedPushes(connection, pushes),
        claims=Claims(connection, pushes.youth_ms),
        capabilities=Capabilities(connection),
        catalog=Catalog(connection),
        archive=archive,
        backup=Backup(connection),
        stats=Stats(connection),
        meter=meter,
        event_counts=EventCounts(connection),
        doctor_reports=DoctorReports(connection),
        doctor_probes=DoctorProbes(connection),
        change_limit=ChangeLimit(connection, settings.api.changes_per_minute),
        ended_sessions=EndedSessions(connection),
        usage=UsageRecords(connection),
        sign_in_links=SignInLinks(connection),
        protections=Protections(connection),
        webhooks=Webhooks(connection),
    )
    return Wiring(
        settings=settings,
        policies=policies,
        store=store,
        registry=registry,
        verdicts=verdicts,
        inventory=Inventory(history, facts, store.catalog, archive, verdicts, approvals, store.usage),
        platforms=Platforms(registry.optional_client, settings.delete.parallel),
        search=Search(history, Searcher(connection)),
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
        timeout_s=registry.timeout_s, delete_timeout_s=registry.delete_timeout_s,
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


def _also_saved(settings: Settings) -> tuple[Callable[[str, Doomed, tuple[str, bytes] | None], None], ...]:
    folder = settings.history.trash_dir
    return (TrashFolder(folder.absolute()).save,) if folder else ()
