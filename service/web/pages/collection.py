"""The collection page: the current run, past runs, and requesting a run."""

import time

from flask import Blueprint, Response, request
from werkzeug.exceptions import NotFound

from service.collect.status import ask, cancel, overview, permanent
from service.web.pages import rendering
from service.wiring import Wiring

NAME = "Collection"

_SHOWN = 50
_KEPT = 1000
_BLOBS = 200
_OPEN_PUSHES = 20


def add(pages: Blueprint, wiring: Wiring) -> None:
    gc = wiring.settings.gc

    @pages.get("/collection")
    def collection() -> Response:
        return rendering.page("collection.html", can_collect=wiring.collector is not None, gate=gc.gate)

    @pages.get("/panels/collection/now")
    def collection_now() -> Response:
        seen, standing = overview(wiring, runs=1), wiring.gate.state()
        return rendering.panel(
            "collection_now.html",
            "Collection now",
            seen=seen,
            standing=standing,
            unfinished=wiring.gate.unfinished()[:_OPEN_PUSHES] if seen.wanted or seen.under else (),
            rehearsal_wanted=wiring.garbage.rehearsal_requested(),
            trashed=seen.permanent,
            permanent=permanent,
            kept_s=wiring.settings.history.trash,
            can_collect=wiring.collector is not None,
            has_worker=wiring.outbox.workers() > 0,
            now_ms=time.time_ns() // 1_000_000,
        )

    @pages.get("/panels/collection/runs")
    def collection_runs() -> Response:
        runs, totals = wiring.garbage.runs(_SHOWN), wiring.garbage.totals()
        return rendering.panel("collection_runs.html", "Collections that ran", runs=runs, totals=totals)

    @pages.get("/collection/run/<int:started_ms>")
    def collection_run(started_ms: int) -> Response:
        return rendering.page("collection_run.html", started_ms=started_ms)

    @pages.get("/panels/collection/run/<int:started_ms>")
    def collection_output(started_ms: int) -> Response:
        runs = wiring.garbage.runs(_KEPT)
        run = next((run for run in runs if run.started_ms == started_ms), None)
        if run is None:
            raise NotFound("no run that began then is recorded any more")
        values = {"run": run, "output": wiring.garbage.output(started_ms)}
        return rendering.panel("collection_output.html", "A collection", **values)

    @pages.get("/panels/collection/rehearsal")
    def collection_rehearsal() -> Response:
        rehearsal = wiring.garbage.rehearsal()
        return rendering.panel("collection_rehearsal.html", "The last dry run", rehearsal=rehearsal, most=_BLOBS)

    @pages.post("/collection")
    def collect() -> Response:
        dry_run = request.form.get("dry_run") == "yes"
        reason = ask(wiring, dry_run=dry_run, by=rendering.current_visitor().name)
        if dry_run:
            return rendering.redirect_back(f"A dry run is queued: {reason}")
        becomes = permanent(wiring.figures.trashed())
        return rendering.redirect_back(
            f"A collection is queued: {reason}. It is tried until it is made, and {becomes} with it."
        )

    @pages.post("/collection/cancel")
    def cancel_collection() -> Response:
        return rendering.redirect_back(f"Cancelled: {cancel(wiring)}")
