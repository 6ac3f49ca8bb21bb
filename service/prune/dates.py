"""Learn when images were made: from their configs, once for each digest, and only where something depends on it."""

from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor

from service.domain.oci.manifest import References, UnreadableManifest, image_config, read_created, read_references
from service.log import log
from service.registry.manifest import Manifest
from service.store.snapshot import Snapshot
from service.wiring import Wiring

_CONFIG_BYTES = 4 * 1024 * 1024
# An index may list another index, which lists the images.
_DEPTH = 3


def date(wiring: Wiring, snapshot: Snapshot, digests: Iterable[str]) -> None:
    """Look up the creation dates of these images and record them. An index is as old as the first image in it.

    Raises:
        RegistryUnavailable, RegistryRefused: a date could not be read. The dates read before are recorded.
    """
    repository, digests = snapshot.repository, tuple(digests)
    learnt: dict[str, int] = {}
    fetched: dict[str, References] = {}

    def look(digest: str) -> None:
        learnt[digest] = _look(wiring, repository, digest, _DEPTH, fetched)

    try:
        with ThreadPoolExecutor(wiring.settings.delete.parallel, thread_name_prefix="date") as pool:
            for done in [pool.submit(look, digest) for digest in digests]:
                done.result()
    finally:
        wiring.history.date(snapshot, learnt)
        wiring.history.learn(repository, fetched)
    log.info("looked up when images were made", repository=repository, images=len(digests))


def _look(wiring: Wiring, repository: str, digest: str, depth: int, fetched: dict[str, References]) -> int:
    """Return the creation date of an image (µs), 0 if unknown. Its manifests' references are added to `fetched`."""
    manifest = wiring.client.get(repository, digest)
    if manifest is None:
        return 0
    references = fetched[digest] = _references(manifest)
    config = image_config(manifest.media_type, manifest.content)
    if config is not None:
        content = wiring.client.blob(repository, config, _CONFIG_BYTES)
        return 0 if content is None else read_created(content)
    children = references.children if depth > 1 else ()
    times = (_look(wiring, repository, child, depth - 1, fetched) for child in children)
    return next((time for time in times if time), 0)


def _references(manifest: Manifest) -> References:
    try:
        return read_references(manifest.media_type, manifest.content)
    except UnreadableManifest:
        return References(readable=False)
