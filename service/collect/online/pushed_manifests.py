"""The manifests that clients push while old manifests are deleted."""

from functools import partial

from service.collect.attempt import Attempt
from service.registry.objects import ObjectStore
from service.registry.storage_inventory import read_repository
from service.store.unfinished_pushes import MORE


class PushedManifests:
    """The manifests that were put since the inventory began.

    A manifest that was pushed again after the inventory has a link in one of the repositories that got a manifest.

    Attributes:
        digests: packed, of all manifests of these repositories.
        are_known: False if the gate does not know every repository that received a manifest: any may be new then.
    """

    def __init__(self, attempt: Attempt, objects: ObjectStore, began_us: int) -> None:
        self._attempt, self._objects, self._began_us = attempt, objects, began_us
        self.digests: set[bytes] = set()
        self.are_known = True

    def look(self, since_ms: int) -> None:
        """Add the manifests of the repositories that received one since a time; 0: since the inventory began."""
        store, youth_us = self._attempt.store, self._attempt.gc.youth * 1_000_000
        repositories = store.pushes.manifests_put(since_ms)
        # The gate remembers for gc.youth which repositories got a manifest.
        is_forgotten = store.connection.now_us() - self._began_us >= youth_us
        if is_forgotten or any(name in (MORE, "") for name in repositories):
            self.are_known = False
            return
        for repository in self._objects.each(partial(read_repository, self._objects), repositories):
            self.digests.update(repository.revisions)
