"""Check, after the deletions of a collection, what clients pushed meanwhile, and repair what the deletions broke."""

import re
import time
from collections.abc import Collection

from service.clock import now_ms
from service.collect import verify
from service.collect.attempt import Attempt
from service.collect.online.journal import Journal
from service.collect.online.repair import Repair
from service.collect.online.survey import Survey
from service.domain.collection.online import LONGEST_REQUEST_S
from service.domain.collection.run import CHECKING
from service.registry.objects import ObjectStore
from service.store.unfinished_pushes import MORE

_POLL_S = 0.1
_LOOKS, _PAUSE_S = 4, 0.5


class Checks:
    """The checks of one attempt.

    Args:
        attempt: of the collection.
        objects: the storage.
        journal: the blobs whose links were deleted.

    Attributes:
        look_again_s: how long a push that met a deletion is given to end before its manifest is looked for.
    """

    look_again_s = 5.0

    def __init__(self, attempt: Attempt, objects: ObjectStore, journal: Journal) -> None:
        self._attempt, self._store, self._objects, self._journal = attempt, attempt.store, objects, journal

    def look_again(self, survey: Survey) -> None:
        """Look for manifests whose push met a deletion, now and once no such push can be left."""
        self._store.collections.look_again_at(now_ms() + LONGEST_REQUEST_S * 1000)
        self._attempt.progress.at(CHECKING)
        end = time.monotonic() + self.look_again_s
        while time.monotonic() < end:
            self._attempt.lease.check()
            time.sleep(_POLL_S)
        # A PUT that ends meanwhile may have begun before the inventory.
        repositories = self._store.pushes.manifests_put(survey.began.redis_us / 1000 - LONGEST_REQUEST_S * 1000)
        if MORE in repositories or "" in repositories:
            repositories = tuple(survey.inventory.repositories)
        self._repair(survey, repositories)

    def _repair(self, survey: Survey, repositories: Collection[str]) -> None:
        """Repair the images of these repositories that were pushed meanwhile."""
        # The contents of the quarantine need not be listed for that.
        if not repositories:
            return
        repair = Repair(self._attempt, self._objects)
        links = repair.of_repositories(repositories, survey.marking, self._journal.blobs)
        if links:
            self._attempt.note(f"{links} links were written again for manifests that were pushed meanwhile")
        if repair.returned:
            count = len(repair.returned)
            self._attempt.note(
                f"{count} blobs were brought back from quarantine for manifests that were pushed meanwhile"
            )

    def check_pushed(self, since_ms: int, survey: Survey) -> None:
        """Check the images that were pushed meanwhile, blob by blob, and repair those that are broken."""
        attempt = self._attempt
        pushed = verify.look_at_pushed(self._store, attempt.registry, attempt.progress, since_ms)
        if pushed.broken:
            self._repair(survey, {re.split("[@:]", name)[0] for name in pushed.broken})
        attempt.end_sweep(pushed.checked, self._still_broken(pushed.broken))

    def _still_broken(self, names: tuple[str, ...]) -> tuple[str, ...]:
        """Look at broken images again, and return those that are still broken."""
        # Distribution 2.8 writes a link in place, so a request may fail that reads it while a push writes it.
        for _ in range(_LOOKS):
            if not names:
                break
            time.sleep(_PAUSE_S)
            verify.end_alarms(self._store, self._attempt.registry)
            alarms = {trouble.about for trouble in self._store.outbox.troubles()}
            names = tuple(name for name in names if f"{verify.BROKEN}{name}" in alarms)
        return names
