"""Reconcile runs: compare every repository with the history, in slices of time, one run at a time."""

import time
from collections.abc import Iterator
from itertools import islice

from service.domain.errors import PushpruneError, RegistryRefused, RegistryUnavailable
from service.domain.history import reconciliation
from service.domain.oci.names import is_repository
from service.domain.policy.units import spell_count
from service.log import log
from service.reconcile import compare
from service.reconcile.pace import Pace
from service.registry import Registry
from service.registry.client import CATALOG_PAGE
from service.settings import Settings
from service.store import Store
from service.store.lease import Lease
from service.wiring import Wiring

SLICE_S = 2.0
_ABOUT = "reconcile"
_CATALOG_TRIES = 5
_NO_CATALOG = "the registry does not list its repositories ({}), so only those that are known were compared"
_EMPTY = (
    "the registry lists no repository at all, and {} with tags are known, so nothing was compared: check "
    "registry.url and the registry's storage; if all tags were really deleted, name a repository: "
    "`pushprune reconcile REPO`"
)


def continue_run(wiring: Wiring) -> None:
    """Continue the reconcile run under way, or begin the requested one, and work for a slice of time.

    Finished comparisons are kept: if a worker is killed, only the repository it was comparing is compared again. Errors
    of the registry are kept in the record of the run.

    Raises:
        StoreUnavailable: Redis does not answer.
        LeaseLost: another worker may continue the run.
    """
    with wiring.store.leases.hold("reconcile") as lease:
        if lease is None or not wiring.registry.is_configured:
            return
        run = wiring.store.reconcile_runs.begin()
        if run is None:
            return
        listed = run.listed or _list(wiring.store, wiring.registry, run, lease)
        _compare_for(wiring.store, wiring.registry, wiring.settings, run, lease, only_named=not listed)
        if listed and wiring.store.reconcile_runs.end():
            _report(wiring.store, wiring.registry)
            return
    if wiring.store.reconcile_runs.claim_next():
        wiring.dispatch.reconcile()


def _list(store: Store, registry: Registry, run: reconciliation.ReconcileRun, lease: Lease) -> bool:
    """Continue to read the catalog where the last attempt ended; return True if the run can continue."""
    runs, seen = store.reconcile_runs, bool(run.cursor)
    others = (*store.history.repositories(), *registry.named, *_in_bucket(registry))
    try:
        for page in _pages(registry.client.repositories(run.cursor)):
            lease.check()
            runs.note_page(page, page[-1])
            seen = True
    except RegistryRefused as error:
        runs.note_all_pages(others, _NO_CATALOG.format(error))
        return True
    except RegistryUnavailable as error:
        failures = runs.note_catalog_failure(str(error), error.retry_after_s)
        if failures < _CATALOG_TRIES or not _answers(registry):
            # Each outage is logged once. The record of the run shows the further attempts.
            if failures == 1:
                log.warning("the catalog was not read to its end; reading continues later", error=str(error))
            return False
        runs.note_all_pages(others, _NO_CATALOG.format(error))
        return True
    known = 0 if seen else runs.count_with_tags(store.history.repositories())
    if known:
        runs.end(now=True)
        store.outbox.note_trouble(_ABOUT, _EMPTY.format(known))
        log.error("nothing was compared", error=_EMPTY.format(known))
        return False
    runs.note_all_pages(others)
    return True


def _in_bucket(registry: Registry) -> tuple[str, ...]:
    """The repositories in the registry's bucket: Distribution 3 leaves some out of the catalog (upstream 4903)."""
    if registry.storage is None or registry.storage.is_on_disk:
        return ()
    try:
        return tuple(name for name in registry.storage.repositories() if is_repository(name))
    except (RegistryUnavailable, RegistryRefused) as error:
        log.warning("the bucket was not listed", error=str(error))
        return ()


def _answers(registry: Registry) -> bool:
    """Return True if the registry answers, so that only the catalog fails.

    The catalog of a large registry on an object store may take minutes.
    """
    try:
        registry.client.ping()
    except (RegistryUnavailable, RegistryRefused):
        return False
    return True


def _pages(names: Iterator[str]) -> Iterator[tuple[str, ...]]:
    while page := tuple(islice(names, CATALOG_PAGE)):
        yield page


def _compare_for(
    store: Store,
    registry: Registry,
    settings: Settings,
    run: reconciliation.ReconcileRun,
    lease: Lease,
    *,
    only_named: bool,
) -> None:
    """Compare repositories until the slice of time is over.

    Args:
        only_named: compare only repositories that were requested by name, for which the catalog is not needed. All
            others would be listed again once the catalog is read.
    """
    pace, end = Pace(settings.reconcile.rate), time.monotonic() + SLICE_S
    while time.monotonic() < end and (repository := store.reconcile_runs.next_repository(asked=only_named)):
        lease.check()
        try:
            _compare(store, registry, run, repository, pace)
        except RegistryUnavailable as error:
            store.reconcile_runs.failed(repository, f"{repository}: {error}", for_good=False)
            log.warning("a repository is compared later", repository=repository, error=str(error))
            return
        except (RegistryRefused, ValueError) as error:
            store.reconcile_runs.failed(repository, f"{repository}: {error}", for_good=True)
            log.error("a repository was not compared", repository=repository, error=str(error))
        except PushpruneError:
            raise
        except Exception as error:  # noqa: BLE001 - a fault in pushprune must neither be hidden nor stop the whole run
            log.exception("a fault in pushprune", repository=repository)
            message = f"{repository}: this is a fault in pushprune: {error!r}: report it with the log of the worker"
            store.reconcile_runs.failed(repository, message, for_good=True)


def _compare(store: Store, registry: Registry, run: reconciliation.ReconcileRun, repository: str, pace: Pace) -> None:
    """Compare one repository. No lease is needed: a plan made meanwhile from an old snapshot does not commit."""
    snapshot = store.history.snapshot(repository)
    if snapshot.compared and run.reason in reconciliation.AT_A_START:
        store.reconcile_runs.compared(repository, len(snapshot.tags), 0)
        return
    _finish_deletion(store, registry, repository)
    done = compare.compare(store, registry, snapshot, pace, trusts_listing=not run.whole)
    store.reconcile_runs.compared(repository, done.tags, done.differed)


def _finish_deletion(store: Store, registry: Registry, repository: str) -> None:
    """Finish the deletion that a killed worker left unfinished in the storage.

    If nothing more is deleted in this repository, no other step would finish it.
    """
    if not registry.deletion.is_unsettled(repository):
        return
    with store.leases.write() as permit:
        if permit is None:
            return
        try:
            registry.deletion.settle(repository)
        except RegistryRefused as error:
            log.warning("a deletion in the storage is unfinished", repository=repository, error=str(error))


def _report(store: Store, registry: Registry) -> None:
    last = store.reconcile_runs.last()
    if last is None:
        return
    log.info("the history was compared with the registry", reason=last.reason, repositories=last.repositories,
             tags=last.tags, changed=last.changed, failed=last.failed)  # fmt: skip
    if last.failed:
        message = f"{spell_count(last.failed, 'repository')} could not be compared, the last: {last.message}"
        store.outbox.note_trouble(_ABOUT, message)
    elif last.catalog and last.whole and not registry.named:
        store.outbox.note_trouble(_ABOUT, f"{last.catalog}: {reconciliation.NAME_THEM}")
    elif last.whole:
        store.outbox.end_trouble(_ABOUT)
