"""One attempt at a collection: what is known of it so far, what its collectors print, and its record at the end."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from service.collect.progress import Progress
from service.domain.collection.output import Output
from service.domain.collection.run import Run
from service.log import log
from service.registry.collector import Collector
from service.store.collections import now_ms
from service.store.lease import Lease
from service.wiring import Wiring


@dataclass
class Job:
    """One attempt, under its lease. run: what is known of it so far; covered: the deletions that it takes up.

    output: what its collectors printed.
    """

    wiring: Wiring
    collector: Collector
    lease: Lease
    progress: Progress
    run: Run
    covered: tuple[int, int] = (0, 0)
    output: Output = field(default_factory=Output)

    def __post_init__(self) -> None:
        self.collector = self.collector.heard_by(self.output.add)

    def record(self, *, once: bool = False, wait_s: float = 0) -> None:
        """Its end: noted, told, and what was printed kept, unless it is only counted."""
        self.learn(ended_ms=now_ms())
        if self.wiring.garbage.record(self.run, once=once, wait_s=wait_s):
            tell(self.run)
            self.wiring.garbage.keep_output(self.run.started_ms, self.output.text)

    def learn(self, **more: Any) -> None:
        """More is known of the run."""
        self.run = replace(self.run, **more)

    def note(self, sentence: str) -> None:
        self.learn(note=f"{self.run.note}; {sentence}" if self.run.note else sentence)

    @property
    def heals(self) -> tuple[str, Sequence[str] | None]:
        """What restarts the registry without letting anybody push: the name of the setting, and the command."""
        gc = self.wiring.settings.gc
        return ("gc.before", gc.before) if gc.gate == "readonly" else ("gc.after", gc.after)


def tell(run: Run) -> None:
    """Says in the log how it went."""
    say = log.error if run.result == "failed" else log.info
    said = {
        "because": run.reason, "blobs": run.blobs, "bytes_freed": run.bytes_freed, "message": run.message,
        "deletions_final": run.final, "note": run.note,
    }  # fmt: skip
    say(f"collection {run.result}", **{name: value for name, value in said.items() if value not in (None, "")})
