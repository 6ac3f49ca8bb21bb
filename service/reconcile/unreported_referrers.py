"""Find referrers without a tag whose push was not reported: only the storage of the registry lists them."""

from service.domain.oci.manifest import References, references_of
from service.log import log
from service.registry import Registry
from service.registry.storage import ReadableStorage
from service.store import Store
from service.store.snapshot import Snapshot


def find_referrers(store: Store, registry: Registry, repository: str) -> None:
    """Record the unknown referrers of a repository, so that they follow their images.

    Any other unknown manifest is left alone: a user may pull it by its digest.
    """
    if registry.storage is None:
        return
    snapshot = store.history.snapshot(repository)
    referrers: dict[str, tuple[int, References]] = {}
    for digest in _unknown(registry.storage, snapshot):
        manifest, since_us = registry.storage.manifest(repository, digest), registry.storage.blob_us(digest)
        references = references_of(manifest.media_type, manifest.content) if manifest else References()
        if references.subject and since_us is not None:
            referrers[digest] = since_us, references
    if count := store.facts.find_referrers(snapshot, referrers):
        log.info("referrers found in the storage; their pushes were not reported", repository=repository, count=count)


def _unknown(storage: ReadableStorage, snapshot: Snapshot) -> set[str]:
    known = {tag.digest for tag in snapshot.tags} | {manifest.digest for manifest in snapshot.untagged}
    parts = {part for index in snapshot.links for part in snapshot.closure(index)}
    return set(storage.manifests(snapshot.repository)) - known - parts
