"""Check that garbage is collected, and the result of the last collection."""

import shutil
from collections.abc import Iterator

from service.doctor.case import Case
from service.domain.collection.run import Run
from service.domain.finding import Finding, error, fine, warning

_NAME = "garbage"
_COMMAND = 'gc: {command: "registry garbage-collect /etc/docker/registry/config.yml", schedule: "0 3 * * *"}'
_MANY = 100_000


def check(case: Case) -> Iterator[Finding]:
    """Check that garbage collections run, and free space."""
    gc, last = case.wiring.settings.gc, _last(case)
    if gc.collector == "online":
        yield from _online(last)
    elif gc.command is None:
        yield warning(
            _NAME, "gc.command is not set: deletions free no space until you run garbage collection yourself", _COMMAND
        )
    else:
        yield from _command(gc.command[0], last)
        if gc.gate == "proxy" and case.wiring.registry.objects is not None:
            yield fine(_NAME, "gc: {collector: online} is possible: clients could push while blobs are deleted")
    is_collected = gc.command is not None or gc.collector == "online"
    if is_collected and not (gc.schedule or gc.after_deletes or gc.after_bytes):
        yield warning(_NAME, "collections start only by `pushprune gc --now`", 'gc: {schedule: "0 3 * * *"}')
    yield from _trash(case)


def _last(case: Case) -> Run | None:
    runs = case.wiring.store.collection_runs.latest(1)
    return runs[0] if runs else None


def _command(binary: str, last: Run | None) -> Iterator[Finding]:
    """Check the command of the collector.

    The worker that collects may run on another machine. Its last successful run proves that the command exists there.
    """
    is_here = shutil.which(binary) is not None
    if last is not None and last.result == "failed":
        yield error(_NAME, f"the last collection failed: {last.message}", "pushprune gc --now   # once that is fixed")
    elif is_here:
        yield fine(_NAME, "the command exists" + (f"; the last collection: {last.result}" if last else ""))
    elif last is not None:
        yield fine(_NAME, f"the command is not on this machine; the worker has it: the last collection: {last.result}")
    else:
        sentence = f"{binary} is not on this machine, and no collection has run yet"
        yield error(
            _NAME, sentence, f"which {binary}   # where the worker of the queue garbage runs; correct gc.command"
        )


def _online(last: Run | None) -> Iterator[Finding]:
    if last is not None and last.result == "failed":
        yield error(_NAME, f"the last collection failed: {last.message}", "pushprune gc --now   # once that is fixed")
    else:
        yield fine(_NAME, "online collections" + (f"; the last one: {last.result}" if last else ""))


def _trash(case: Case) -> Iterator[Finding]:
    kept = case.wiring.store.stats.trashed()
    if kept > _MANY:
        sentence = (
            f"{kept} deleted manifests are kept in Redis to be restorable: until a collection, or for history.trash"
        )
        yield warning(_NAME, sentence, "history: {trash: 7d}")
