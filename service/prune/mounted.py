"""The registry's storage as it is mounted here, believed for one batch once a write over HTTP was seen to change it.

A stale copy, another registry's storage, or what a registry on an object store left behind would not change with it.
"""

from collections.abc import Iterator
from contextlib import contextmanager

from service.registry.storage import Storage


class Mounted:
    """storage: what is mounted, None where nothing is. Whoever has doubted it once does not believe it again."""

    def __init__(self, storage: Storage | None) -> None:
        self._storage = storage
        self._is_live: bool | None = None

    @property
    def live(self) -> Storage | None:
        """The storage that the registry serves, once that is proved."""
        return self._storage if self._is_live else None

    @contextmanager
    def changing(self, repository: str, tag: str, stands: str | None, becomes: str | None) -> Iterator[None]:
        """Around a write over HTTP by which a tag changes.

        stands: where HTTP has just said that it stands, None where it did not. becomes: None where it goes.
        """
        if self._storage is None or self._is_live is not None or stands is None:
            yield
            return
        before = self._storage.standing(repository, tag)
        yield
        is_seen = before == stands and self._storage.standing(repository, tag) == becomes
        self._is_live = is_seen and self._is_live is not False
