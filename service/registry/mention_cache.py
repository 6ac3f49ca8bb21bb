"""The digests that manifests mention, read once: a manifest never changes."""

from collections.abc import Collection

from service.domain.collection.mentions import Mentions


class MentionCache:
    """The mentions of the manifests of the last collection, in memory: about 1 kB for each manifest."""

    def __init__(self) -> None:
        self._mentions: dict[bytes, Mentions] = {}
        # One object for each digest, which many manifests mention.
        self._shared: dict[bytes, bytes] = {}

    def get(self, digest: bytes) -> Mentions | None:
        """Return the mentions of a manifest; None if they are not known."""
        return self._mentions.get(digest)

    def add(self, digest: bytes, mentions: Mentions) -> None:
        """Remember the mentions of a manifest."""
        shared = Mentions(self._same(mentions.digests), self._same(mentions.parts), mentions.is_known)
        self._mentions[digest] = shared

    def keep_only(self, digests: Collection[bytes]) -> None:
        """Forget all other manifests."""
        self._mentions = {digest: known for digest, known in self._mentions.items() if digest in digests}
        used = (digest for known in self._mentions.values() for digest in known.digests)
        self._shared = {digest: digest for digest in used}

    def _same(self, digests: Collection[bytes]) -> frozenset[bytes]:
        return frozenset(self._shared.setdefault(digest, digest) for digest in digests)
