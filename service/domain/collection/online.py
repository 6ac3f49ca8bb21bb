"""Decide what an online collection deletes, unlinks, links again and forgets.

A run unlinks: it deletes the layer links of blobs that no manifest needs, so that no push can begin to rely on them. A
later run deletes the data of those that no request has named since. Everything in doubt is kept.
"""

from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

from service.domain.collection.digests import SHA256_BYTES, Marks
from service.domain.collection.storage_inventory import StorageInventory, StoredBlob

# No proxy lets a request take longer.
LONGEST_REQUEST_S = 900


@dataclass(frozen=True, slots=True)
class Moment:
    """One moment by two clocks, in µs: a period has passed only if it has passed by both of them.

    Attributes:
        storage_us: by the clock of the storage.
        redis_us: by the clock of Redis.
    """

    storage_us: int
    redis_us: int

    def is_after(self, earlier: "Moment", period_us: int) -> bool:
        """True if at least this period has passed since `earlier`."""
        return self.storage_us - earlier.storage_us >= period_us and self.redis_us - earlier.redis_us >= period_us


class UnlinkedBlob(NamedTuple):
    """A blob whose layer links a collection deletes, as the journal keeps it.

    Attributes:
        digest: packed.
        size_bytes: of its data.
        repositories: that lost their link by this. Empty for a manifest's own blob, which never has one.
        at: when the last of its links was deleted; None while that is not certain.
        is_used: a request named the digest since, or a manifest needed it, so that its data must be kept.
        may_be_manifest: a client could push the same bytes as a manifest, by a PUT that need not name the digest. True
            until the data was read.
    """

    digest: bytes
    size_bytes: int
    repositories: tuple[str, ...] = ()
    at: Moment | None = None
    is_used: bool = False
    may_be_manifest: bool = True


@dataclass(frozen=True, slots=True)
class Rules:
    """The periods of a collection, in µs.

    Attributes:
        grace_us: between the deletion of a blob's links and that of its data.
        youth_us: a blob or link that is younger is kept.
        longest_us: the longest time of a request.
    """

    grace_us: int
    youth_us: int
    longest_us: int = LONGEST_REQUEST_S * 1_000_000


@dataclass(frozen=True, slots=True)
class OnlinePlan:
    """The decisions of one run.

    Attributes:
        delete: the blobs whose data is deleted now.
        unlink: the blobs whose links are deleted now, with the repositories that have these links.
        relink: links (repository, packed digest) to write again, because a manifest needs them.
        waiting: the other blobs of the journal: their grace has not ended, or begins anew; or a manifest needs them,
            and another one whose push met the deletion of the links may still come.
        stale: blobs that are kept, with the repositories whose link no manifest there needs: it is deleted now.
        forgotten: the packed digests that leave the journal: a manifest needs them, or they have no data any more.
    """

    delete: tuple[UnlinkedBlob, ...] = ()
    unlink: tuple[UnlinkedBlob, ...] = ()
    relink: tuple[tuple[str, bytes], ...] = ()
    waiting: tuple[UnlinkedBlob, ...] = ()
    forgotten: tuple[bytes, ...] = ()
    stale: tuple[UnlinkedBlob, ...] = ()


@dataclass(frozen=True, slots=True)
class Evidence:
    """The facts that a decision about blobs rests on.

    Attributes:
        inventory: of the storage.
        began: when the inventory began.
        marks: the digests that must be kept, in the table of the inventory.
        users: by packed digest of the journal or of `deleted`, the repositories whose manifests mention it.
        journal: of earlier runs, by packed digest.
        deleted: by packed digest of the blobs whose data was put into quarantine, the repositories that had a link.
        unused_links: the links to delete although their blobs are kept: packed digest → repositories.
    """

    inventory: StorageInventory
    began: Moment
    marks: Marks
    users: Mapping[bytes, Collection[str]]
    journal: Mapping[bytes, UnlinkedBlob]
    deleted: Mapping[bytes, Collection[str]] = field(default_factory=dict)
    unused_links: Mapping[bytes, tuple[str, ...]] = field(default_factory=dict)


def decide(evidence: Evidence, rules: Rules) -> OnlinePlan:
    """Return the plan of a run."""
    decision = _Decision(evidence, rules)
    for entry in evidence.journal.values():
        decision.of_entry(entry)
    for digest, repositories in evidence.deleted.items():
        decision.of_deleted(digest, repositories)
    for blob in evidence.inventory.blobs(besides=evidence.marks):
        if blob.digest not in evidence.journal:
            decision.of_blob(blob)
    for digest, repositories in evidence.unused_links.items():
        if digest not in evidence.journal:
            decision.of_links(digest, repositories)
    return decision.plan


