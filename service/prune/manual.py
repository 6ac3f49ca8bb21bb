"""Manual deletions: preview them, ask for them, and report their result. The workers delete, as always."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime

from service.clock import now_us
from service.dispatch import Dispatch
from service.domain.errors import NoSuchRepository, NoSuchTag, NotDeletable
from service.domain.oci import tombstone
from service.domain.oci.manifest import INDEX_TYPES, References, UnreadableManifest, read_references
from service.domain.oci.names import is_tag
from service.domain.policy.model import Policy
from service.domain.retention import planner
from service.domain.retention.manual import DRY
from service.domain.retention.plan import Verdict
from service.domain.retention.selector import TagSelector
from service.domain.retention.state import ManualDeletion, Tag, Untagged, subject_of
from service.registry import Registry
from service.reports.verdicts import Verdicts
from service.settings import PolicySource
from service.store import Store
from service.store.snapshot import Snapshot


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
        learnt: digest → its references, for untagged manifests that were read now for the first time.
        released: restored digests that are deleted together with `targets`.
    """

    repository: str
    deletions: tuple[Verdict, ...]
    kept: tuple[Verdict, ...]
    targets: Mapping[str, str]
    found: tuple[Tag, ...] = ()
    indexes: frozenset[str] = frozenset()
    learnt: Mapping[str, References] = field(default_factory=dict)
    released: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class DeletionProgress:
    """The progress of a manual deletion.

    Attributes:
        left: number of tags and digests that are not deleted yet.
        waits: the reason why the deletion waits, as a sentence; "" for none.
        trouble: the problem that an operator must fix first, as a sentence; "" for none.
        has_worker: True if a worker is running.
    """

    left: int
    waits: str = ""
    trouble: str = ""
    has_worker: bool = True


def resolve_requests(
    store: Store, registry: Registry, policies: PolicySource, wanted: Sequence[TagSelector], *, force: bool = False
) -> tuple[DeletionRequest, ...]:
    """Return what these names mean now in the history and the registry. Nothing is changed.

    Args:
        wanted: the names that the user gave.
        force: delete protected tags, too, and all tags of a repository that has none of the tags to be spared.

    Raises:
        NoSuchRepository, NoSuchTag: a name matches nothing.
        NotDeletable: a name matches a tag or a digest that must be kept.
        RegistryUnavailable, RegistryRefused: the registry could not be asked.
    """
    known = store.history.repositories()
    names: dict[str, list[TagSelector]] = {}
    for name in wanted:
        repositories = name.repositories(known)
        if not repositories:
            raise NoSuchRepository(f"no repository {name.repository} is known; `pushprune repos` lists them")
        for repository in repositories:
            names.setdefault(repository, []).append(name)
    made = tuple(
        _Resolver(store, registry, policies, repository, force).request(of) for repository, of in sorted(names.items())
    )
    for name in wanted:
        if not name.exclude and not any(_means(name, request) for request in made):
            raise NoSuchTag(f"{name.as_written} does not exist; `pushprune tags {name.repository}` lists them")
    return tuple(request for request in made if request.deletions or request.kept)


def request_deletions(
    store: Store,
    dispatch: Dispatch,
    verdicts: Verdicts,
    requests: Iterable[DeletionRequest],
    by: str,
    *,
    force: bool = False,
) -> tuple[DeletionRequest, ...]:
    """Ask the workers for these deletions. Return what was recorded; a tag that was pushed meanwhile is left out.

    Args:
        by: the user who asks.
        force: ask for protected tags as well, and although the policy says `dry_run`.

    Raises:
        NotDeletable: the policy says `dry_run`.
    """
    if verdicts.is_dry() and not force:
        raise NotDeletable(f"{DRY} while the policy says so; --force deletes these all the same")
    return tuple(_record(store, dispatch, request, by, force=force) for request in requests if request.deletions)


