"""Heal a lost race: a tag that a delete of ours took along is put back (safety rule 5)."""

from service.domain.errors import LeaseLost, RegistryUnavailable
from service.domain.retention import Tag
from service.log import log
from service.store.history import Snapshot, tag_of
from service.wiring import Wiring


def heal(wiring: Wiring, snapshot: Snapshot) -> None:
    """Looks at each tag that may have been taken along, and puts it back from the registry or the trash.

    Raises LeaseLost while a collection holds the registry: nothing may be written then; the sweep comes again.
    """
    live = {tag.name: tag for tag in snapshot.tags}
    with wiring.leases.write() as permit:
        if permit is None:
            raise LeaseLost("a collection holds the registry; healing goes on after it")
        for member in snapshot.heal:
            permit.check()
            tag = live.get(tag_of(member))
            reason = _put_back(wiring, snapshot.repository, tag) if tag else None
            wiring.history.healed(snapshot.repository, member, tag.digest if tag else "", reason)


def _put_back(wiring: Wiring, repository: str, tag: Tag) -> str | None:
    """Why the tag was put back, or None when it stands or cannot be put back."""
    if wiring.client.head(repository, tag.name) is not None:
        return None
    manifest = wiring.client.get(repository, tag.digest) or wiring.trash.get(repository, tag.digest)
    where = f"{repository}:{tag.name}"
    if manifest is None:
        log.error("a tag was lost and cannot be put back: push it again", tag=where, digest=tag.digest)
        return None
    put = wiring.client.put(repository, tag.name, manifest.media_type, manifest.content)
    if put != tag.digest:
        raise RegistryUnavailable(f"the registry stored {where} as {put} instead of {tag.digest}")
    log.warning("healed", tag=where, digest=tag.digest)
    return "a delete of ours had taken it along; it stands again at its last push"
