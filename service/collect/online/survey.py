"""Look at the whole storage, repair what a collection damaged, and decide what the next one does."""

from array import array
from collections.abc import Iterable, Iterator, Sequence
from functools import cached_property

from service.collect.attempt import Attempt
from service.collect.online.marking import Marking
from service.collect.online.repair import Repair
from service.domain.collection.leftovers import unused_links
from service.domain.collection.mentions import LONGEST_MANIFEST, read_mentions
from service.domain.collection.online import Evidence, Moment, OnlinePlan, Rules, UnlinkedBlob, decide, mentioned_by
from service.domain.collection.run import LISTING, MARKING
from service.domain.collection.storage_inventory import StorageInventory
from service.domain.errors import CollectionFailed
from service.registry.objects import ObjectStore
from service.registry.storage_inventory import read_inventory
from service.store import Store

_RETURNED = "were brought back from quarantine: a manifest needs them"
_MENTIONED = "manifests of Docker schema 1 or an unknown format, and all blobs that they mention, are kept"
_STRANGE = (
    "no repository can have the name of these folders of the storage, so no registry serves them; their blobs are kept "
    "until you rename or delete the folders"
)
_NAMED = 3
_WILL_RETURN = "are in quarantine although a manifest needs them: the next collection brings them back"


class Survey:
    """One look at the storage: its inventory and its marks.

    Attributes:
        inventory: all blobs and links.
        began: when the inventory began.
        marking: what must be kept.
        repair: brought back the data that a manifest needs and that was in quarantine.
    """

    def __init__(self, attempt: Attempt, objects: ObjectStore, *, is_dry: bool = False) -> None:
        """Read the inventory, bring back data from quarantine, and mark.

        Args:
            attempt: of the collection or dry run.
            objects: the storage.
            is_dry: write nothing: the data that would be brought back is looked at where it is.

        Raises:
            CollectionFailed: a manifest cannot be read, so that its blobs are not known.
            StorageUnavailable, StorageRefused: the storage cannot be read.
        """
        attempt.progress.at(LISTING)

        def advance(count: int) -> None:
            attempt.lease.check()
            attempt.progress.advance(count)

        redis_us = attempt.store.connection.now_us()
        mentions = attempt.registry.mentions.table()
        self.inventory: StorageInventory = read_inventory(objects, advance, mentions.digests)
        self.began = Moment(self.inventory.began_us, redis_us)
        if self.inventory.unknown_revisions:
            raise CollectionFailed(
                "the storage has a link to a manifest that cannot be parsed, so the blobs that it needs are unknown; "
                f"nothing was deleted: {self.inventory.unknown_revisions[0]}"
            )
        # Before the marks take memory: nearly all tags are forgotten.
        for stored in self.inventory.repositories.values():
            stored.forget_sound_tags()
        attempt.progress.at(MARKING, sum(len(stored.revisions) for stored in self.inventory.repositories.values()))
        self.repair, self._is_dry = Repair(attempt, objects, is_dry=is_dry), is_dry
        self.marking = Marking(objects, self.inventory, mentions, advance)
        self._healing: tuple[bytes, ...] = ()
        self._mark(attempt)
        attempt.registry.mentions.keep_only(self.marking.marks)
        self._young_us = self.began.storage_us - attempt.gc.youth * 1_000_000
        if returned := self.repair.returned:
            attempt.note(f"{len(returned)} blobs {_WILL_RETURN if is_dry else _RETURNED}")
        for remark in self._remarks():
            attempt.note(remark)
        attempt.lease.check()

    def _remarks(self) -> Iterator[str]:
        """Yield a sentence about each kind of content that is kept because it is not understood."""
        if unknown := self.marking.unknown_manifests():
            yield f"{_MENTIONED}: {_first(unknown)}"
        if signatures := self.inventory.signatures:
            yield f"signatures of Docker schema 1 are kept: {len(signatures)}"
        if strange := sorted(self.inventory.strange_folders):
            yield f"{_STRANGE}: {_first(strange)}"

    def _mark(self, attempt: Attempt) -> None:
        """Mark. Data that is needed and missing comes back first: a manifest without data would end the run."""
        repositories = self.inventory.repositories.values()
        self._bring_back(digest for stored in repositories for digest in stored.revisions)
        is_complete = False
        self._healing = tuple(_may_be_healed(attempt.store, attempt.gc.settle))
        while not is_complete:
            self.marking.mark(contents=self._healing)
            is_complete = not self._bring_back(self.marking.marks)

    def _bring_back(self, digests: Iterable[bytes]) -> bool:
        """Bring back those of these blobs that have no data. Returns False if there is none."""
        returned = self.repair.bring_back(digests, lambda digest: self.inventory.blob(digest) is not None)
        for digest, size_bytes in returned.items():
            self.inventory.add_blob(digest, size_bytes, self.inventory.began_us)
            if self._is_dry and size_bytes <= LONGEST_MANIFEST:
                self.marking.learn(digest, self.repair.copy_of(digest))
        return bool(returned)

    @cached_property
    def unused_links(self) -> Sequence[int]:
        """The numbers of the links that no manifest of their repository needs, and none that healing may restore."""
        healed = frozenset[bytes]().union(*(read_mentions(content).digests for content in self._healing))
        unused = unused_links(self.inventory, self.marking.marks, self.marking.numbers_of, self._young_us)
        return array("i", (number for number in unused if self.inventory.link(number).digest not in healed))

    def plan(self, blobs: dict[bytes, UnlinkedBlob], rules: Rules, *, with_links: bool = False) -> OnlinePlan:
        """Decide, with the journal of earlier collections. with_links: delete unused links as well."""
        deleted = {digest: names for digest, names in self.repair.deleted().items() if digest in self.marking.marks}
        # A blob that no manifest needs has no users to look for.
        needed = [blob for digest, blob in blobs.items() if digest in self.marking.marks]
        affected = {name for blob in needed for name in blob.repositories}.union(*deleted.values())
        stored = self.inventory.repositories
        revisions = {name: stored[name].revisions.keys() for name in affected if name in stored}
        users = mentioned_by(revisions, self.marking.everything_of, {*deleted, *(blob.digest for blob in needed)})
        unused: dict[bytes, tuple[str, ...]] = {}
        for link in map(self.inventory.link, self.unused_links if with_links else ()):
            unused[link.digest] = (*unused.get(link.digest, ()), link.repository)
        return decide(Evidence(self.inventory, self.began, self.marking.marks, users, blobs, deleted, unused), rules)


def _may_be_healed(store: Store, settle_s: int) -> Iterator[bytes]:
    """Yield the bytes of the deleted manifests that healing may restore. Their blobs must be kept for that."""
    unhealed = frozenset(name.partition(" ")[0] for name in store.outbox.unhealed())
    since_us = store.connection.now_us() - settle_s * 1_000_000
    for repository, kept in store.trash.manifests():
        if repository in unhealed or kept.at_us > since_us:
            yield kept.content


def _first(names: Sequence[str]) -> str:
    """The first names, and the number of the others."""
    more = len(names) - _NAMED
    return ", ".join(names[:_NAMED]) + (f" and {more} more" if more > 0 else "")
