"""The limits of the history."""

from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Limits:
    """The maximum numbers of entries in the history; see `history` in the settings."""

    repository_entries: int = 1000
    events: int = 100_000
    pulls: int = 100_000
    rejected: int = 1000
    repository_layers: int = 1000
    unseen_repositories: int = 1000
    unseen_tags: int = 1000

    @property
    def of_history(self) -> dict[str, Any]:
        """Return the arguments of a script that adds an entry to the history."""
        return {"history_entries": self.repository_entries, "event_entries": self.events}


@dataclass(frozen=True, slots=True)
class PushLimits:
    """The limits of what is remembered about pushes: for how long (ms), how many pushes, how many blobs."""

    youth_ms: int = 3_600_000
    pushes: int = 10_000
    blobs: int = 100_000
