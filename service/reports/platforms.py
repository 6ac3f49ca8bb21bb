"""The platforms of images, read from the registry when somebody asks, and remembered while this process lives.

A digest never changes its meaning, so what is remembered is never out of date. Our own reading is no pull.
"""

from collections import OrderedDict
from collections.abc import Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from threading import Lock

from service.domain.errors import ConfigurationError
from service.domain.oci.manifest import image_config
from service.domain.oci.platform import platform_of_config, platforms_of_index
from service.registry.client import RegistryClient

_REMEMBERED = 10_000
_CONFIG_BYTES = 4 * 1024 * 1024


class Platforms:
    """One request for each index, two for each image, and none for what is remembered."""

    def __init__(self, registry: RegistryClient | None, parallel: int, remembered: int = _REMEMBERED) -> None:
        """parallel: requests at a time. remembered: digests at most; the one asked for longest ago is forgotten."""
        self._registry, self._parallel, self._remembered = registry, parallel, remembered
        self._known: OrderedDict[str, tuple[str, ...]] = OrderedDict()
        self._lock = Lock()

    def of(self, repository: str, digests: Iterable[str]) -> Mapping[str, tuple[str, ...]]:
        """Digest → its platforms; () for what says none or is gone.

        Raises ConfigurationError where no registry is set, RegistryUnavailable and RegistryRefused.
        """
        wanted = tuple(dict.fromkeys(digests))
        found = self._remember({})
        unknown = [digest for digest in wanted if digest not in found]
        if unknown:
            if self._registry is None:
                raise ConfigurationError("registry.url is not set, and only the registry knows platforms")
            with ThreadPoolExecutor(self._parallel, thread_name_prefix="platforms") as pool:
                looks = [pool.submit(self._look, self._registry, repository, digest) for digest in unknown]
                read = {digest: look.result() for digest, look in zip(unknown, looks, strict=True)}
            found = {**found, **read}
            self._remember({digest: said for digest, said in read.items() if said})
        return {digest: found[digest] for digest in wanted}

    def _look(self, registry: RegistryClient, repository: str, digest: str) -> tuple[str, ...]:
        manifest = registry.get(repository, digest)
        if manifest is None:
            return ()
        config = image_config(manifest.media_type, manifest.content)
        if config is None:
            return platforms_of_index(manifest.media_type, manifest.content)
        content = registry.blob(repository, config, _CONFIG_BYTES)
        return platform_of_config(content) if content else ()

    def _remember(self, read: Mapping[str, tuple[str, ...]]) -> Mapping[str, tuple[str, ...]]:
        """Adds what was read, and returns all that is known."""
        with self._lock:
            for digest, said in read.items():
                self._known[digest] = said
                self._known.move_to_end(digest)
            while len(self._known) > self._remembered:
                self._known.popitem(last=False)
            return dict(self._known)
