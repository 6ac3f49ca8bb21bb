"""Check the registry after a sweep: it must not claim deleted blobs, and images pushed meanwhile must be complete."""

from collections.abc import Collection, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from itertools import islice

from service.collect.progress import Progress
from service.collect.restarting import restart
from service.domain.collection.run import CHECKING, STALE, BlobProbe
from service.domain.errors import RegistryRefused, RegistryUnavailable, StaleCache
from service.domain.oci.manifest import references_of
from service.domain.oci.names import is_digest
from service.log import log
from service.registry import Registry
from service.registry.integrity import MANIFEST_GONE, flaw
from service.store import Store

BROKEN = "broken "
_PROBES = 3
_CANDIDATES = 20
_TRASH = 200


@dataclass(frozen=True, slots=True)
class Pushed:
    """The manifests that were pushed during a collection.

    Attributes:
        checked: the number of manifests that were checked.
        broken: the names of the broken images.
    """

    checked: int
    broken: tuple[str, ...]


def choose_probes(store: Store, registry: Registry, eligible: Collection[str]) -> tuple[BlobProbe, ...]:
    """Choose blobs that will be deleted and that the registry has now: after the sweep it must deny them.

    The HEAD that this takes puts each blob into the registry's cache, if there is one. So a stale cache shows after the
    sweep for certain.
    """
    if not registry.is_configured:
        return ()
    client = registry.client
    candidates = islice(_candidates(store, registry, frozenset(eligible)), _CANDIDATES)
    claimed = (blob for blob in candidates if client.claims_blob(blob.repository, blob.digest))
    return tuple(islice(claimed, _PROBES))


def _candidates(store: Store, registry: Registry, eligible: frozenset[str]) -> Iterator[BlobProbe]:
    """Yield blobs that will be deleted, each with a repository that has it.

    The trash knows the blobs of images that pushprune deleted, the links in the storage those that others deleted.
    """
    for repository, kept in store.trash.manifests(_TRASH):
        blobs = references_of(kept.media_type, kept.content).blobs
        yield from (BlobProbe(repository, blob) for blob, _ in blobs if blob in eligible)
    # In a bucket, this would take a request for each repository and digest.
    if registry.storage is not None and registry.storage.is_on_disk:
        for repository in registry.storage.repositories():
            for digest in islice(eligible, _CANDIDATES):
                if registry.storage.has_layer(repository, digest):
                    yield BlobProbe(repository, digest)


def refuse_stale(
    store: Store,
    registry: Registry,
    progress: Progress,
    probes: Sequence[BlobProbe],
    name: str,
    command: Sequence[str] | None,
) -> str:
    """Ensure that the registry does not claim deleted blobs, by a restart if necessary.

    Args:
        probes: deleted blobs.
        name: of the setting that holds the command.
        command: restarts the registry, which empties a cache in its memory.

    Returns:
        A remark for the record, if the registry had to be restarted; else "".

    Raises:
        StaleCache: the registry still claims a deleted blob. This is reported as a trouble.
    """
    progress.at(CHECKING)
    blob = false_claim(registry, probes)
    if blob is None:
        store.outbox.end_trouble(STALE)
        return ""
    # A restart that did not help once is not repeated at every attempt.
    is_alarmed = any(trouble.about == STALE for trouble in store.outbox.troubles())
    if command and not is_alarmed and restart(progress, name, command, lambda: false_claim(registry, probes) is None):
        log.warning("the registry claimed to have a deleted blob until it was restarted", blob=str(blob), by=name)
        return (
            f"the registry claimed to have {blob}, which was garbage-collected, until {name} restarted it: "
            "remove storage.cache from its config.yml"
        )
    message = (
        f"the registry still claims to have {blob}, which was garbage-collected: pushes that rely on it are broken; "
        + (
            f"{name} did not fix that: "
            if command
            else "set gc.after to a command that restarts it, or restart it; and "
        )
        + "remove storage.cache from its config.yml"
    )
    store.outbox.note_trouble(STALE, message)
    raise StaleCache(message)


def false_claim(registry: Registry, probes: Iterable[BlobProbe]) -> BlobProbe | None:
    """Return the first blob that the registry claims to have and cannot read; None if there is none."""
    for probe in probes:
        at = probe.repository, probe.digest
        # A blob that can be read was pushed again, so the registry is right.
        if registry.client.claims_blob(*at) and not registry.client.has_blob(*at):
            return probe
    return None


def look_at_pushed(store: Store, registry: Registry, progress: Progress, since_ms: int) -> Pushed:
    """Check every blob of every manifest whose push was recorded since, and report each broken image as a trouble."""
    if not registry.is_configured:
        return Pushed(0, ())
    progress.at(CHECKING)
    dropped_ms = store.archive.dropped_until_ms(None)
    if dropped_ms is not None and dropped_ms > since_ms:
        log.warning("the first pushes during the garbage collection were not checked: history.events is too small")
    pushes = {(push.repository, push.digest): push.tag for push in store.archive.pushes_since(since_ms)}
    with ThreadPoolExecutor(registry.parallel, thread_name_prefix="check") as pool:
        flaws = list(pool.map(lambda push: _flaw(store, registry, *push), pushes))
    broken = {
        f"{repository}:{tag}" if tag else f"{repository}@{digest}": damage
        for ((repository, digest), tag), damage in zip(pushes.items(), flaws, strict=True)
        if damage
    }
    for name, damage in broken.items():
        message = f"it was pushed during a garbage collection and is broken ({damage}): push it again"
        store.outbox.note_trouble(f"{BROKEN}{name}", message)
        log.error("an image pushed during a garbage collection is broken", image=name, why=damage)
    return Pushed(len(pushes), tuple(broken))


def _flaw(store: Store, registry: Registry, repository: str, digest: str) -> str | None:
    """Describe the damage of an image; None if it is complete, or was deleted since."""
    damage = flaw(registry.client, repository, digest, partial(_existed, store, repository))
    # A manifest that does not exist, and that no tag points at, was deleted after its push.
    if damage == MANIFEST_GONE and all(tag.digest != digest for tag in store.history.live(repository)):
        return None
    return damage


def _existed(store: Store, repository: str, digest: str) -> bool:
    """True if a manifest is known to have been in the repository: its push or deletion was recorded."""
    if store.trash.get(repository, digest) is not None:
        return True
    return any(entry.digest == digest for entry in store.history.entries(repository, None))


def end_alarms(store: Store, registry: Registry) -> None:
    """Clear the trouble of each broken image that is complete again, or was deleted."""
    for trouble in store.outbox.troubles():
        name = trouble.about.removeprefix(BROKEN)
        if name == trouble.about:
            continue
        repository, at, reference = name.partition("@")
        if not at:
            repository, _, reference = name.rpartition(":")
        try:
            digest = reference if is_digest(reference) else _digest_of(registry, repository, reference)
            existed = partial(_existed, store, repository)
            if digest is None or flaw(registry.client, repository, digest, existed) in (None, MANIFEST_GONE):
                store.outbox.end_trouble(trouble.about)
        except (RegistryUnavailable, RegistryRefused):
            # Without an answer the trouble remains, and is checked again.
            continue


def _digest_of(registry: Registry, repository: str, tag: str) -> str | None:
    standing = registry.client.head(repository, tag)
    return standing.digest if standing else None