def deletion_progress(store: Store, requests: Iterable[DeletionRequest]) -> DeletionProgress:
    """Return the progress of these manual deletions."""
    remaining, troubles = 0, []
    by_subject = {trouble.about: trouble for trouble in store.outbox.troubles()}
    for request in requests:
        asked, repository = store.manual.requests(request.repository), request.repository
        doomed = [image for image in store.history.doomed(repository) if image.manual and not image.tags]
        waiting = [asked[name] for name in request.targets if name in asked and not asked[name].rejected]
        remaining += len(waiting) + len(doomed)
        since_ms = min((deletion.at_us // 1000 for deletion in waiting), default=0)
        about = (by_subject.get(f"{queue} {repository}") for queue in ("due", "doomed"))
        troubles += [trouble.message for trouble in about if waiting and trouble and trouble.at_ms >= since_ms]
    has_worker = store.outbox.workers() > 0
    waits = _waits(store, has_worker=has_worker) if remaining else ""
    return DeletionProgress(remaining, waits, troubles[0] if troubles else "", has_worker)


def pending_deletions(store: Store, repository: str) -> Mapping[str, ManualDeletion]:
    """Return the manual deletions of a repository that are pending or were rejected, by tag or digest."""
    return store.manual.requests(repository)


def not_deleted(store: Store, requests: Iterable[DeletionRequest]) -> tuple[tuple[str, Verdict, str], ...]:
    """Return (repository, verdict, reason) of each deletion that did not happen. Call it once no work is left."""
    kept = []
    for request in requests:
        asked = store.manual.requests(request.repository)
        live = {tag.name for tag in store.history.live(request.repository)}
        for verdict in request.deletions:
            deletion = asked.get(verdict.tag.name or verdict.tag.digest)
            if deletion and deletion.rejected:
                kept.append((request.repository, verdict, deletion.rejected))
            elif verdict.tag.name in live:
                kept.append((request.repository, verdict, "it was pushed meanwhile, or pointed at another image"))
    return tuple(kept)


def _means(wanted: TagSelector, request: DeletionRequest) -> bool:
    if not wanted.repositories((request.repository,)):
        return False
    if wanted.digest:
        return True
    names = {verdict.tag.name for verdict in (*request.deletions, *request.kept)}
    return bool(wanted.tags(names))


def _record(store: Store, dispatch: Dispatch, request: DeletionRequest, by: str, *, force: bool) -> DeletionRequest:
    snapshot = store.history.snapshot(request.repository)
    if request.found:
        is_first = snapshot.compared_us == 0
        store.history.adopt(
            snapshot, [(replace(tag, found=is_first), "") for tag in request.found], indexes=request.indexes
        )
    if request.learnt:
        store.history.resolve(snapshot, request.learnt)
    noted = store.manual.request(request.repository, request.targets, by, force=force, released=request.released)
    dispatch.enforce(request.repository)
    return replace(request, targets={name: request.targets[name] for name in noted})


def _waits(store: Store, *, has_worker: bool) -> str:
    if not has_worker:
        return "no worker is running: the deletion happens once you start one"
    under, gate = store.collections.progress(), store.gate.state()
    if under or gate:
        stage = under.stage if under else "the gate is closed"
        return f"a garbage collection is running ({stage}): the deletion happens after it"
    return ""


class _Resolver:
    """Resolve the names of a manual deletion in one repository, and decide what is deleted."""

    def __init__(self, store: Store, registry: Registry, policies: PolicySource, repository: str, force: bool) -> None:
        self._store, self._registry, self._policies, self._repository, self._force = (
            store,
            registry,
            policies,
            repository,
            force,
        )
        self._state = store.history.snapshot(repository)
        self._live = {tag.name: tag for tag in self._state.tags}
        listed = {name for name in registry.client.tags(repository) if is_tag(name)}
        self._names = frozenset(self._live) | listed
        self._indexes: set[str] = set()
        self._learnt: dict[str, References] = {}

    def request(self, wanted: Sequence[TagSelector]) -> DeletionRequest:
        """Return the deletion that these names ask for.

        Raises:
            NotDeletable: a tag or digest that was named exactly must be kept.
        """
        targets: dict[str, str] = {}
        for selector in wanted:
            self._refuse_everything(selector)
            targets |= self._tags(selector) if not selector.digest else self._manifest(selector.digest)
        verdicts = self._verdicts(targets)
        for verdict in verdicts:
            exact = any(
                selector.is_exact(verdict.tag.name) or selector.digest == verdict.tag.digest for selector in wanted
            )
            if verdict.kept and exact:
                raise NotDeletable(_why_not(self._repository, verdict))
        unknown = tuple(self._live[name] for name in targets if name in self._live and not self._is_known(name))
        deletions = tuple(verdict for verdict in verdicts if not verdict.kept)
        kept = tuple(verdict for verdict in verdicts if verdict.kept)
        deleted = {name for verdict in deletions for name in (verdict.tag.name, verdict.tag.digest)}
        targets = {name: digest for name, digest in targets.items() if name in deleted}
        released = self._released(targets)
        return DeletionRequest(
            self._repository, deletions, kept, targets, unknown, frozenset(self._indexes), self._learnt, released
        )

    def _released(self, targets: Mapping[str, str]) -> frozenset[str]:
        """Return the restored digests that this deletes: those left without a tag, their parts and their referrers.

        A user who deletes a restored image by hand no longer wants to keep it because of the restore.
        """
        if not self._state.restored:
            return frozenset()
        tagged = {tag.digest for name, tag in self._live.items() if name not in targets}
        whole = {part for digest in targets.values() if digest not in tagged for part in self._state.closure(digest)}
        subjects = [(tag.digest, subject_of(tag.name, self._state.links.get(tag.digest))) for tag in self._state.tags]
        subjects += [(digest, known.subject) for digest, known in self._state.links.items() if known]
        referrers = {digest for digest, subject in subjects if subject in whole}
        return frozenset((whole | referrers) & self._state.restored.keys())

    def _refuse_everything(self, wanted: TagSelector) -> None:
        """Refuse to delete every tag because no tag matches what the user wants to spare: probably a typo."""
        if wanted.exclude and self._names and not wanted.excluded(self._names) and not self._force:
            names = " or ".join(wanted.exclude)
            raise NotDeletable(
                f"no tag of {self._repository} is {names}: all tags would be deleted; add --force if you want that"
            )

    def _tags(self, wanted: TagSelector) -> dict[str, str]:
        """Return tag → digest. The registry is asked about tags that the history does not know."""
        digests = {}
        for name in wanted.tags(self._names):
            tag = self._live.get(name) or self._found(name)
            if tag:
                digests[name] = tag.digest
        return digests

    def _found(self, name: str) -> Tag | None:
        standing = self._registry.client.head(self._repository, name)
        if standing is None or standing.digest == tombstone.DIGEST:
            return None
        if standing.media_type in INDEX_TYPES:
            self._indexes.add(standing.digest)
        self._live[name] = Tag(name, standing.digest, None, standing.size_bytes)
        return self._live[name]

    def _manifest(self, digest: str) -> dict[str, str]:
        """Return the digest and every tag that points at it, each mapped to the digest."""
        tags = [tag for tag in self._state.tags if tag.digest == digest]
        if not tags and digest not in self._state.links:
            self._learn(digest)
        return {tag.name: digest for tag in tags} | {digest: digest}

    def _learn(self, digest: str) -> None:
        manifest = self._registry.client.get(self._repository, digest)
        if manifest is None:
            raise NoSuchTag(f"{self._repository}@{digest} is not there")
        try:
            references = read_references(manifest.media_type, manifest.content)
        except UnreadableManifest as error:
            raise NotDeletable(f"{self._repository}@{digest} cannot be read, so it stays: {error}") from error
        if references.children or references.subject:
            self._learnt[digest] = references

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

    def _with_all(self, asked: Mapping[str, ManualDeletion], released: frozenset[str]) -> Snapshot:
        """Return the snapshot with the tags and manifests that only the registry knows."""
        untagged = {known.digest for known in self._state.untagged}
        held = {tag.digest for tag in self._live.values()}
        new = tuple(Untagged(name, 0) for name in asked if ":" in name and name not in untagged | held)
        return replace(
            self._state,
            tags=tuple(self._live.values()),
            untagged=self._state.untagged + new,
            links={**self._state.links, **self._learnt},
            manual_deletions=asked,
            restored={digest: until for digest, until in self._state.restored.items() if digest not in released},
        )

    def _is_known(self, name: str) -> bool:
        return any(tag.name == name for tag in self._state.tags)


def _why_not(repository: str, verdict: Verdict) -> str:
    forced = "; --force deletes it all the same" if verdict.reason.startswith("protected") else ""
    until_s = (verdict.until_us or 0) // 1_000_000
    until = f", until {datetime.fromtimestamp(until_s, UTC):%Y-%m-%d %H:%M:%S} UTC" if until_s else ""
    return f"{verdict.tag.called(repository)} stays: {verdict.reason}{until}{forced}"
