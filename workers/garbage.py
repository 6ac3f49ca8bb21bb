"""Collect: never two at once, never beside a delete of ours, and only when the dry run marks everything kept."""

import time
from dataclasses import replace

from service.domain.collection import Run
from service.domain.errors import CollectionFailed, LeaseLost
from service.log import log
from service.registry.collector import Collector, Finished
from service.store.collections import now_ms
from service.store.lease import COLLECT, COLLECT_MS, Lease
from service.wiring import Wiring

_POLL_S = 0.1
_BUSY_S = 5.0
_FAILED_S = 300.0


def collect(wiring: Wiring) -> None:
    """Makes the wanted collection, if one is wanted, and records how it went."""
    reason = wiring.garbage.wanted()
    if reason is None:
        return
    if wiring.collector is None:
        wiring.outbox.complain(
            "garbage", "a collection is wanted, but gc.command is not set: set it, or collect by hand"
        )
        wiring.garbage.put_off(_FAILED_S)
        return
    with wiring.leases.hold(COLLECT, COLLECT_MS) as lease:
        if lease is None:
            wiring.garbage.put_off(_BUSY_S)
            return
        run = _run(wiring, wiring.collector, lease, reason)
    wiring.garbage.record(run)
    log.info(
        "collection", **{name: getattr(run, name) for name in ("result", "reason", "blobs", "bytes_freed", "message")}
    )


def _run(wiring: Wiring, collector: Collector, lease: Lease, reason: str) -> Run:
    run = Run(now_ms(), 0, "done", reason)
    try:
        if not _drained(wiring, lease):
            wiring.garbage.put_off(_BUSY_S)
            return replace(run, ended_ms=now_ms(), result="put off", message="deletes did not end within gc.max_wait")
        run = _collect(wiring, collector, lease, run)
    except (CollectionFailed, LeaseLost) as error:
        wiring.garbage.put_off(_FAILED_S if isinstance(error, CollectionFailed) else _BUSY_S)
        wiring.outbox.complain("garbage", str(error))
        return replace(run, ended_ms=now_ms(), result="failed", message=str(error))
    wiring.outbox.mended("garbage")
    return replace(run, ended_ms=now_ms())


def _collect(wiring: Wiring, collector: Collector, lease: Lease, run: Run) -> Run:
    """A dry run first: the sweep comes only after every kept manifest was seen marked."""
    deletes = wiring.garbage.began()
    rehearsal = _succeeded(collector.run(lambda: lease.valid, dry=True))
    _refuse_unless_all_marked(wiring, rehearsal)
    storage = collector.storage
    sizes = {digest: storage.blob_size(digest) or 0 for digest in rehearsal.report.eligible} if storage else {}
    lease.check()
    finished = _succeeded(collector.run(lambda: lease.valid, dry=False))
    freed = sum(size for digest, size in sizes.items() if storage and storage.blob_size(digest) is None)
    wiring.trash.drop_before(run.started_ms * 1000)
    wiring.garbage.collected(deletes)
    report = finished.report
    return replace(
        run, exit_code=finished.exit_code, marked=report.marked, blobs=report.blobs, manifests=report.manifests,
        bytes_freed=freed if storage else None,
    )  # fmt: skip


def _drained(wiring: Wiring, lease: Lease) -> bool:
    """Waits until no delete of ours is under way: none can begin any more while the lease is held."""
    end = time.monotonic() + wiring.settings.gc.max_wait
    while wiring.leases.writers():
        lease.check()
        if time.monotonic() > end:
            return False
        time.sleep(_POLL_S)
    return True


def _succeeded(finished: Finished) -> Finished:
    if not finished.succeeded:
        last = " / ".join(finished.report.tail[-3:])
        raise CollectionFailed(f"gc.command ended with exit code {finished.exit_code}: {last[:500]}")
    return finished


def _refuse_unless_all_marked(wiring: Wiring, rehearsal: Finished) -> None:
    """Raises CollectionFailed when a manifest that a live tag needs would be swept (FACTS: exit 0 proves nothing)."""
    marks = rehearsal.report.marks
    for repository in wiring.history.repositories():
        for tag in wiring.history.live(repository):
            if (repository, tag.digest) in marks:
                continue
            if wiring.registry and wiring.registry.head(repository, tag.name) is not None:
                where = f"{repository}:{tag.name} ({tag.digest})"
                raise CollectionFailed(f"garbage-collect did not mark {where}, which stands; nothing was swept")
