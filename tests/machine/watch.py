"""Watch what the workers send, request by request: what was heard in time must not be deleted, and what they say of
a deletion must be what they saw."""

import re

from service.domain.oci import tombstone
from tests.machine.model import Model
from tests.machine.oracle import closure
from tests.machine.shops import SHOP

_MANIFEST = re.compile(rf"/v2/{SHOP}/manifests/(.+)")

_TOMBSTONES = {each.content for each in tombstone.TOMBSTONES}


class Watch:
    """looks: (deleted digest, the digest of each tag then, and the one that the worker saw last; "": none)."""

    def __init__(self, model: Model) -> None:
        self._model = model
        self._sent = self._last_heard = 0
        self._heard_at: dict[int, int] = {}
        self._seen: dict[str, str] = {}
        self._seen_at: dict[str, int] = {}
        self._faults: list[str] = []
        self._gone: set[str] = set()
        self._failure: Exception | None = None
        self.deletions: list[tuple[str, dict[str, set[str]]]] = []

    def begins(self) -> None:
        """Begin the watch over another worker, which has read nothing yet."""
        self._seen.clear()
        self._seen_at.clear()
        self._gone = self._model.must_not_come_back()

    @property
    def seen(self) -> frozenset[str]:
        """The digests at which the worker has seen tags."""
        return frozenset(self._seen.values())

    def sends(self) -> None:
        self._sent += 1

    def hears(self, number: int) -> None:
        """Record a push, which the next request of a worker must take into account.

        What takes a tag off goes by the last look at that tag; what it meets after that is healed.
        """
        self._heard_at[number] = self._last_heard = self._sent

    def sees(self, method: str, path: str, body: object) -> None:
        """Watch a request that is about to be handled."""
        match = _MANIFEST.fullmatch(path)
        if match is None:
            return
        reference, standing = match[1], self._model.registry.tags()
        if ":" not in reference and method in ("GET", "HEAD"):
            self._seen[reference] = standing.get(reference, "")
            self._seen_at[reference] = self._sent
        if method == "DELETE" or (method == "PUT" and ":" not in reference and body in _TOMBSTONES):
            self._deletes(reference, standing)
        if method == "PUT" and reference in self._gone & self._model.must_not_come_back():
            self._faults.append(f"{reference} is restored although it was deleted by hand, or by a client")

    def looks_at(self, tag: str, digest: str) -> None:
        """Record that a worker reads in the storage where a tag points."""
        self._seen[tag] = digest
        self._seen_at[tag] = self._sent

    def fails(self, error: Exception) -> None:
        """Record a mistake, to fail with it later."""
        self._failure = self._failure or error

    def check(self) -> None:
        """Fail with all mistakes recorded so far."""
        failure, self._failure = self._failure, None
        if failure:
            raise failure
        faults, self._faults = self._faults, []
        assert not faults, "; ".join(faults)

    def _deletes(self, reference: str, standing: dict[str, str]) -> None:
        known = {tag: {digest} for tag, digest in standing.items()}
        for tag, digest in self._seen.items():
            known.setdefault(tag, set()).add(digest)
        self.deletions.append((reference, known))
        self._faults += self._lost_revisions(reference, standing)
        model = self._model
        for push in model.wanted.values():
            until = self._seen_at.get(reference, 0) if reference == push.tag else self._sent
            heard = self._heard_at.get(push.number, self._sent) < until
            held = reference == push.tag or reference in closure(push.digest, model.children)
            if heard and held and push.number not in model.condemned and standing.get(push.tag) == push.digest:
                self._faults.append(f"{reference} is deleted although the push of {push.tag} was heard and keeps it")

    def _lost_revisions(self, digest: str, standing: dict[str, str]) -> list[str]:
        """Return a mistake if an image is deleted that a tag has lost and keeps, by all that was heard."""
        if self._last_heard == self._sent:
            return []
        wanted = self._model.wanted.values()
        heard = {push.tag for push in wanted if push.number in self._heard_at and standing.get(push.tag) == push.digest}
        kept = {held for lost in self._model.revisions(heard) for held in closure(lost, self._model.children)}
        return [f"{digest} is deleted although it is a revision that is kept"] if digest in kept else []
