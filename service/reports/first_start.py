"""The first steps of a new installation, and which of them are done."""

from dataclasses import dataclass

from service.store import Store

# The counters of events that a registry sent, whatever they were about.
_SENT = frozenset({"push", "pull", "mount", "delete", "blob", "own", "duplicate", "rejected"})


@dataclass(frozen=True, slots=True)
class FirstStart:
    """The steps of the first start that are done.

    Attributes:
        is_notified: a registry has sent at least one event, so its config.yml names pushprune and it was restarted.
        has_push: a user has pushed an image.
    """

    is_notified: bool
    has_push: bool


def first_start(store: Store) -> FirstStart:
    """Return the steps that are done. Raises StoreUnavailable if Redis is unavailable."""
    counters = store.stats.read().counters
    return FirstStart(is_notified=any(counters.get(name) for name in _SENT), has_push=bool(counters.get("push")))
