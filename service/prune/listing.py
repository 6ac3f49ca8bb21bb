"""Delete no manifest by its digest while the registry may hide tags (safety rule 1)."""

from service.domain.errors import LeaseLost, RegistryRefused
from service.log import log
from service.registry import Registry
from service.registry.listing import ABOUT, HIDES, deletes_single_tags, lists_every_tag, untried
from service.registry.probe import REPOSITORY
from service.store import Store
from service.store.lease import Lease
from service.store.snapshot import Snapshot

_WAIT_S = 10.0


def is_whole(store: Store, registry: Registry, snapshot: Snapshot, permit: Lease) -> bool:
    """Return True if the registry lists every tag.

    Tried once per start of the registry and remembered. While the answer is no, plans keep every manifest.

    Raises:
        LeaseLost: another worker is trying it; try again later.
        RegistryRefused: the registry deletes nothing at all.
        RegistryUnavailable: it could not be tried now.
    """
    restarts = snapshot.restarts
    known = store.capabilities.lists_every_tag(restarts)
    if known is not None:
        return known
    with store.leases.hold(ABOUT, wait_s=_WAIT_S) as lease:
        if lease is None:
            raise LeaseLost("another worker is testing if the registry lists every tag; the deletion is tried again")
        known = store.capabilities.lists_every_tag(restarts)
        if known is not None:
            return known
        why = _why_not(store, registry, snapshot.repository, restarts, permit)
        store.capabilities.note_lists_every_tag(restarts, not why)
    if why:
        log.error("the registry may hide tags, so only tags are deleted and manifests are kept", why=why)
        store.outbox.note_trouble(ABOUT, why)
    else:
        store.outbox.end_trouble(ABOUT)
    return not why


def _why_not(store: Store, registry: Registry, repository: str, restarts: str, permit: Lease) -> str:
    """Return why tags may be hidden, for the operator; "" if every tag is listed."""
    # A batch in the bucket proves the bucket, and keeps each manifest that a tag there points at.
    if registry.in_storage is not None:
        return ""
    # The fault is one of object storage, and a storage that is mounted is a file system.
    if registry.storage is not None and registry.storage.is_on_disk:
        return ""
    try:
        if not _deletes_tags(store, registry, restarts, permit):
            return ""
        return "" if lists_every_tag(registry.client, permit.writing, storage=registry.storage) else HIDES
    except RegistryRefused as error:
        # A login may be bound to some repositories. Where it deletes, it can at least be told from 2.8.
        with permit.writing():
            return untried(error) if deletes_single_tags(registry.client, repository) else ""


def _deletes_tags(store: Store, registry: Registry, restarts: str, permit: Lease) -> bool:
    """Return True if the registry can delete a single tag. The first answer is remembered: untagging needs it, too."""
    can_delete_tags = store.capabilities.deletes_tags(restarts)
    if can_delete_tags is None:
        with permit.writing():
            can_delete_tags = deletes_single_tags(registry.client, REPOSITORY)
        store.capabilities.note_deletes_tags(restarts, able=can_delete_tags)
    return can_delete_tags
