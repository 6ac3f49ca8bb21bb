"""The digests that manifests mention, read once: a manifest never changes."""

from collections.abc import Collection

from service.domain.collection.digests import SHA256_BYTES
from service.domain.collection.mentions import Mentions


class MentionCache:
    """The mentions of the manifests of the last collection, in memory: about half a kB for each manifest."""

    def __init__(self) -> None:
        # The digests of each manifest, and those of its parts, joined: a set of them takes four times the memory.
        self._mentions: dict[bytes, tuple[bytes, bytes, bool]] = {}

    def get(self, digest: bytes) -> Mentions | None:
        """Return the mentions of a manifest; None if they are not known."""
        if digest not in self._mentions:
            return None
        digests, parts, is_known = self._mentions[digest]
        return Mentions(_split(digests), _split(parts), is_known)

    def add(self, digest: bytes, mentions: Mentions) -> None:
        """Remember the mentions of a manifest."""
        self._mentions[digest] = (b"".join(mentions.digests), b"".join(mentions.parts), mentions.is_known)

    def keep_only(self, digests: Collection[bytes]) -> None:
        """Forget all other manifests."""
        self._mentions = {digest: known for digest, known in self._mentions.items() if digest in digests}


def _split(joined: bytes) -> frozenset[bytes]:
    return frozenset(joined[at : at + SHA256_BYTES] for at in range(0, len(joined), SHA256_BYTES))
