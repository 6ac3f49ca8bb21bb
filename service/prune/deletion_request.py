"""The tags and manifests that the names of a manual deletion mean in one repository, and what is deleted of them."""

from collections.abc import Collection, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime

from service.clock import now_us
from service.domain.errors import NoSuchTag, NotDeletable, PushpruneError
from service.domain.oci import tombstone
from service.domain.oci.manifest import INDEX_TYPES, References, UnreadableManifest, read_references
from service.domain.oci.names import is_tag
from service.domain.policy.model import Policy
from service.domain.retention import planner
from service.domain.retention.leases import released_by
from service.domain.retention.plan import PROTECTED, Verdict
from service.domain.retention.selector import TagSelector
from service.domain.retention.state import ManualDeletion, Tag, Untagged
from service.reconcile.confirm import unreadable
from service.registry import Registry
from service.settings import PolicySource
from service.store import Store
from service.store.snapshot import Snapshot

_NO_INDEX = References()


@dataclass(frozen=True)
class DeletionRequest:
    """A manual deletion in one repository.

    Attributes:
        repository: its name.
        deletions: verdicts on the named tags and digests that will be deleted.
        kept: verdicts on the named tags and digests that are kept.
        targets: tag, or digest of a manifest → the digest it points at, for everything to be deleted.
        found: tags that the registry has and the history does not know.
        indexes: the digests of `found` that are indexes.
        learnt: digest → its references, for indexes and untagged manifests that were read now for the first time.
        released: restored digests that their restore no longer keeps → until when it would keep them (µs).
    """

    repository: str
    deletions: tuple[Verdict, ...]
    kept: tuple[Verdict, ...]
    targets: Mapping[str, str]
    found: tuple[Tag, ...] = ()
    indexes: frozenset[str] = frozenset()
    learnt: Mapping[str, References] = field(default_factory=dict)
    released: Mapping[str, int] = field(default_factory=dict)


