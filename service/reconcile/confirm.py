"""Confirm at the registry what a plan assumes, before anything is deleted."""

from collections.abc import Iterable

from service.domain.errors import RegistryUnavailable
from service.domain.oci.manifest import INDEX_TYPES, References, UnreadableManifest, read_references
from service.domain.oci.names import is_tag
from service.domain.retention.plan import Plan
from service.domain.retention.state import Tag
from service.reconcile.compare import TagComparison, proof_in_time
from service.registry import Registry
from service.registry.listing import tags_of
from service.registry.storage import ReadableStorage
from service.store import Store
from service.store.snapshot import Snapshot


def confirm(store: Store, registry: Registry, snapshot: Snapshot, plan: Plan) -> bool:
    """Return True if the registry lists every tag that the plan keeps, and no tag that the history does not know.

    Any other tag is compared. A doomed tag may be missing: its deletion may be under way.
    """
    doomed = {name for image in plan.doomed for name in image.tags}
    unknown = set(tags_of(registry.client, registry.storage, snapshot.repository))
    missing: list[str] = []
    # Crossed off one by one, and only what is left is parsed: a quarter of the time of two sets, with 100,000 tags.
    for tag in snapshot.tags:
        try:
            unknown.remove(tag.name)
        except KeyError:
            if tag.name not in doomed:
                missing.append(tag.name)
    # A name that cannot be a tag is a stray file in the storage.
    unclear = sorted((*missing, *filter(is_tag, unknown)))
    return not unclear or TagComparison(store, registry, snapshot).adopt(unclear, complete=False) == 0


def correct_reports(store: Store, registry: Registry, snapshot: Snapshot, plan: Plan) -> bool:
    """Record the true state of pushes that may have caused these deletions and were not as reported. True if any.

    A holder of the notify token can report any push. The move of a tag is believed once the registry confirms it. A
    tag that is new to the history is confirmed by the list of tags, unless a deletion was reported since the last
    list. If the storage is mounted, the link of the tag proves the time of its push as well.

    Raises:
        RegistryUnavailable: a push is so young that the registry may not show it yet.
    """
    if not any(image.tags for image in plan.doomed):
        return False
    # Also reports from before the pushes of the doomed tags: one may hide a kept tag that points at a doomed image.
    reported = [tag for tag in snapshot.tags if not tag.proved]
    if registry.storage is not None:
        return _correct_by_storage(store, registry, registry.storage, snapshot, reported)
    moved = sorted(snapshot.doubtful_tags)
    return bool(moved) and TagComparison(store, registry, snapshot).adopt(moved, complete=False) > 0


def _correct_by_storage(
    store: Store, registry: Registry, storage: ReadableStorage, snapshot: Snapshot, reported: list[Tag]
) -> bool:
    repository = snapshot.repository
    elsewhere = sorted(tag.name for tag in reported if storage.digest_of(repository, tag.name) != tag.digest)
    if elsewhere and TagComparison(store, registry, snapshot).adopt(elsewhere, complete=False):
        return True
    manifests = [(tag, storage.manifest(repository, tag.digest)) for tag in reported if tag.name not in elsewhere]
    proofs = [
        proof_in_time(registry, repository, tag, is_index=manifest.media_type in INDEX_TYPES)
        for tag, manifest in manifests
        if manifest is not None
    ]
    return store.facts.prove(snapshot, proofs) > 0


def resolve(store: Store, registry: Registry, snapshot: Snapshot, digests: Iterable[str]) -> None:
    """Read these manifests and record their parts and their subjects."""
    repository = snapshot.repository
    learnt: dict[str, References | None] = {}
    for digest in digests:
        manifest = registry.client.get(repository, digest)
        if manifest is None:
            learnt[digest] = None
            continue
        try:
            learnt[digest] = read_references(manifest.media_type, manifest.content)
        except UnreadableManifest as error:
            if digest not in snapshot.links:
                # The manifest is not known to be an index: nothing else depends on it, and it is kept.
                learnt[digest] = References(readable=False)
                continue
            raise RegistryUnavailable(unreadable(repository, digest, error)) from error
    store.facts.resolve(snapshot, learnt)


def unreadable(repository: str, digest: str, error: UnreadableManifest) -> str:
    """Return the error sentence for an unreadable index or artifact, whose references to images are unknown."""
    return (
        f"{repository}@{digest} is an index or an artifact that cannot be read ({error}); nothing is deleted in "
        "this repository while this manifest exists: if no user needs the manifest, delete it with another client, "
        f"such as crane delete HOST:PORT/{repository}@{digest}"
    )
