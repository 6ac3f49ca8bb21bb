"""Prove that the storage is that of the registry, that all of it is seen, and that the registry has no cache of blobs.

With a blob-descriptor cache the registry accepts manifests whose links or blobs were deleted (service/README.md).
"""

import time
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import islice

from service.collect.attempt import Attempt
from service.domain.collection.digests import unpacked
from service.domain.collection.run import BlobProbe
from service.domain.collection.storage_inventory import StorageInventory
from service.domain.errors import CollectionFailed, StaleCache
from service.domain.oci.names import is_repository
from service.registry.layout import revision_key
from service.registry.objects import ObjectStore

_PROBES = 3
# Behind a load balancer, each request may be answered by another registry with a cache of its own.
_LOOKS = 4
_PAUSE_S = 0.05
_ELSEWHERE = "set storage.path or storage.url to the storage of this registry, or registry.url to its registry"
_CACHE = "remove storage.cache from its config.yml and restart it, or set gc.collector: registry"


def prove(attempt: Attempt, inventory: StorageInventory, objects: ObjectStore) -> None:
    """Prove that the registry has the blobs of the storage and no other manifests, and uses no cache to look them up.

    Args:
        attempt: of the collection.
        inventory: of the storage.
        objects: the storage.

    Raises:
        CollectionFailed: the storage belongs to another registry, or a part of it is not seen.
        StaleCache: the registry has a cache of blobs.
    """
    probes = tuple(islice(_linked(inventory), _PROBES))
    known = _known(attempt, probes)
    for probe in probes:
        if probe not in known and not _is_known(attempt, probe):
            raise _elsewhere(probe, objects.name)
    _refuse_unseen(attempt, inventory, objects)
    # The requests above have used the cache, if there is one.
    if attempt.registry.debug is not None and attempt.registry.debug.cache_requests() > 0:
        raise StaleCache(f"the registry has a cache of blobs, so nothing was deleted: {_CACHE}")


def _refuse_unseen(attempt: Attempt, inventory: StorageInventory, objects: ObjectStore) -> None:
    """Refuse if the registry has a manifest of the history that the storage does not have: it is on another volume."""
    history = attempt.store.history
    for repository in history.repositories():
        stored = inventory.repositories.get(repository)
        seen = {unpacked(digest) for digest in stored.revisions} if stored else frozenset()
        for digest in history.standing(repository) - seen:
            if _is_unseen(attempt, objects, repository, digest):
                raise CollectionFailed(
                    f"the registry has the manifest {repository}@{digest}, which the storage {objects.name} does not "
                    "have, so the blobs that it needs are unknown; nothing was deleted: mount every volume of the "
                    "registry's storage for the worker, too"
                )


def _is_unseen(attempt: Attempt, objects: ObjectStore, repository: str, digest: str) -> bool:
    """True if the registry has a manifest that the storage does not have, in each of several checks."""
    # A manifest that was pushed after the inventory has a link by now. It may be pushed or deleted between two looks.
    for _ in range(_LOOKS):
        is_stored = objects.head(revision_key(repository, digest)) is not None
        if is_stored or attempt.registry.client.head(repository, digest) is None:
            return False
        time.sleep(_PAUSE_S)
    return True


def _is_known(attempt: Attempt, probe: BlobProbe) -> bool:
    """True if the registry has a link."""
    # Distribution 2.8 writes a link in place, so a request may fail that reads it while a push writes it.
    for _ in range(_LOOKS):
        if attempt.registry.client.claims_blob(probe.repository, probe.digest):
            return True
        time.sleep(_PAUSE_S)
    return False


def _linked(inventory: StorageInventory) -> Iterable[BlobProbe]:
    """Yield the links of blobs that have data."""
    for digest in inventory.linked_digests():
        if inventory.blob(digest) is not None:
            # No request can name a folder that no registry created.
            names = (link.repository for link in inventory.layer_links(digest) if is_repository(link.repository))
            yield from (BlobProbe(name, unpacked(digest)) for name in names)


def choose(attempt: Attempt, probes: Sequence[BlobProbe], name: str) -> list[BlobProbe]:
    """Return those of these links that the registry knows. A cache then knows them, too.

    Raises:
        CollectionFailed: the registry knows none of them.
    """
    known = _known(attempt, probes)
    if probes and not known:
        raise _elsewhere(probes[0], name)
    return known


def _elsewhere(probe: BlobProbe, name: str) -> CollectionFailed:
    return CollectionFailed(
        f"the registry does not have {probe}, which the storage {name} has; nothing was deleted: {_ELSEWHERE}"
    )


def still_known(attempt: Attempt, probes: Sequence[BlobProbe]) -> BlobProbe | None:
    """Return a link that the registry knows although it was deleted from the storage; None if there is none."""
    return next(iter(_known(attempt, [probe for _ in range(_LOOKS) for probe in probes])), None)


def _known(attempt: Attempt, probes: Sequence[BlobProbe]) -> list[BlobProbe]:
    """Return those of these links that the registry has. All are asked for at once, because clients wait meanwhile."""
    client = attempt.registry.client
    with ThreadPoolExecutor(attempt.registry.parallel, thread_name_prefix="probes") as pool:
        answers = pool.map(lambda probe: client.claims_blob(probe.repository, probe.digest), probes)
        return [probe for probe, is_known in zip(probes, answers, strict=True) if is_known]


def refusal(probe: BlobProbe, name: str) -> StaleCache:
    """The error for a link that the registry still knows."""
    return StaleCache(
        f"the registry still has {probe}, whose link was deleted from the storage {name}: it has a cache of blobs or "
        f"another storage; the link was written again: {_CACHE}"
    )
