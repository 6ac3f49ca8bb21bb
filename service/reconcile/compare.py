"""Compare the history of a repository with the registry."""

import time
from collections.abc import Collection, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from service.clock import now_us
from service.domain.errors import MisnamedManifest, RegistryUnavailable
from service.domain.oci import tombstone
from service.domain.oci.manifest import INDEX_TYPES, References, references_of
from service.domain.oci.names import is_tag
from service.domain.retention.state import Tag
from service.log import log
from service.reconcile.emptied import may_be_our_loss, refuse_emptied
from service.reconcile.lost_parts import check_parts
from service.reconcile.pace import Pace, UnlimitedPace
from service.reconcile.push_times import infer_push_time, prove
from service.reconcile.unreported_referrers import find_referrers
from service.registry import Registry
from service.registry.listing import tags_of
from service.registry.manifest import ManifestHead
from service.store import Store
from service.store.facts import Proof
from service.store.snapshot import Snapshot

_LONGEST_PAUSE_S = 0.5
_UNLIMITED = UnlimitedPace()
YOUNG_S = 10.0


@dataclass(frozen=True, slots=True)
class Compared:
    """The result of comparing one repository.

    Attributes:
        tags: number of tags that were compared.
        changed: tags whose history was corrected.
        missing: tags that a deletion by pushprune removed; the history keeps them until they are restored.
        lost: parts that an index lacks although they were there.
    """

    tags: int
    changed: int
    missing: int = 0
    lost: int = 0

    @property
    def differed(self) -> int:
        """The number of tags in which the history and the registry differed, and of parts that an index lacks."""
        return self.changed + self.missing + self.lost


def compare(
    store: Store, registry: Registry, snapshot: Snapshot, pace: Pace = _UNLIMITED, *, trusts_listing: bool = False
) -> Compared:
    """Compare all tags of one repository: adopt unknown and moved tags, drop tags that vanished.

    A known tag costs one conditional HEAD, which emits no notification. An unknown tag costs one GET, which also
    returns the references of its manifest.

    Args:
        trusts_listing: True if a user has named this repository: then all of its tags may be missing.

    Raises:
        RegistryUnavailable, RegistryRefused: a part of the comparison failed; nothing counts as compared.
    """
    known = {tag.name: tag.digest for tag in snapshot.tags}
    pace.take()
    listed = listed_tags(registry, snapshot.repository)
    names = sorted({*listed, *known})
    pace.expect(len(names))
    comparison = TagComparison(store, registry, snapshot, pace, trusts_listing=trusts_listing)
    changed = comparison.adopt(names, complete=True)
    if trusts_listing:
        _drop_unrestorable(store, registry, snapshot.repository, comparison.vanished)
    missing = _request_healing_of_missing(store, snapshot.repository, comparison.vanished)
    done = Compared(len(names), changed, missing, check_parts(store, registry, snapshot))
    find_referrers(store, registry, snapshot.repository)
    log.info("compared with the registry", repository=snapshot.repository, tags=done.tags, changed=done.differed)
    if not listed and store.unseen.forget(snapshot.repository):
        log.info("a repository without a tag was removed from the history", repository=snapshot.repository)
    return done


def _drop_unrestorable(store: Store, registry: Registry, repository: str, vanished: Collection[str]) -> None:
    """Remove missing tags from the history that healing cannot restore, and that only a user can have deleted.

    Healing itself needs a proof that the storage is the right one, which is the word of the user here.
    """
    snapshot = store.history.snapshot(repository) if vanished else None
    if snapshot is None:
        return
    missing = [tag for tag in snapshot.tags if tag.name in vanished and not may_be_our_loss(store, repository, tag)]
    lost = [tag.name for tag in missing if registry.client.head(repository, tag.digest) is None]
    if lost:
        store.facts.adopt(snapshot, vanished=lost, lost=True)
        # If a tag points at a manifest that pushprune pushed, the next look removes that tag.
        store.deletions.request_healing(repository, lost)


