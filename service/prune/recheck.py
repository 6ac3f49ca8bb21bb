"""Recheck: right before something goes it must still stand where the plan saw it (safety rule 3)."""

from dataclasses import dataclass
from typing import Literal

from service.domain.errors import RegistryUnavailable
from service.domain.oci import tombstone
from service.domain.oci.manifest import INDEX_TYPES, References, UnreadableManifest, read_references
from service.domain.retention.plan import Doomed, Verdict
from service.domain.retention.state import Tag, subject_of
from service.reconcile.compare import being_pushed
from service.registry.client import Manifest
from service.registry.storage import Storage
from service.store.snapshot import Snapshot
from service.wiring import Wiring


@dataclass(frozen=True, slots=True)
class Found:
    """Where a tag stands now.

    at: `there` where the plan saw it; `tombstone`: a take-off of ours is not over; `off`: one is, or a DELETE;
    `astray` where a healing of ours put it, before its last push was heard; `gone` by somebody else; `moved` to another
    manifest, which `moved_to` then names, and `is_index` whether it is an index. manifest: the doomed one, where it was
    fetched. stands: the digest that it is astray at.
    """

    at: Literal["there", "tombstone", "off", "astray", "gone", "moved"]
    manifest: Manifest | None = None
    moved_to: Tag | None = None
    is_index: bool = False
    stands: str = ""


def still_said(wiring: Wiring, doomed: Doomed) -> bool:
    """Whether the policy that doomed it is still in force: one that has just changed may keep it."""
    wiring.policies.current()
    return doomed.policy in ("", wiring.policies.name)


def recheck(
    wiring: Wiring, repository: str, doomed: Doomed, verdict: Verdict, *, fetch: bool, disk: Storage | None = None
) -> Found:
    """Where this tag of a doomed digest stands now.

    fetch: with one GET, which brings the manifest's bytes as well; else with a conditional HEAD, which costs the
    registry least and emits no notification. disk: the storage, where that is proved to be what the registry serves:
    it is looked at instead, and the registry is asked only where it does not say that all is as it was.
    Raises RegistryUnavailable for what contradicts a push so young that the registry may not show it yet.
    """
    name, manifest, answer = verdict.tag.name, None, None
    if disk and disk.standing(repository, name) == doomed.digest:
        manifest = disk.manifest(repository, doomed.digest) if fetch else None
        if manifest or not fetch:
            return Found("there", manifest)
    if fetch:
        manifest = wiring.client.get(repository, name)
        standing = Tag(name, manifest.digest, None, len(manifest.content)) if manifest else None
    else:
        answer = wiring.client.head(repository, name, unless=doomed.digest)
        standing = Tag(name, answer.digest, None, answer.size_bytes) if answer else None
    if standing is not None and standing.digest == doomed.digest:
        return Found("there", manifest)
    if standing is not None and standing.digest == tombstone.DIGEST:
        return Found("tombstone")
    if standing is not None and standing.digest == wiring.removals.put_by_us(repository, name):
        return Found("astray", stands=standing.digest)
    if standing is None and wiring.removals.touched(repository, name, verdict.tag.pushed_us):
        return Found("off")
    if being_pushed(verdict.tag):
        raise RegistryUnavailable(f"{repository}:{name} was pushed just now, and the registry does not show it yet")
    met = manifest or answer
    is_index = met is not None and met.media_type in INDEX_TYPES
    return Found("moved", moved_to=standing, is_index=is_index) if standing else Found("gone")


def may_go(wiring: Wiring, snapshot: Snapshot, doomed: Doomed, manifest: Manifest | None) -> bool:
    """Whether its manifest can be read, and every image or index that it goes after is really gone.

    manifest: None where only tags go, or where it is gone itself. What is found is noted for the next plan.
    """
    references = _references(manifest) if manifest else References()
    if references.readable and _may_follow(wiring, snapshot.repository, doomed, references):
        return True
    if manifest:
        wiring.history.resolve(snapshot, {doomed.digest: references})
    return False


def _may_follow(wiring: Wiring, repository: str, doomed: Doomed, references: References) -> bool:
    """Nothing that is about an image goes unless it was planned to follow it."""
    subjects = {subject_of(verdict.tag.name, references) for verdict in doomed.verdicts} - {None}
    if subjects and not all(verdict.follows for verdict in doomed.verdicts):
        return False
    owners = subjects | {verdict.after for verdict in doomed.verdicts} - {""}
    standing = [owner for owner in owners if owner and wiring.client.head(repository, owner) is not None]
    for owner in standing:
        wiring.removals.stands_after_all(repository, owner, index=owner not in subjects)
    return not standing


def _references(manifest: Manifest) -> References:
    try:
        return read_references(manifest.media_type, manifest.content)
    except UnreadableManifest:
        return References(readable=False)