class RequestResolver:
    """Resolve the names of a manual deletion in one repository, and decide what is deleted."""

    def __init__(self, store: Store, registry: Registry, policies: PolicySource, repository: str, force: bool) -> None:
        self._registry, self._policies, self._repository, self._force = registry, policies, repository, force
        self.refused: dict[TagSelector, PushpruneError] = {}
        snapshot = store.history.snapshot(repository)
        # The references of the manifests that are read here are added.
        self._links = dict(snapshot.links)
        self._state = replace(snapshot, links=self._links)
        self._live = {tag.name: tag for tag in self._state.tags}
        listed = {name for name in registry.client.tags(repository) if is_tag(name)}
        self._names = frozenset(self._live) | listed
        self._indexes: set[str] = set()
        self._learnt: dict[str, References] = {}

    def request(self, wanted: Sequence[TagSelector]) -> DeletionRequest:
        """Return the deletion that these names ask for, without the names that are added to `refused`.

        A name is refused if it was named exactly and must be kept, and a digest if it does not exist.
        """
        targets: dict[str, str] = {}
        for selector in wanted:
            try:
                self._refuse_everything(selector)
                meant = self._tags(selector) if not selector.digest else self._manifest(selector.digest)
                self._read_indexes(frozenset(meant.values()))
                targets |= meant
            except (NoSuchTag, NotDeletable) as error:
                self.refused[selector] = error
        accepted = [selector for selector in wanted if selector not in self.refused]
        verdicts = self._verdicts(targets)
        for verdict in verdicts:
            for selector in accepted if verdict.kept else ():
                if selector.is_exact(verdict.tag.name) or selector.digest == verdict.tag.digest:
                    self.refused.setdefault(selector, NotDeletable(_why_not(self._repository, verdict)))
        if not self.refused.keys().isdisjoint(accepted):
            # A digest is refused with all of its tags, so the other names are decided about without it.
            return self.request([selector for selector in accepted if selector not in self.refused])
        unknown = tuple(self._live[name] for name in targets if name in self._live and not self._is_known(name))
        deletions = tuple(verdict for verdict in verdicts if not verdict.kept)
        kept = tuple(verdict for verdict in verdicts if verdict.kept)
        deleted = {name for verdict in deletions for name in (verdict.tag.name, verdict.tag.digest)}
        targets = {name: digest for name, digest in targets.items() if name in deleted}
        released = self._released(targets)
        return DeletionRequest(
            self._repository, deletions, kept, targets, unknown, frozenset(self._indexes), self._learnt, released
        )

    def _released(self, targets: Mapping[str, str]) -> Mapping[str, int]:
        return released_by(replace(self._state, tags=tuple(self._live.values())), targets)

    def _refuse_everything(self, wanted: TagSelector) -> None:
        """Refuse to delete every tag because no tag matches what the user wants to spare: probably a typo."""
        if wanted.exclude and self._names and not wanted.excluded(self._names) and not self._force:
            names = " or ".join(wanted.exclude)
            raise NotDeletable(
                f"{self._repository} has no tag {names}, so all of its tags would be deleted: "
                "add --force if you want that"
            )

    def _tags(self, wanted: TagSelector) -> dict[str, str]:
        """Return tag → digest. The registry is asked about tags that the history does not know."""
        digests = {}
        for name in wanted.tags(self._names):
            tag = self._live.get(name) or self._found(name)
            if tag and wanted.seen and tag.digest != wanted.seen:
                raise NotDeletable(
                    f"{self._repository}:{name} points at another image by now: look at it, then delete it again"
                )
            if tag:
                digests[name] = tag.digest
        return digests

    def _found(self, name: str) -> Tag | None:
        head = self._registry.client.head(self._repository, name)
        if head is None or head.digest in tombstone.DIGESTS:
            return None
        if head.media_type in INDEX_TYPES:
            self._indexes.add(head.digest)
            self._links.setdefault(head.digest, None)
        self._live[name] = Tag(name, head.digest, None)
        return self._live[name]

    def _manifest(self, digest: str) -> dict[str, str]:
        """Return the digest and every tag that points at it, each mapped to the digest."""
        tags = [tag for tag in self._state.tags if tag.digest == digest]
        if not tags and digest not in self._links:
            references = self._references(digest)
            if references is None:
                raise NoSuchTag(f"{self._repository}@{digest}: manifest not found")
            self._learn(digest, references)
        return {tag.name: digest for tag in tags} | {digest: digest}

    def _read_indexes(self, digests: Collection[str]) -> None:
        """Read the indexes among these digests that no worker has read yet, and those among their parts.

        A lease of a part is a lease of its index. So the parts must be known before their leases can be released.
        """
        if not (self._state.restored or self._state.leased):
            return
        while unread := self._unread_indexes(digests):
            with ThreadPoolExecutor(self._registry.parallel, thread_name_prefix="index") as pool:
                references = tuple(pool.map(self._references, unread))
            for index, known in zip(unread, references, strict=True):
                if known:
                    self._learn(index, known)
                else:
                    # An index that does not exist has no parts that its lease could protect.
                    self._links[index] = _NO_INDEX

    def _unread_indexes(self, digests: Iterable[str]) -> Sequence[str]:
        needed = {part for digest in digests for part in self._state.closure(digest)}
        return sorted(digest for digest in needed if self._links.get(digest, _NO_INDEX) is None)

    def _references(self, digest: str) -> References | None:
        """Read the references of a manifest at the registry; None if it does not exist."""
        manifest = self._registry.client.get(self._repository, digest)
        if manifest is None:
            return None
        try:
            return read_references(manifest.media_type, manifest.content)
        except UnreadableManifest as error:
            if digest in self._links:
                raise NotDeletable(unreadable(self._repository, digest, error)) from error
            raise NotDeletable(f"{self._repository}@{digest} cannot be read, so it is kept: {error}") from error

    def _learn(self, digest: str, references: References) -> None:
        if references.children or references.subject or digest in self._links:
            self._links[digest] = self._learnt[digest] = references
        for index in references.indexes:
            self._links.setdefault(index, None)

    def _verdicts(self, targets: Mapping[str, str]) -> tuple[Verdict, ...]:
        """Decide as the workers will: from a plan of these manual deletions alone."""
        policy = (self._policies.current() or Policy()).model_copy(update={"dry_run": False})
        at_us = now_us()
        asked = {name: ManualDeletion(digest, "", at_us, force=self._force) for name, digest in targets.items()}
        state = self._with_all(asked, self._released(targets))
        plan = planner.plan(state, policy, at_us, manual_only=True)
        return tuple(
            verdict for verdict in (*plan.verdicts, *plan.untagged) if (verdict.tag.name or verdict.tag.digest) in asked
        )

    def _with_all(self, asked: Mapping[str, ManualDeletion], released: Collection[str]) -> Snapshot:
        """Return the snapshot with the tags and manifests that only the registry knows."""
        untagged = {known.digest for known in self._state.untagged}
        held = {tag.digest for tag in self._live.values()}
        new = tuple(Untagged(name, 0) for name in asked if ":" in name and name not in untagged | held)
        return replace(
            self._state,
            tags=tuple(self._live.values()),
            untagged=self._state.untagged + new,
            links=dict(self._links),
            manual_deletions=asked,
            restored={digest: until for digest, until in self._state.restored.items() if digest not in released},
        )

    def _is_known(self, name: str) -> bool:
        return any(tag.name == name for tag in self._state.tags)


def _why_not(repository: str, verdict: Verdict) -> str:
    forced = "; --force deletes it anyway" if verdict.reason.startswith(PROTECTED) else ""
    until_s = (verdict.until_us or 0) // 1_000_000
    until = f", until {datetime.fromtimestamp(until_s, UTC):%Y-%m-%d %H:%M:%S} UTC" if until_s else ""
    return f"{verdict.tag.called(repository)} is kept: {verdict.reason}{until}{forced}"