def _request_healing_of_missing(store: Store, repository: str, vanished: Collection[str]) -> int:
    """Have healing restore the missing tags that a deletion by pushprune removed; return their number."""
    if not vanished:
        return 0
    live = {tag.name for tag in store.history.live(repository)}
    doomed = {name for image in store.history.doomed(repository) for name in image.tags}
    missing = sorted(live.intersection(vanished) - doomed)
    if missing:
        store.deletions.request_healing(repository, missing)
    return len(missing)


def listed_tags(registry: Registry, repository: str) -> set[str]:
    """Return the tags of a repository, without names that cannot be tags (stray files in its storage)."""
    return {name for name in tags_of(registry.client, registry.storage, repository) if is_tag(name)}


class TagComparison:
    """The comparison of tags of one repository with the registry.

    Attributes:
        vanished: the known tags that the registry does not have.
    """

    def __init__(
        self,
        store: Store,
        registry: Registry,
        snapshot: Snapshot,
        pace: Pace = _UNLIMITED,
        *,
        trusts_listing: bool = False,
    ) -> None:
        self._store, self._registry, self._snapshot = store, registry, snapshot
        self._pace, self._trusts_listing = pace, trusts_listing
        self._before = {tag.name: tag for tag in snapshot.tags}
        self._read: dict[str, References] = {}
        self.vanished: list[str] = []

    def adopt(self, names: list[str], *, complete: bool) -> int:
        """Compare these tags, record what differs, and return the number of changed tags.

        Args:
            complete: True if these are all tags of the repository: then it counts as compared.
        """
        store, snapshot = self._store, self._snapshot
        heads = self._heads(names)
        self.vanished += [name for name, head in heads.items() if head is None and name in self._before]
        if not self._trusts_listing:
            refuse_emptied(store, self._registry, snapshot, self.vanished, heads)
        differing = {
            name: head
            for name, head in heads.items()
            if head and (name not in self._before or self._before[name].digest != head.digest)
        }
        tags = self._dated(heads, differing)
        indexes = frozenset(head.digest for head in differing.values() if head.media_type in INDEX_TYPES)
        # Their pushes were not reported, so one of our deletions may have removed parts of these indexes.
        if indexes:
            store.deletions.request_healing(snapshot.repository, sorted(indexes))
        media_types = {head.digest: head.media_type for head in differing.values()}
        changed = store.facts.adopt(snapshot, tags, self.vanished, indexes, media_types, complete=complete)
        self._note_references(indexes)
        return changed + self._prove(heads)

    def _heads(self, names: list[str]) -> dict[str, ManifestHead | None]:
        """Map each tag to the manifest that it points at, None if it is missing; tags at a tombstone are left out."""

        def head_of(name: str) -> ManifestHead | None:
            self._pace.take()
            if name not in self._before:
                return _head_of_unknown(self._registry, self._snapshot.repository, name, self._read)
            return _head_of_known(self._registry, self._snapshot.repository, name, self._before[name])

        with ThreadPoolExecutor(self._registry.parallel, thread_name_prefix="look") as pool:
            heads = dict(zip(names, pool.map(head_of, names), strict=True))
        return _without_tombstones(self._store, self._snapshot.repository, heads, self._before)

    def _dated(
        self, heads: Mapping[str, ManifestHead | None], differing: Mapping[str, ManifestHead]
    ) -> list[tuple[Tag, str]]:
        """Return the tags to record, each with the source of its push time."""

        def infer(name: str, head: ManifestHead) -> tuple[Tag, str]:
            read = self._read.get(head.digest)
            size_bytes = read.size_bytes if read else 0
            before = self._before.get(name)
            is_own = self._store.deletions.own_put(self._snapshot.repository, name) == head.digest
            return infer_push_time(self._registry, self._snapshot, name, head, before, size_bytes, is_own=is_own)

        tags = [infer(name, head) for name, head in differing.items()]
        # The storage may have been mounted since a tag was first seen: then its link proves the push time.
        unannounced = [name for name, tag in self._before.items() if tag.unannounced and name not in differing]
        seen = (infer(name, head) for name in unannounced if (head := heads.get(name)))
        return tags + [(tag, source) for tag, source in seen if not tag.unannounced]

    def _note_references(self, indexes: Collection[str]) -> None:
        """Record the references of manifests that were read on the way, so that they need not be read again."""
        holding = {
            digest: references
            for digest, references in self._read.items()
            if digest in indexes or references.children or references.subject
        }
        if holding:
            self._store.facts.resolve(self._snapshot, holding)
        self._store.facts.learn(self._snapshot.repository, self._read)

    def _prove(self, heads: Mapping[str, ManifestHead | None]) -> int:
        """Record that known tags were seen where the history has them; return the number of corrected push times."""
        known = ((self._before[name], head) for name, head in heads.items() if head and name in self._before)
        proofs = [
            proof_in_time(self._registry, self._snapshot.repository, tag, is_index=head.media_type in INDEX_TYPES)
            for tag, head in known
            if not tag.proved and tag.digest == head.digest
        ]
        return self._store.facts.prove(self._snapshot, proofs)


