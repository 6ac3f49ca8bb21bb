"""Recheck right before a deletion that a tag still points where the plan saw it (safety rule 3)."""

from dataclasses import dataclass
from enum import StrEnum

from service import tracing
from service.domain.errors import RegistryUnavailable
from service.domain.oci import tombstone
from service.domain.oci.manifest import INDEX_TYPES, References, references_of
from service.domain.retention.plan import Doomed, Verdict
from service.domain.retention.state import Tag, subject_of
from service.prune.batch import Batch
from service.reconcile.compare import being_pushed
from service.registry.manifest import Manifest
from service.registry.storage import ReadableStorage
from service.settings import PolicySource


class RecheckState(StrEnum):
    """The state of a tag right before its deletion."""

    UNCHANGED = "unchanged"  # points at the doomed digest
    TOMBSTONE = "tombstone"  # points at a tombstone: an untag was interrupted
    REMOVED = "removed"  # was deleted by pushprune: by an untag or a DELETE
    HEALED = "healed"  # points where healing put it, before its last push was reported
    VANISHED = "vanished"  # was deleted by another client
    MOVED = "moved"  # points at another manifest


@dataclass(frozen=True, slots=True)
class RecheckResult:
    """The result of a recheck.

    Attributes:
        state: of the tag.
        manifest: the doomed manifest, if this recheck fetched it, or this process has read it before.
        moved_to: the tag with its new digest, if it was moved.
        is_index: True if `moved_to` points at an index.
        healed_digest: the digest that a healed tag points at.
    """

    state: RecheckState
    manifest: Manifest | None = None
    moved_to: Tag | None = None
    is_index: bool = False
    healed_digest: str = ""


def is_of_current_policy(policies: PolicySource, doomed: Doomed) -> bool:
    """Return True if the policy that doomed the image is still the current one: a changed policy may keep the image."""
    policies.current()
    return doomed.policy in ("", policies.name)


def recheck(
    batch: Batch, doomed: Doomed, verdict: Verdict, *, fetch: bool, storage: ReadableStorage | None
) -> RecheckResult:
    """Return the state of this tag of a doomed digest.

    Args:
        fetch: True if the manifest's bytes are needed, too. Where this process has read them before, and otherwise
            without `fetch`, a conditional HEAD is sent, which costs the registry least and emits no notification.
        storage: if proved to be the registry's. It is read instead of the registry; the registry is asked
            only if the storage does not show the tag at the doomed digest.

    Raises:
        RegistryUnavailable: the answer contradicts a push so young that the registry may not show it yet.
    """
    with tracing.span("recheck", tags=(verdict.tag.name,)):
        result = _recheck(batch, doomed, verdict, fetch=fetch, storage=storage)
        tracing.note(result=result.state.value)
        return result


def _recheck(
    batch: Batch, doomed: Doomed, verdict: Verdict, *, fetch: bool, storage: ReadableStorage | None
) -> RecheckResult:
    registry, repository = batch.registry, batch.repository
    name, manifest, answer = verdict.tag.name, None, None
    if storage and storage.digest_of(repository, name) == doomed.digest:
        manifest = storage.manifest(repository, doomed.digest) if fetch else None
        if manifest or not fetch:
            return RecheckResult(RecheckState.UNCHANGED, manifest)
    # Bytes that match their digest never change, so only the tag must be proved (safety rule 3). A 304 does not prove
    # that the manifest exists: if it does not exist, the DELETE answers 404.
    known = registry.client.recall(repository, doomed.digest) if fetch else None
    if fetch and known is None:
        manifest = registry.client.get(repository, name)
        tag = Tag(name, manifest.digest, None) if manifest else None
    else:
        answer = registry.client.head(repository, name, unless=doomed.digest)
        tag = Tag(name, answer.digest, None) if answer else None
    if tag is not None and tag.digest == doomed.digest:
        return RecheckResult(RecheckState.UNCHANGED, manifest or known)
    if tag is not None and tag.digest in tombstone.DIGESTS:
        return RecheckResult(RecheckState.TOMBSTONE)
    if tag is not None and tag.digest == batch.store.deletions.own_put(repository, name):
        return RecheckResult(RecheckState.HEALED, healed_digest=tag.digest)
    if tag is None and batch.store.deletions.touched(repository, name, verdict.tag.pushed_us):
        return RecheckResult(RecheckState.REMOVED)
    if being_pushed(verdict.tag):
        raise RegistryUnavailable(f"{repository}:{name} was pushed just now, and the registry does not show this push")
    current = manifest or answer
    is_index = current is not None and current.media_type in INDEX_TYPES
    if tag is None:
        return RecheckResult(RecheckState.VANISHED)
    return RecheckResult(RecheckState.MOVED, moved_to=tag, is_index=is_index)


def may_be_deleted(batch: Batch, doomed: Doomed, manifest: Manifest | None) -> bool:
    """Return True if the manifest can be read, and every image or index that had to be deleted before does not exist.

    If not, the reason is recorded for the next plan.

    Args:
        manifest: the doomed manifest; None if only tags are deleted, or if the manifest no longer exists.
    """
    references = references_of(manifest.media_type, manifest.content) if manifest else References()
    if references.readable and _are_owners_deleted(batch, doomed, references):
        return True
    if manifest:
        batch.store.facts.resolve(batch.snapshot, {doomed.digest: references})
    return False


def _are_owners_deleted(batch: Batch, doomed: Doomed, references: References) -> bool:
    """Return True unless the image is a referrer that was not planned as one, or its subject or index still exists."""
    about = [(verdict, subject_of(verdict.tag.name, references)) for verdict in doomed.verdicts]
    # A signature that was also pushed as v1 is an image there, and a referrer under its own tag.
    if any(subject and not verdict.follows for verdict, subject in about):
        return False
    subjects = {subject for _, subject in about} - {None}
    owners = subjects | {verdict.after for verdict in doomed.verdicts} - {""}
    existing = [owner for owner in owners if owner and batch.registry.client.head(batch.repository, owner) is not None]
    for owner in existing:
        batch.store.deletions.still_exists(batch.repository, owner, index=owner not in subjects)
    return not existing
