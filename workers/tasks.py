"""Every task on one screen: a name, a retry rule, one call. The retry rule is the outbox's back-off."""

from collections.abc import Callable
from contextlib import suppress

from celery import Celery

from service.collect import run
from service.dispatch import COLLECT, DELETE, ENFORCE, RECONCILE
from service.domain.errors import (
    LeaseLost,
    PushpruneError,
    RegistryRefused,
    RegistryUnavailable,
    StoreDamaged,
    StoreUnavailable,
    TrashUnwritable,
)
from service.log import log
from service.prune import deleting, planning
from service.reconcile.run import continue_run
from service.store import Store
from service.store.outbox import Queue
from service.wiring import Wiring

_FAULT_S = 300.0


def register(app: Celery, wiring: Wiring) -> None:
    """Add the tasks to a Celery application."""

    @app.task(name=ENFORCE)
    def enforce(repository: str) -> None:
        attempt(wiring, "due", repository, planning.enforce)

    @app.task(name=DELETE)
    def delete(repository: str) -> None:
        attempt(wiring, "doomed", repository, deleting.delete)

    @app.task(name=COLLECT)
    def collect() -> None:
        attempt_collection(wiring)

    @app.task(name=RECONCILE)
    def reconcile() -> None:
        attempt_reconcile(wiring)


def attempt(wiring: Wiring, queue: Queue, repository: str, work: Callable[[Wiring, str], None]) -> None:
    """Do one piece of work. After a failure, the work remains in the outbox and is retried after a wait."""
    try:
        work(wiring, repository)
    except (RegistryUnavailable, RegistryRefused, TrashUnwritable, StoreDamaged) as error:
        _back_off(wiring.store, queue, repository, error)
    except LeaseLost as error:
        log.info("the work was interrupted; it continues later", repository=repository, reason=str(error))
    except StoreUnavailable as error:
        log.warning("Redis does not answer; the work is tried again", repository=repository, error=str(error))
    except Exception as error:  # noqa: BLE001 - a fault in pushprune must neither flood the registry nor be hidden
        log.exception("a fault in pushprune", repository=repository)
        _back_off(wiring.store, queue, repository, RegistryRefused(f"this is a fault in pushprune: {error!r}"))


def attempt_collection(wiring: Wiring) -> None:
    """Run the requested collection. After a failure, it remains requested."""
    try:
        run.collect(wiring)
    except PushpruneError as error:
        log.warning("the collection is tried again", error=str(error))
    except Exception as error:  # noqa: BLE001 - a fault in pushprune must neither be repeated without pause nor be hidden
        log.exception("a fault in pushprune")
        message = f"the collection failed by a fault in pushprune: {error!r}: report it with the log of the worker"
        with suppress(StoreUnavailable):
            wiring.store.outbox.note_trouble("garbage", message)
            wiring.store.collections.postpone(_FAULT_S)


def attempt_reconcile(wiring: Wiring) -> None:
    """Continue the reconcile run under way. After a failure, the sweep sends it again."""
    try:
        continue_run(wiring)
    except PushpruneError as error:
        log.warning("the comparison with the registry is continued later", error=str(error))


def _back_off(
    store: Store,
    queue: Queue,
    repository: str,
    error: RegistryUnavailable | RegistryRefused | TrashUnwritable | StoreDamaged,
) -> None:
    asked_s = error.retry_after_s if isinstance(error, RegistryUnavailable) else None
    try:
        store.meter.count("failures", queue)
        wait_s = store.outbox.postpone(queue, repository, asked_s)
        must_act = not isinstance(error, RegistryUnavailable)
        # The first retries come within a second: a failure that they end is no trouble for the operator.
        if must_act or wait_s > 1:
            store.outbox.note_trouble(f"{queue} {repository}", str(error))
    except StoreUnavailable as unavailable:
        log.warning("Redis does not answer; the work is tried again", repository=repository, error=str(unavailable))
        return
    report = log.error if must_act else log.warning
    report("the work failed; it is tried again", repository=repository, error=str(error), again_in_s=wait_s)