def _without_tombstones(
    store: Store, repository: str, heads: dict[str, ManifestHead | None], known: Collection[str]
) -> dict[str, ManifestHead | None]:
    """Return the tags without those at a tombstone: an untag is under way, or was interrupted and is healed."""
    untagging = {name: head.digest for name, head in heads.items() if head and head.digest in tombstone.DIGESTS}
    if untagging:
        known_names = {name for name in untagging if name in known}
        store.deletions.request_healing(repository, sorted({*untagging.values(), *known_names}))
    return {name: head for name, head in heads.items() if name not in untagging}


def being_pushed(tag: Tag) -> bool:
    """Return True if a tag was pushed so recently that the registry may not show it yet.

    The registry sends the event of a push before it links the tag and answers the client (measured on 2.8.3: up
    to 50 ms).
    """
    return tag.pushed_us is not None and now_us() - tag.pushed_us < YOUNG_S * 1_000_000


def proof_in_time(registry: Registry, repository: str, tag: Tag, *, is_index: bool) -> Proof:
    """Return the proof of a tag, after waiting for the link of a young push.

    A repeated push writes the link of its tag again, up to 50 ms after its event.
    """
    pause_s = 0.01
    while (proof := prove(registry, repository, tag, is_index=is_index)).link_us is not None and being_pushed(tag):
        if pause_s > _LONGEST_PAUSE_S:
            raise RegistryUnavailable(
                f"{repository}:{tag.name} was reported as pushed just now, and its link in the storage is older"
            )
        time.sleep(pause_s)
        pause_s *= 2
    return proof


def _head_of_unknown(
    registry: Registry, repository: str, name: str, read: dict[str, References]
) -> ManifestHead | None:
    """Return the manifest that an unknown tag points at, None if it is missing. Adds readable references to `read`."""
    try:
        manifest = registry.client.get(repository, name)
    except MisnamedManifest:
        return registry.client.head(repository, name)
    if manifest is None:
        return None
    references = references_of(manifest.media_type, manifest.content)
    if references.readable:
        read[manifest.digest] = references
    return ManifestHead(manifest.digest, manifest.media_type)


def _head_of_known(registry: Registry, repository: str, name: str, known: Tag) -> ManifestHead | None:
    """Return the manifest that a known tag points at, None if the tag is missing.

    An answer that contradicts a young push is not believed: the registry is asked again for 0.6 s, then
    RegistryUnavailable is raised.
    """
    pause_s = 0.01
    while True:
        # The answer to a conditional HEAD lacks the media type, which the event of an unproved tag may have forged.
        head = registry.client.head(repository, name, unless=known.digest if known.proved else None)
        if (head and head.digest in (known.digest, *tombstone.DIGESTS)) or not being_pushed(known):
            return head
        if pause_s > _LONGEST_PAUSE_S:
            raise RegistryUnavailable(
                f"{repository}:{name} was pushed just now, and the registry does not show this push"
            )
        time.sleep(pause_s)
        pause_s *= 2
