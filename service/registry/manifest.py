"""Manifests as the registry answers them, and a memory of those that were read last."""

from collections import OrderedDict
from dataclasses import dataclass
from threading import Lock


@dataclass(frozen=True, slots=True)
class ManifestHead:
    """The answer to a HEAD of a manifest. After 304 (not modified) only the digest is known: media_type is ""."""

    digest: str
    media_type: str


@dataclass(frozen=True, slots=True)
class Manifest:
    """The answer to a GET of a manifest; `digest` was checked against `content`."""

    digest: str
    media_type: str
    content: bytes


class ManifestMemory:
    """The manifests that were read last, up to a number of bytes. Threads may share it.

    The digest proves the bytes for ever. It does not prove that the registry still has the manifest.
    """

    def __init__(self, most_bytes: int) -> None:
        self._most_bytes = most_bytes
        self._size_bytes = 0
        self._manifests: OrderedDict[tuple[str, str], Manifest] = OrderedDict()
        self._lock = Lock()

    def add(self, repository: str, manifest: Manifest) -> None:
        """Remember a manifest, and forget those that were read first if there are too many bytes."""
        key = (repository, manifest.digest)
        with self._lock:
            if key not in self._manifests:
                self._manifests[key] = manifest
                self._size_bytes += len(manifest.content)
            while self._size_bytes > self._most_bytes:
                _, forgotten = self._manifests.popitem(last=False)
                self._size_bytes -= len(forgotten.content)

    def get(self, repository: str, digest: str) -> Manifest | None:
        """Return a manifest, or None if it was forgotten or never read."""
        with self._lock:
            return self._manifests.get((repository, digest))
