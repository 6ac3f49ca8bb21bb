"""The mounted storage of the registry, which is read instead of the registry while tags are deleted."""

from collections.abc import Iterator
from contextlib import contextmanager

from service.registry.storage import ReadableStorage


class MountedStorage:
    """The proof that the mounted storage is the one that the registry serves. A failed proof is final.

    The storage is trusted for one batch once a write over HTTP has changed it. A stale copy, the storage of another
    registry, or files left by a registry that now uses an object store would not change.

    Args:
        storage: the mounted storage, None if nothing is mounted.
    """

    def __init__(self, storage: ReadableStorage | None) -> None:
        # A bucket may fail to answer right after the write, and a write must not seem to have failed because of that.
        self._storage = storage if storage and storage.is_on_disk else None
        self._is_live: bool | None = None

    @property
    def live(self) -> ReadableStorage | None:
        """The mounted storage if it is proved to be the registry's, else None."""
        return self._storage if self._is_live else None

    @contextmanager
    def changing(self, repository: str, tag: str, before: str | None, after: str | None) -> Iterator[None]:
        """Watch the storage around a write over HTTP that changes a tag.

        Args:
            before: the digest that the tag points at, by an answer of the registry; None if it is not known.
            after: the digest that it points at after the write; None if the tag is deleted.
        """
        if self._storage is None or self._is_live is not None or before is None:
            yield
            return
        stored_before = self._storage.digest_of(repository, tag)
        yield
        # Both states must match: a stale copy may happen to show one of them.
        is_seen = stored_before == before and self._storage.digest_of(repository, tag) == after
        self._is_live = is_seen and self._is_live is not False
