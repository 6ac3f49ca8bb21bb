"""Keep the registry read-only while its garbage is collected (`gc.gate: readonly`)."""

from collections.abc import Iterator
from contextlib import contextmanager

from service.collect.attempt import Attempt
from service.collect.restarting import restart
from service.domain.errors import CollectionFailed, StaleCache, StaysReadOnly

READ_ONLY = "read-only"
# The repository of the probe while no repository is known; the registry accepts no push of the probe.
_ANY = "pushprune-probe"


@contextmanager
def closed(attempt: Attempt) -> Iterator[None]:
    """Make the registry read-only while the block runs, and writable afterwards; both are verified.

    Raises:
        CollectionFailed: the registry cannot be made read-only.
        StaysReadOnly: the registry does not accept writes again.
    """
    # Recorded before the restart, so that another run makes the registry writable again if this process dies.
    attempt.store.collections.note_read_only()
    try:
        _close(attempt)
        yield
    except StaleCache:
        # The registry stays read-only: a client that pushes now would be misled by the stale cache.
        raise
    except BaseException:
        open_again(attempt)
        raise
    open_again(attempt)


def open_again(attempt: Attempt) -> None:
    """Restart the registry without read-only mode.

    Raises:
        StaysReadOnly: the registry does not accept writes. This is reported as a trouble.
    """
    try:
        _open(attempt)
    except CollectionFailed as error:
        message = f"the registry was made read-only for a collection and still is: {error}; start it without read-only"
        attempt.store.outbox.note_trouble(READ_ONLY, message)
        raise StaysReadOnly(message) from error
    attempt.store.collections.note_writable()
    attempt.store.outbox.end_trouble(READ_ONLY)


def _close(attempt: Attempt) -> None:
    before = attempt.gc.before or ()
    # The registry may be read-only already: an interrupted run, or one that found a stale cache, left it so.
    if _takes_writes(attempt) and not restart(
        attempt.progress, "gc.before", before, lambda: not _takes_writes(attempt)
    ):
        raise CollectionFailed(
            "gc.before ended, but the registry still accepts writes: the command must restart the registry read-only"
        )


def _open(attempt: Attempt) -> None:
    after = attempt.gc.after
    if not after:
        raise CollectionFailed("gc.after is not set: set it to the command that restarts the registry as it was")
    if not restart(attempt.progress, "gc.after", after, lambda: _takes_writes(attempt)):
        raise CollectionFailed("gc.after ended, but the registry does not accept writes")


def _takes_writes(attempt: Attempt) -> bool:
    return attempt.registry.client.takes_writes(next(iter(attempt.store.history.repositories()), _ANY))
