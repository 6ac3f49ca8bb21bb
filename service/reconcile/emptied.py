"""Notice a registry that was restarted on an empty or another storage, before its missing tags leave the history."""

import random
from collections.abc import Collection, Mapping

from service.domain.errors import RegistryRefused
from service.domain.retention.state import Tag
from service.registry.manifest import ManifestHead
from service.store.snapshot import Snapshot
from service.wiring import Wiring

_REPOSITORIES = 20
_TAGS = 5


def refuse_emptied(
    wiring: Wiring, snapshot: Snapshot, missing: Collection[str], standings: Mapping[str, ManifestHead | None]
) -> None:
    """Refuse to compare a repository whose known tags may all be missing because the storage is another one.

    The storage changes only while the registry is down, so this asks for a proof in the first comparison after a
    restart: a tag that is not newer than the missing tags and still points at its digest, here or in another
    repository. A tag that was pushed later proves nothing, as it may have been pushed into the empty storage.

    Raises:
        RegistryRefused: there is no such proof. Nothing counts as compared, so that nothing is deleted.
    """
    if not snapshot.was_restarted:
        return
    doomed = {name for image in wiring.history.doomed(snapshot.repository) for name in image.tags}
    # One of our own deletions may have removed these tags, so their absence says nothing about the storage.
    touched = {member.removesuffix(" again") for member, _ in snapshot.heal}
    lost = [tag for tag in snapshot.tags if tag.name in missing and tag.name not in doomed | touched]
    if not lost:
        return
    newest_us = max(tag.pushed_us or 0 for tag in lost)
    for tag in snapshot.tags:
        standing = standings.get(tag.name)
        if standing and standing.digest == tag.digest and _is_proof(tag, newest_us):
            return
    if not _is_proved_elsewhere(wiring, snapshot.repository, newest_us):
        raise RegistryRefused(
            f"all {len(lost)} known tags of {snapshot.repository} are missing since the registry was restarted, and no "
            "older image is there in any repository that was looked at: its storage may be empty or another one, so "
            "nothing is changed. See that its storage is right; if these tags are really deleted: "
            f"pushprune reconcile {snapshot.repository}"
        )


def _is_proof(tag: Tag, newest_us: int) -> bool:
    """Return True if the tag was there before the restart. A tag that is only sighted may have been pushed after it."""
    return not tag.sighted and (tag.pushed_us or 0) <= newest_us


def _is_proved_elsewhere(wiring: Wiring, repository: str, newest_us: int) -> bool:
    others = [name for name in wiring.history.repositories() if name != repository]
    asked = 0
    for other in random.sample(others, min(_REPOSITORIES, len(others))):
        older = [tag for tag in wiring.history.live(other) if _is_proof(tag, newest_us)]
        if not older:
            continue
        standing = wiring.client.head(other, older[0].name, unless=older[0].digest)
        if standing and standing.digest == older[0].digest:
            return True
        asked += 1
        if asked == _TAGS:
            break
    return False
