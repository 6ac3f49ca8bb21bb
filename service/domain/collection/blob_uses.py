"""The uses of blobs by the manifests of one repository, to compute what a collection frees after deletions."""

from collections import Counter
from collections.abc import Mapping, Sequence
from threading import Lock


class BlobUses:
    """The number of manifests of a repository that have each blob, while the manifests are deleted one by one."""

    def __init__(self, layers: Mapping[str, Sequence[tuple[str, int]]]) -> None:
        """layers: digest of each known manifest → (mark, size in bytes) of its config and layers."""
        self._blobs = {digest: dict(blobs) for digest, blobs in layers.items()}
        self._uses = Counter(mark for blobs in self._blobs.values() for mark in blobs)
        self._lock = Lock()

    def delete(self, digest: str) -> int | None:
        """Return the size of the blobs that only this manifest still had; None if its layers are not known."""
        with self._lock:
            blobs = self._blobs.pop(digest, None)
            if blobs is None:
                return None
            self._uses.subtract(blobs.keys())
            return sum(size for mark, size in blobs.items() if not self._uses[mark])
