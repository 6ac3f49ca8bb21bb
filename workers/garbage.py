"""Collect: never two at once, never beside a delete of ours, and only when the dry run marks everything kept."""

import threading
from dataclasses import replace
from types import TracebackType
from typing import Self

from service.domain.collection import Run
from service.domain.errors import CollectionFailed, LeaseLost, PushpruneError, StoreUnavailable
from service.log import log
from service.registry.collector import Collector, Finished
from service.store.collections import now_ms
from service.store.lease import COLLECT, COLLECT_MS, Lease
from service.wiring import Wiring
from workers.drain import PutOff, Quiet, drained

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
    say = log.error if run.result == "failed" else log.info
    said = {"because": run.reason, "blobs": run.blobs, "bytes_freed": run.bytes_freed, "message": run.message}
    say(f"collection {run.result}", **{name: value for name, value in said.items() if value not in (None, "")})


def _run(wiring: Wiring, collector: Collector, lease: Lease, reason: str) -> Run:
    run = Run(now_ms(), 0, "done", reason)
    try:
        with drained(wiring, collector, lease, reason) as quiet:
            run = _collect(wiring, collector, lease, run, quiet)
    except PutOff as why:
        wiring.garbage.put_off(why.wait_s)
        return replace(run, ended_ms=now_ms(), result="put off", message=str(why))
    except StoreUnavailable:
        raise
    except PushpruneError as error:
        wiring.garbage.put_off(_BUSY_S if isinstance(error, LeaseLost) else _FAILED_S)
        wiring.outbox.complain("garbage", str(error))
        return replace(run, ended_ms=now_ms(), result="failed", message=str(error))
    wiring.outbox.mended("garbage")
    return replace(run, ended_ms=now_ms())


def _collect(wiring: Wiring, collector: Collector, lease: Lease, run: Run, quiet: Quiet) -> Run:
    """A dry run first: the sweep comes only after every kept manifest was seen marked.

    What is deleted can no longer be undone from the moment the sweep may begin.
    """
    deletes = wiring.garbage.began()
    storage = collector.storage
    with _Watch(wiring, lease) as watch:
        rehearsal = _succeeded(watch.run(collector, dry=True))
        _refuse_unless_all_marked(wiring, rehearsal)
        quiet.refuse_loose(rehearsal.report.eligible)
        sizes = {digest: storage.blob_size(digest) or 0 for digest in rehearsal.report.eligible} if storage else {}
        lease.check()
        wiring.trash.collected()
        finished = _succeeded(watch.run(collector, dry=False))
    freed = sum(size for digest, size in sizes.items() if storage and storage.blob_size(digest) is None)
    wiring.garbage.collected(run.reason, deletes)
    report = finished.report
    return replace(
        run, exit_code=finished.exit_code, marked=report.marked, blobs=report.blobs, manifests=report.manifests,
        bytes_freed=freed if storage else None, message=quiet.unprotected,
    )  # fmt: skip


class _Watch:
    """Stops the collector when the lease is lost, or when somebody pushes: a push and a collection do not go together.

    This narrows the window in which a push can be broken, and does not close it: that takes a gate before the registry.
    Redis is asked in a thread of its own, so that one that hangs cannot keep the collector from being stopped.
    """

    def __init__(self, wiring: Wiring, lease: Lease) -> None:
        self._outbox = wiring.outbox
        self._lease = lease
        self._pushes = wiring.outbox.pushes()
        self._pushed = threading.Event()
        self._over = threading.Event()

    def __enter__(self) -> Self:
        threading.Thread(target=self._listen, name="pushes", daemon=True).start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._over.set()

    def run(self, collector: Collector, *, dry: bool) -> Finished:
        """Runs the collector. Raises PutOff when a push was heard."""
        try:
            return collector.run(lambda: self._lease.valid and not self._pushed.is_set(), dry=dry)
        except CollectionFailed as error:
            if self._pushed.is_set():
                raise PutOff("somebody pushed; it is tried again in a quieter moment") from error
            raise

    def _listen(self) -> None:
        while not self._over.wait(_POLL_S):
            try:
                if self._outbox.pushes() != self._pushes:
                    self._pushed.set()
            except StoreUnavailable:
                continue  # the lease ends by itself then


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
