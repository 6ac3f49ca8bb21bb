"""The collection page: the current run, past runs, and requesting a run."""

import gzip
from collections.abc import Sequence
from contextlib import suppress

from flask import Blueprint, Response, request
from werkzeug.exceptions import NotFound

from service.collect import status
from service.collect.garbage import garbage
from service.collect.status import RecordedRun, at_stake, cancel, overview, permanent, request_collection
from service.dispatch import Dispatch
from service.domain.collection.garbage import GarbageStage
from service.domain.collection.output import errors_in
from service.domain.collection.run import CHECKING, SWEEPING, Run
from service.domain.errors import StoreUnavailable
from service.domain.timestamps import rfc3339
from service.registry import Registry
from service.settings import Settings
from service.store import Store
from service.web import charts
from service.web.pages import rendering

NAME = "Collection"

_SHOWN = 50
_BLOBS = 200
_LINES = 200
_BARS = 30
_OPEN_PUSHES = 20


def drawn_runs(runs: Sequence[Run]) -> tuple[Run, ...]:
    """Return the latest runs that made or tried a collection, oldest first; none if there is nothing to compare.

    Args:
        runs: newest first.
    """
    ran = tuple(run for run in runs if run.result in ("done", "failed"))[:_BARS][::-1]
    return ran if len(ran) > 1 and any(run.bytes_freed for run in ran) else ()


def add(pages: Blueprint, store: Store, registry: Registry, settings: Settings, dispatch: Dispatch) -> None:
    gc = settings.gc

    @pages.get("/collection")
    def collection() -> Response:
        can_collect, becomes = registry.collector is not None, ""
        # The page is there without Redis, too; its panels say that it does not answer.
        with suppress(StoreUnavailable):
            becomes = permanent(at_stake(store, gc))
        return rendering.page("collection.html", can_collect=can_collect, becomes=becomes, gate=gc.gate)

    @pages.get("/panels/collection/now")
    def collection_now() -> Response:
        seen, queued = overview(store, registry, settings.gc, runs=1), status.queue(store)
        gate = status.gate_state(store)
        return rendering.panel(
            "collection_now.html",
            "Collection now",
            seen=seen,
            # Without a gate that others obey, only a problem that keeps it closed is of interest.
            gate=gate if gate and (gc.gate != "none" or gate.is_kept) else None,
            unfinished=queued.pushes[:_OPEN_PUSHES] if seen.queued or seen.running else (),
            rehearsal_wanted=queued.rehearsal,
            trashed=seen.permanent,
            permanent=permanent,
            can_cancel=seen.running is None or seen.running.stage not in (SWEEPING, CHECKING),
            kept_s=settings.history.trash,
            can_collect=registry.collector is not None,
            has_worker=queued.has_worker,
        )

    @pages.get("/panels/collection/runs")
    def collection_runs() -> Response:
        runs, totals = status.past(store, _SHOWN)
        drawn = drawn_runs(runs)
        freed = [run.bytes_freed or 0 for run in drawn]
        axis = charts.scale(max(freed, default=0))
        return rendering.panel(
            "collection_runs.html",
            "Past collections",
            runs=runs,
            totals=totals,
            axis=axis,
            bars=tuple(zip(drawn, charts.columns([freed], axis), strict=True)) if drawn else (),
        )

    @pages.get("/collection/run/<int:started_ms>")
    def collection_run(started_ms: int) -> Response:
        return rendering.page("collection_run.html", started_ms=started_ms)

    @pages.get("/panels/collection/run/<int:started_ms>")
    def collection_output(started_ms: int) -> Response:
        recorded = _recorded(store, started_ms)
        lines = recorded.lines()
        return rendering.panel(
            "collection_output.html",
            "A collection",
            run=recorded.run,
            errors=errors_in(lines),
            last=lines[-_LINES:],
            lines=len(lines),
        )

    @pages.get("/collection/run/<int:started_ms>/log")
    def collection_log(started_ms: int) -> Response:
        log = _recorded(store, started_ms).log
        if log is None:
            raise NotFound("the log of this collection is no longer kept: only the logs of the last 20 collections are")
        return _download(log, f"collection-{rfc3339(started_ms * 1000)[:19].replace(':', '')}Z.log")

    @pages.get("/panels/collection/garbage")
    def collection_garbage() -> Response:
        known = garbage(store, gc)
        steps = sorted(known.steps, key=lambda step: step.freed_ms or 0)[-_BARS:] if known else []
        axis = charts.scale(max((step.size_bytes for step in steps), default=0))
        columns = charts.columns([[step.size_bytes for step in steps]], axis) if len(steps) > 1 else ()
        return rendering.panel(
            "collection_garbage.html",
            "Garbage",
            garbage=known,
            steps=steps,
            hidden=len(known.steps) - len(steps) if known else 0,
            axis=axis,
            bars=tuple(zip(steps, columns, strict=True)) if columns else (),
            series={stage: number for number, stage in enumerate(GarbageStage, 1)},
            most=_OPEN_PUSHES,
        )

    @pages.get("/panels/collection/rehearsal")
    def collection_rehearsal() -> Response:
        rehearsal = status.rehearsal(store)
        return rendering.panel("collection_rehearsal.html", "The last dry run", rehearsal=rehearsal, most=_BLOBS)

    @pages.post("/collection")
    def collect() -> Response:
        dry_run = request.form.get("dry_run") == "yes"
        reason = request_collection(store, registry, dispatch, dry_run=dry_run, by=rendering.current_visitor().name)
        if dry_run:
            return rendering.redirect_back(f"A dry run is queued: {reason}")
        becomes = permanent(at_stake(store, gc))
        return rendering.redirect_back(
            f"A collection is queued: {reason}. It is retried until it succeeds; then {becomes}."
        )

    @pages.post("/collection/cancel")
    def cancel_collection() -> Response:
        reason = cancel(store)
        stops = ". The running collection stops before it deletes a blob." if status.is_running(store) else ""
        return rendering.redirect_back(f"Cancelled: {reason}{stops}")


def _recorded(store: Store, started_ms: int) -> RecordedRun:
    recorded = status.recorded(store, started_ms)
    if recorded is None:
        raise NotFound("no collection that started at that time is recorded: open Collection for the recorded ones")
    return recorded


def _download(log: bytes, name: str) -> Response:
    is_compressed = request.accept_encodings["gzip"] > 0
    response = Response(log if is_compressed else gzip.decompress(log), mimetype="text/plain")
    if is_compressed:
        response.headers["Content-Encoding"] = "gzip"
    response.headers["Content-Disposition"] = f'attachment; filename="{name}"'
    return response