class _Decision:
    def __init__(self, evidence: Evidence, rules: Rules) -> None:
        self._evidence, self._rules = evidence, rules
        self._young_us = evidence.began.storage_us - rules.youth_us
        self._delete: list[UnlinkedBlob] = []
        self._unlink: list[UnlinkedBlob] = []
        self._relink: dict[tuple[str, bytes], None] = {}
        self._waiting: list[UnlinkedBlob] = []
        self._forgotten: list[bytes] = []
        self._stale: list[UnlinkedBlob] = []

    @property
    def plan(self) -> OnlinePlan:
        return OnlinePlan(
            tuple(self._delete),
            tuple(self._unlink),
            tuple(self._relink),
            tuple(self._waiting),
            tuple(self._forgotten),
            tuple(self._stale),
        )

    def of_entry(self, entry: UnlinkedBlob) -> None:
        """Decide about a blob of the journal."""
        blob = self._evidence.inventory.blob(entry.digest)
        links = self._links(entry.digest)
        if blob is None:
            self._forgotten.append(entry.digest)
        elif entry.digest in self._evidence.marks:
            self._link_again(entry.digest, entry.repositories)
            self._forget_or_wait(entry)
        elif entry.at is None or entry.is_used or links:
            # It was used again, or an interrupted run may have deleted some of its links: grace begins anew. The
            # repositories are kept, so that their links can be written again.
            repositories = tuple(dict.fromkeys((*entry.repositories, *links)))
            again = entry._replace(repositories=repositories, at=None, is_used=False)
            (self._unlink if self._is_old(blob, links) else self._waiting).append(again)
        elif self._evidence.began.is_after(entry.at, self._rules.grace_us):
            self._delete.append(entry)
        else:
            self._waiting.append(entry)

    def _forget_or_wait(self, entry: UnlinkedBlob) -> None:
        """Keep the entry of a blob that is in use until every PUT has ended that may have met the end of its links."""
        began = self._evidence.began
        # It counts as used: if nothing needs the blob any more at the next run, its grace begins anew then.
        # If an interrupted run may have deleted links, the longest request counts from now on.
        if entry.at is None:
            self._waiting.append(entry._replace(at=began, is_used=True))
        elif began.is_after(entry.at, self._rules.longest_us):
            self._forgotten.append(entry.digest)
        else:
            self._waiting.append(entry._replace(is_used=True))

    def of_links(self, digest: bytes, repositories: tuple[str, ...]) -> None:
        """Decide about the links of these repositories to a blob that is kept, or that has no data."""
        blob = self._evidence.inventory.blob(digest)
        # The blob itself is in use: the time at which these links are deleted does not begin its grace.
        self._stale.append(UnlinkedBlob(digest, blob.size_bytes if blob else 0, repositories, is_used=True))

    def of_deleted(self, digest: bytes, repositories: Collection[str]) -> None:
        """Decide about the links of a blob that was put into quarantine. A manifest may have brought it back."""
        if digest in self._evidence.marks and self._evidence.inventory.blob(digest) is not None:
            self._link_again(digest, repositories)

    def _link_again(self, digest: bytes, repositories: Collection[str]) -> None:
        # Only a link that a collection deleted is written again: a manifest that merely mentions the digest of
        # another repository must not get access to its data.
        users, links = self._evidence.users.get(digest, ()), self._links(digest)
        self._relink.update({(name, digest): None for name in repositories if name in users and name not in links})

    def of_blob(self, blob: StoredBlob) -> None:
        """Decide about a blob that is not in the journal and has no mark."""
        # The marks are sha256 digests, so a blob of another algorithm is never known to be unused.
        if len(blob.digest) == SHA256_BYTES:
            links = self._links(blob.digest)
            if self._is_old(blob, links):
                self._unlink.append(UnlinkedBlob(blob.digest, blob.size_bytes, tuple(links)))

    def _is_old(self, blob: StoredBlob, links: Mapping[str, int]) -> bool:
        """True if the data and every link are older than the youth. A mount or a second upload writes only the link."""
        return max((blob.modified_us, *links.values())) < self._young_us

    def _links(self, digest: bytes) -> dict[str, int]:
        """Map each repository that has a link to this blob to the link's time."""
        return {link.repository: link.modified_us for link in self._evidence.inventory.layer_links(digest)}


def merged(
    redis: Mapping[bytes, UnlinkedBlob], storage: Mapping[bytes, UnlinkedBlob]
) -> dict[bytes, UnlinkedBlob] | None:
    """Return the journal that is kept in Redis and in the storage; None if the two contradict each other.

    An entry enters Redis first and leaves Redis last, so an interrupted run leaves only entries that the storage lacks,
    or whose time only one of them has. The uses are known in Redis only, sizes and repositories in the storage.
    """
    journal: dict[bytes, UnlinkedBlob] = {}
    for digest, entry in storage.items():
        known = redis.get(digest)
        if known is None or (known.at and entry.at and known.at != entry.at):
            return None
        journal[digest] = entry._replace(at=entry.at if known.at else None, is_used=known.is_used)
    return journal


def mentioned_by(
    repositories: Mapping[str, Collection[bytes]], mentions: Callable[[bytes], Collection[bytes]], of: Collection[bytes]
) -> Mapping[bytes, Collection[str]]:
    """Map each of these digests to the repositories whose manifests mention it.

    Args:
        repositories: name → the packed digests of its manifests.
        mentions: of a manifest and of its parts.
        of: packed digests.
    """
    users: dict[bytes, set[str]] = {}
    for name, manifest in _pairs(repositories) if of else ():
        for digest in mentions(manifest):
            if digest in of:
                users.setdefault(digest, set()).add(name)
    return users


def _pairs(repositories: Mapping[str, Collection[bytes]]) -> Iterator[tuple[str, bytes]]:
    return ((name, manifest) for name, manifests in repositories.items() for manifest in manifests)
