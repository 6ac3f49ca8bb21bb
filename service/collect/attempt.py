"""One attempt at a collection: its state, the output of its collectors, and its record at the end."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from service.clock import now_ms
from service.collect.progress import Progress
from service.collect.watch import Postponed
from service.domain.collection.output import Output
from service.domain.collection.run import BlobProbe, Run, Sweep
from service.log import log
from service.registry import Registry
from service.registry.collector import Collector
from service.registry.collector_report import names_blob
from service.settings.gc import GcSettings
from service.store import Store
from service.store.lease import Lease


@dataclass
class Attempt:
    """One attempt at a collection, under its lease.

    Attributes:
        run: the record of the attempt, as far as it is known.
        covered: the number of deletions that this collection covers, and their bytes.
        output: the output of its collectors.
    """

    store: Store
    registry: Registry
    gc: GcSettings
    collector: Collector
    lease: Lease
    progress: Progress
    run: Run
    covered: tuple[int, int] = (0, 0)
    output: Output = field(default_factory=Output)

    def __post_init__(self) -> None:
        self.collector = self.collector.with_listener(self._hear)

    def _hear(self, line: str) -> None:
        """Keep a line of the collector's output. The registry prints a line before it deletes a blob."""
        self.output.add(line)
        if names_blob(line):
            self.progress.advance(1)

    def record(self, *, once: bool = False, wait_s: float = 0) -> None:
        """Record the end of the attempt, and log it.

        Args:
            once: count the run instead of recording it again, if the last run ended in the same way.
            wait_s: seconds until the collection is tried again.
        """
        self.learn(ended_ms=now_ms())
        # The same result again is only counted: its log line and its output would push out those of other runs.
        if self.store.collection_runs.record(self.run, once=once, wait_s=wait_s):
            log_run(self.run)
            self.store.collection_runs.keep_log(self.run.started_ms, self.output.finish())

    def begin_sweep(self, since_ms: int, probes: tuple[BlobProbe, ...] = ()) -> None:
        """Record the sweep before it begins, so that another run makes its checks if this process dies.

        Raises:
            Postponed: a user cancelled the collection. From here on, no user can.
        """
        self.lease.check()
        if not self.store.collections.begin_check(Sweep(since_ms, probes)):
            raise Postponed("it was cancelled before anything was deleted")

    def end_sweep(self, checked: int, broken: Sequence[str]) -> None:
        """Record that the images pushed meanwhile were checked. If one is broken, the run has failed and names it."""
        self.learn(checked=checked)
        if broken:
            names = ", ".join(broken)
            message = f"these images were pushed meanwhile and are broken: {names}; push them again"
            self.learn(result="failed", message=message)
        self.store.collections.end_check()
        self.store.collections.collected(self.run.reason, self.covered)

    def learn(self, **more: Any) -> None:
        """Set fields of the record of this run."""
        self.run = replace(self.run, **more)

    def note(self, sentence: str) -> None:
        """Add a sentence to the remarks of this run."""
        self.learn(note=f"{self.run.note}; {sentence}" if self.run.note else sentence)

    @property
    def heals(self) -> tuple[str, Sequence[str] | None]:
        """The setting, and its command, that restarts the registry without allowing pushes."""
        # Under gc.gate: readonly, gc.after would make the registry accept writes again; gc.before does not.
        return ("gc.before", self.gc.before) if self.gc.gate == "readonly" else ("gc.after", self.gc.after)


def log_run(run: Run) -> None:
    """Log the result of a run."""
    write = log.error if run.result == "failed" else log.info
    fields = {
        "because": run.reason, "blobs": run.blobs, "bytes_freed": run.bytes_freed, "message": run.message,
        "deletions_final": run.final, "note": run.note,
    }  # fmt: skip
    write(f"collection {run.result}", **{name: value for name, value in fields.items() if value not in (None, "")})
