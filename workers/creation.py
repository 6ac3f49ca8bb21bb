"""Learn when images were made: from their configs, once for each digest, and only where a rule counts by it."""

from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor

from service.domain.manifest import UnreadableManifest, image_config, read_created, read_references
from service.log import log
from service.wiring import Wiring

_CONFIG_BYTES = 4 * 1024 * 1024
_DEPTH = 3  # an index in an index has an image in it


def date(wiring: Wiring, repository: str, digests: Iterable[str]) -> None:
    """Looks up and notes when these images were made. An index is as old as the first image in it.

    Raises RegistryUnavailable or RegistryRefused when any of it could not be asked: what was learnt by then is noted.
    """
    digests = tuple(digests)
    learnt: dict[str, int] = {}

    def look(digest: str) -> None:
        learnt[digest] = _created_us(wiring, repository, digest, _DEPTH)

    try:
        with ThreadPoolExecutor(wiring.settings.delete.parallel, thread_name_prefix="date") as pool:
            for done in [pool.submit(look, digest) for digest in digests]:
                done.result()
    finally:
        wiring.history.date(repository, learnt)
    log.info("looked up when images were made", repository=repository, images=len(digests))


def _created_us(wiring: Wiring, repository: str, digest: str, depth: int) -> int:
    """When an image was made (µs), 0 where nothing says."""
    manifest = wiring.client.get(repository, digest)
    if manifest is None:
        return 0
    config = image_config(manifest.media_type, manifest.content)
    if config is not None:
        content = wiring.client.blob(repository, config, _CONFIG_BYTES)
        return 0 if content is None else read_created(content)
    try:
        children = read_references(manifest.media_type, manifest.content).children
    except UnreadableManifest:
        return 0
    times = (_created_us(wiring, repository, child, depth - 1) for child in children if depth > 1)
    return next((time for time in times if time), 0)
