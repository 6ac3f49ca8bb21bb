"""Delete doomed digests, a batch at a time, each rechecked and put into the trash right before."""

import threading
from concurrent.futures import ThreadPoolExecutor

from service.domain.errors import RegistryRefused, RegistryUnavailable
from service.domain.manifest import References, UnreadableManifest, read_references
from service.domain.plan import Doomed
from service.domain.state import Tag, subject_of
from service.log import log
from service.registry.client import Manifest
from service.store.keys import short
from service.store.lease import Lease
from service.store.snapshot import Snapshot
from service.store.trash import Kept, Put
from service.wiring import Wiring
from workers import reconcile
from workers.reconcile import being_pushed

_WAIT_S = 0.3
_UNANSWERED_MS = 600_000  # how long a DELETE that was not answered may still be at work at the registry


def delete(wiring: Wiring, repository: str) -> None:
    """Deletes what is doomed in one repository; what is left over stays in the outbox.

    Never beside a collection: while one holds or wants the registry this returns at once, or after the batch under way.
    Raises RegistryUnavailable, RegistryRefused or LeaseLost when it had to stop; everything done is noted by then.
    """
    if wiring.outbox.backing_off("doomed", repository):
        return
    with wiring.leases.hold(f"delete:{repository}", wait_s=_WAIT_S) as lease:
        while lease is not None and (batch := _next_batch(wiring, repository)):
            lease.check()
            snapshot = wiring.history.snapshot(repository)
            if _is_stale(wiring, snapshot, batch):
                wiring.outbox.mark_due([repository])
                wiring.dispatch.enforce(repository)
                return
            with wiring.leases.write() as permit:
                if permit is None:
                    return
                _delete_batch(wiring, snapshot, batch, permit)
            wiring.outbox.succeeded("doomed", repository)


def _next_batch(wiring: Wiring, repository: str) -> tuple[Doomed, ...]:
    """What has tags first; what has none comes in batches of its own, for which the registry is asked more."""
    doomed = wiring.history.doomed(repository)
    tagged = tuple(one for one in doomed if one.tags)
    return (tagged or doomed)[: wiring.settings.delete.batch_size]


def _is_stale(wiring: Wiring, snapshot: Snapshot, batch: tuple[Doomed, ...]) -> bool:
    """Whether what was planned must be planned anew.

    Events may be missing since (safety rule 9), or nothing may be deleted any more. And for a manifest without a tag
    there is no tag to recheck: it goes only when a complete look finds every tag standing where the history says.
    """
    policy = wiring.policies.current()
    if not snapshot.compared or policy is None or policy.dry_run:
        return True
    return any(not doomed.tags for doomed in batch) and reconcile.compare(wiring, snapshot) > 0


def _delete_batch(wiring: Wiring, snapshot: Snapshot, batch: tuple[Doomed, ...], permit: Lease) -> None:
    """Bounded parallelism over one session; the first failure stops what has not begun."""

    failed = threading.Event()

    def work(doomed: Doomed) -> None:
        if failed.is_set():
            return
        try:
            _delete_one(wiring, snapshot, doomed, permit)
        except BaseException:
            failed.set()
            raise

    with ThreadPoolExecutor(wiring.settings.delete.parallel, thread_name_prefix="delete") as pool:
        futures = [pool.submit(work, doomed) for doomed in batch]
    for future in futures:
        future.result()


def _delete_one(wiring: Wiring, snapshot: Snapshot, doomed: Doomed, permit: Lease) -> None:
    """Recheck → trash → DELETE → forget (safety rules 3 and 4)."""
    permit.check()
    standing = _recheck(wiring, snapshot.repository, doomed)
    if isinstance(standing, Tag):
        _refuse_if_young(snapshot.repository, doomed)
        _spare(wiring, snapshot.repository, doomed, f"{standing.name} stands elsewhere")
        if (standing.name, standing.digest) not in {(tag.name, tag.digest) for tag in snapshot.tags}:
            wiring.history.adopt(snapshot, found=[standing])
    elif standing is None:
        _finish(wiring, snapshot, doomed)
    else:
        _delete_manifest(wiring, snapshot, doomed, standing, permit)


def _recheck(wiring: Wiring, repository: str, doomed: Doomed) -> Manifest | Tag | None:
    """The manifest, when each tag that goes with it still stands there or is gone; None when all are gone, or it is.

    A Tag says that this one stands elsewhere, and where.

    One GET proves where the first tag stands and brings the bytes; a conditional HEAD does for the others.
    """
    manifest: Manifest | None = None
    for verdict in doomed.verdicts:
        if not verdict.tag.name:
            return wiring.client.get(repository, doomed.digest)
        if manifest is None:
            manifest = wiring.client.get(repository, verdict.tag.name)
            if manifest is not None and manifest.digest != doomed.digest:
                return Tag(verdict.tag.name, manifest.digest, None, len(manifest.content))
            continue
        standing = wiring.client.head(repository, verdict.tag.name, unless=doomed.digest)
        if standing is not None and standing.digest != doomed.digest:
            return Tag(verdict.tag.name, standing.digest, None, standing.size_bytes)
    return manifest


