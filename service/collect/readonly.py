"""Keep the registry read-only while its garbage is collected (`gc.gate: readonly`)."""

from collections.abc import Iterator
from contextlib import contextmanager

from service.collect.progress import Progress
from service.collect.restarting import restart
from service.domain.errors import CollectionFailed, StaleCache, StaysReadOnly
from service.registry import Registry
from service.settings import Settings
from service.store import Store

READ_ONLY = "read-only"
# The repository of the probe while no repository is known; the registry accepts no push of the probe.
_ANY = "pushprune-probe"


@contextmanager
def closed(store: Store, registry: Registry, settings: Settings, progress: Progress) -> Iterator[None]:
    """Make the registry read-only while the block runs, and writable afterwards; both are verified.

    Raises:
        CollectionFailed: the registry cannot be made read-only.
        StaysReadOnly: the registry does not accept writes again.
    """
    # Recorded before the restart, so that another run makes the registry writable again if this process dies.
    store.collections.note_read_only()
    try:
        _close(store, registry, settings, progress)
        yield
    except StaleCache:
        # The registry stays read-only: a client that pushes now would believe the stale cache.
        raise
    except BaseException:
        open_again(store, registry, settings, progress)
        raise
    open_again(store, registry, settings, progress)


def open_again(store: Store, registry: Registry, settings: Settings, progress: Progress) -> None:
    """Restart the registry without read-only mode.

    Raises:
        StaysReadOnly: the registry does not accept writes. This is reported as a trouble.
    """
    try:
        _open(store, registry, settings, progress)
    except CollectionFailed as error:
        message = f"the registry was made read-only for a collection and still is: {error}; start it without read-only"
        store.outbox.note_trouble(READ_ONLY, message)
        raise StaysReadOnly(message) from error
    store.collections.note_writable()
    store.outbox.end_trouble(READ_ONLY)


def _close(store: Store, registry: Registry, settings: Settings, progress: Progress) -> None:
    before = settings.gc.before or ()
    # The registry may be read-only already: an interrupted run, or one that found a stale cache, left it so.
    if _takes_writes(store, registry) and not restart(
        progress, "gc.before", before, lambda: not _takes_writes(store, registry)
    ):
        raise CollectionFailed(
            "gc.before ended, but the registry still accepts writes: the command must restart the registry read-only"
        )


def _open(store: Store, registry: Registry, settings: Settings, progress: Progress) -> None:
    after = settings.gc.after
    if not after:
        raise CollectionFailed("gc.after is not set: set it to the command that restarts the registry as it was")
    if not restart(progress, "gc.after", after, lambda: _takes_writes(store, registry)):
        raise CollectionFailed("gc.after ended, but the registry does not accept writes")


def _takes_writes(store: Store, registry: Registry) -> bool:
    return registry.client.takes_writes(next(iter(store.history.repositories()), _ANY))
