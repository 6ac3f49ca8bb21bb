"""The platforms of images, read from the registry on request, and cached as long as this process lives.

A digest always means the same bytes, so the cache is never out of date. The requests do not count as pulls.
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
    """A cache of platforms. An index costs one request to the registry, an image two, a cached digest none."""

    def __init__(self, registry: RegistryClient | None, parallel: int, remembered: int = _REMEMBERED) -> None:
        """parallel: requests at once, at most. remembered: digests in the cache, at most; the oldest is dropped."""
        self._registry, self._parallel, self._remembered = registry, parallel, remembered
        self._known: OrderedDict[str, tuple[str, ...]] = OrderedDict()
        self._lock = Lock()

    def of(self, repository: str, digests: Iterable[str]) -> Mapping[str, tuple[str, ...]]:
        """Map each digest to its platforms; () if the image names none or does not exist.

        Raises:
            ConfigurationError: no registry is set.
            RegistryUnavailable, RegistryRefused: the registry cannot be asked.
        """
        wanted = tuple(dict.fromkeys(digests))
        platforms = self._remember({})
        unknown = [digest for digest in wanted if digest not in platforms]
        if unknown:
            if self._registry is None:
                raise ConfigurationError("registry.url is not set, and only the registry knows platforms")
            with ThreadPoolExecutor(self._parallel, thread_name_prefix="platforms") as pool:
                looks = [pool.submit(self._look, self._registry, repository, digest) for digest in unknown]
                read = {digest: look.result() for digest, look in zip(unknown, looks, strict=True)}
            platforms = {**platforms, **read}
            # An image that does not exist now may be pushed later, so an empty answer is not cached.
            self._remember({digest: names for digest, names in read.items() if names})
        return {digest: platforms[digest] for digest in wanted}

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
        with self._lock:
            for digest, names in read.items():
                self._known[digest] = names
                self._known.move_to_end(digest)
            while len(self._known) > self._remembered:
                self._known.popitem(last=False)
            return dict(self._known)
