"""The registry is read-only while its garbage is collected: `gc.gate: readonly`."""

from collections.abc import Iterator
from contextlib import contextmanager

from service.collect.progress import Progress
from service.collect.restarting import restart
from service.domain.errors import CollectionFailed, StaleCache, StaysReadOnly
from service.wiring import Wiring

READ_ONLY = "read-only"
_ANY = "pushprune-probe"  # no push of it is taken, wherever nothing is known yet


@contextmanager
def closed(wiring: Wiring, progress: Progress) -> Iterator[None]:
    """The registry refuses writes while the block runs, which was seen; afterwards it takes them again.

    Raises CollectionFailed when it cannot be made read-only, StaysReadOnly when it does not take writes again. After a
    StaleCache it is left read-only: who pushed now would believe the cache.
    """
    wiring.garbage.closes()
    try:
        _close(wiring, progress)
        yield
    except StaleCache:
        raise
    except BaseException:
        open_again(wiring, progress)
        raise
    open_again(wiring, progress)


def open_again(wiring: Wiring, progress: Progress) -> None:
    """Restarts the registry as it was. Raises StaysReadOnly, with the alarm raised, when it does not take writes."""
    try:
        _open(wiring, progress)
    except CollectionFailed as error:
        message = f"the registry was made read-only for a collection and stays so: {error}; start it as it was"
        wiring.outbox.complain(READ_ONLY, message)
        raise StaysReadOnly(message) from error
    wiring.garbage.reopened()
    wiring.outbox.mended(READ_ONLY)


def _close(wiring: Wiring, progress: Progress) -> None:
    before = wiring.settings.gc.before or ()
    if _takes_writes(wiring) and not restart(progress, "gc.before", before, lambda: not _takes_writes(wiring)):
        raise CollectionFailed("gc.before ended, and the registry still takes writes: it must restart it read-only")


def _open(wiring: Wiring, progress: Progress) -> None:
    after = wiring.settings.gc.after
    if not after:
        raise CollectionFailed("gc.after is not set: set it to what restarts the registry as it was")
    if not restart(progress, "gc.after", after, lambda: _takes_writes(wiring)):
        raise CollectionFailed("gc.after ended, and it takes no writes")


def _takes_writes(wiring: Wiring) -> bool:
    return wiring.client.takes_writes(next(iter(wiring.history.repositories()), _ANY))
