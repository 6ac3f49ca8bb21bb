"""Learn when images were made: from their configs, once for each digest, and only where something depends on it."""

from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor

from service.domain.oci.manifest import References, image_config, read_created, references_of
from service.log import log
from service.registry import Registry
from service.store import Store
from service.store.snapshot import Snapshot

_CONFIG_BYTES = 4 * 1024 * 1024
# An index may list another index, which lists the images.
_DEPTH = 3


def date(store: Store, registry: Registry, snapshot: Snapshot, digests: Iterable[str]) -> None:
    """Look up the creation dates of these images and record them. An index is as old as the first image in it.

    Raises:
        RegistryUnavailable, RegistryRefused: a date could not be read. The dates read before are recorded.
    """
    repository, digests = snapshot.repository, tuple(digests)
    learnt: dict[str, int] = {}
    fetched: dict[str, References] = {}

    def look(digest: str) -> None:
        learnt[digest] = _look(registry, repository, digest, _DEPTH, fetched)

    try:
        with ThreadPoolExecutor(registry.parallel, thread_name_prefix="date") as pool:
            for done in [pool.submit(look, digest) for digest in digests]:
                done.result()
    finally:
        store.facts.date(snapshot, learnt)
        store.facts.learn(repository, fetched)
    log.info("the creation dates of images were read", repository=repository, images=len(digests))


def _look(registry: Registry, repository: str, digest: str, depth: int, fetched: dict[str, References]) -> int:
    """Return the creation date of an image (µs), 0 if unknown. Its manifests' references are added to `fetched`."""
    # The date needs the bytes alone, and a comparison in this process has probably just read them.
    manifest = registry.client.recall(repository, digest) or registry.client.get(repository, digest)
    if manifest is None:
        return 0
    references = fetched[digest] = references_of(manifest.media_type, manifest.content)
    config = image_config(manifest.media_type, manifest.content)
    if config is not None:
        content = registry.client.blob(repository, config, _CONFIG_BYTES)
        return 0 if content is None else read_created(content)
    children = references.children if depth > 1 else ()
    times = (_look(registry, repository, child, depth - 1, fetched) for child in children)
    return next((time for time in times if time), 0)