def _delete_manifest(wiring: Wiring, snapshot: Snapshot, doomed: Doomed, manifest: Manifest, permit: Lease) -> None:
    repository, restarts = snapshot.repository, snapshot.epoch.rpartition(":")[2]
    references = _references(manifest)
    if not references.readable or not _may_follow(wiring, repository, doomed, references):
        wiring.history.resolve(snapshot, {doomed.digest: references})
        _spare(wiring, repository, doomed, "it belongs to an image that is there, or cannot be read")
        return
    put = wiring.trash.put(repository, doomed, manifest.media_type, manifest.content, restarts)
    if put is Put.LEASED:
        _spare(wiring, repository, doomed, "somebody says that it is in use (lease)")
    if put is not Put.KEPT:
        return
    permit.check()
    try:
        wiring.client.delete(repository, doomed.digest)
    except (RegistryUnavailable, RegistryRefused) as error:
        if isinstance(error, RegistryUnavailable):
            permit.linger(_UNANSWERED_MS)
        wiring.history.look_at(repository, doomed.tags)
        raise
    _forget(wiring, snapshot, doomed)


def _may_follow(wiring: Wiring, repository: str, doomed: Doomed, references: References) -> bool:
    """Whether every image that it is about is gone; nothing is about an image that was not planned to follow one."""
    subjects = {subject_of(verdict.tag.name, references) for verdict in doomed.verdicts} - {None}
    if subjects and not all(verdict.follows for verdict in doomed.verdicts):
        return False
    standing = [subject for subject in subjects if subject and wiring.client.head(repository, subject) is not None]
    for subject in standing:
        wiring.history.stands_after_all(repository, subject)
    return not standing


def _finish(wiring: Wiring, snapshot: Snapshot, doomed: Doomed) -> None:
    """Every tag is gone: by a DELETE of ours whose end was not noted, or by somebody else."""
    repository = snapshot.repository
    kept = wiring.trash.get(repository, doomed.digest)
    if kept and wiring.client.get(repository, doomed.digest) is None:
        _clear_dangling(wiring, repository, doomed, kept)
        _forget(wiring, snapshot, doomed)
        return
    _refuse_if_young(repository, doomed)
    _spare(wiring, repository, doomed, "somebody else deleted it, or its tags")
    snapshot = wiring.history.snapshot(repository)
    if doomed.tags:
        wiring.history.adopt(snapshot, vanished=doomed.tags, keep_plan=True)
    else:
        wiring.history.resolve(snapshot, {doomed.digest: None})


def _refuse_if_young(repository: str, doomed: Doomed) -> None:
    """Raises RegistryUnavailable while the registry may not show yet what it announced: then it proves nothing."""
    if any(being_pushed(verdict.tag) for verdict in doomed.verdicts):
        raise RegistryUnavailable(f"a tag of {repository}@{doomed.digest} was pushed just now")


def _clear_dangling(wiring: Wiring, repository: str, doomed: Doomed, kept: Kept) -> None:
    """A registry that ends in the middle of a DELETE leaves tags that point nowhere: only a whole one removes them."""
    listed = set(wiring.client.tags(repository))
    dangling = [tag for tag in doomed.tags if tag in listed]
    try:
        for tag in dangling:
            wiring.history.putting(repository, tag, doomed.digest)
            wiring.client.put(repository, tag, kept.media_type, kept.content)
        if dangling:
            wiring.client.delete(repository, doomed.digest)
    except RegistryRefused as error:
        log.warning("tags point nowhere and cannot be removed", repository=repository, tags=dangling, error=str(error))


def _forget(wiring: Wiring, snapshot: Snapshot, doomed: Doomed) -> None:
    repository, plan_again = snapshot.repository, doomed.digest in snapshot.subjects
    if wiring.history.forget(repository, doomed, wiring.collect_after, plan_again=plan_again):
        wiring.dispatch.enforce(repository)
    for verdict in doomed.verdicts:
        log.info("deleted", tag=verdict.tag.called(repository), digest=doomed.digest, reason=verdict.reason)


def _references(manifest: Manifest) -> References:
    try:
        return read_references(manifest.media_type, manifest.content)
    except UnreadableManifest:
        return References(readable=False)


def _spare(wiring: Wiring, repository: str, doomed: Doomed, why: str) -> None:
    if wiring.outbox.spare(repository, short(doomed.digest)):
        log.info("not deleted", repository=repository, digest=doomed.digest, why=why)
        wiring.dispatch.enforce(repository)
