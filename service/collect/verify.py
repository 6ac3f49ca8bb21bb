"""What is looked at after a sweep: whether the registry claims what is gone, and whether what was pushed is whole."""

from collections.abc import Collection, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from itertools import islice

from service.collect.progress import Progress
from service.collect.restarting import restart
from service.domain.collection.run import CHECKING, STALE, Probe
from service.domain.errors import RegistryRefused, RegistryUnavailable, StaleCache
from service.domain.oci.manifest import UnreadableManifest, read_references
from service.domain.oci.names import is_digest
from service.log import log
from service.registry.integrity import MANIFEST_GONE, flaw
from service.wiring import Wiring

BROKEN = "broken "
_PROBES = 3
_CANDIDATES = 20
_TRASH = 200


@dataclass(frozen=True, slots=True)
class Pushed:
    """What became of the manifests pushed during a collection: how many were looked at, and which are broken."""

    checked: int
    broken: tuple[str, ...]


def choose_probes(wiring: Wiring, eligible: Collection[str]) -> tuple[Probe, ...]:
    """Blobs that are about to be swept and that the registry claims now: afterwards it must not.

    Claiming one puts it into the registry's cache, where there is a cache: so that after the sweep it is sure to lie.
    """
    if wiring.registry is None:
        return ()
    client = wiring.registry
    candidates = islice(_candidates(wiring, frozenset(eligible)), _CANDIDATES)
    return tuple(islice((one for one in candidates if client.claims_blob(one.repository, one.digest)), _PROBES))


def _candidates(wiring: Wiring, eligible: frozenset[str]) -> Iterator[Probe]:
    """Of what we deleted the trash knows the blobs; of what others did, the storage's links."""
    for repository, kept in wiring.trash.manifests(_TRASH):
        try:
            blobs = read_references(kept.media_type, kept.content).blobs
        except UnreadableManifest:
            continue
        yield from (Probe(repository, blob) for blob, _ in blobs if blob in eligible)
    if wiring.storage is not None:
        for repository in wiring.storage.repositories():
            for digest in islice(eligible, _CANDIDATES):
                if wiring.storage.has_layer(repository, digest):
                    yield Probe(repository, digest)


def refuse_stale(
    wiring: Wiring, progress: Progress, probes: Sequence[Probe], name: str, command: Sequence[str] | None
) -> str:
    """Sees to it that the registry does not claim what was collected; returns what is to be noted of that, mostly "".

    command: restarts the registry, which ends the lies of a cache in its memory; name: its setting. It is not run again
    while the alarm stands. Raises StaleCache, with the alarm raised, when it goes on lying.
    """
    progress.at(CHECKING)
    found = lie(wiring, probes)
    if found is None:
        wiring.outbox.mended(STALE)
        return ""
    is_alarmed = any(trouble.about == STALE for trouble in wiring.outbox.troubles())
    if command and not is_alarmed and restart(progress, name, command, lambda: lie(wiring, probes) is None):
        log.warning("the registry claimed what was collected until it was restarted", blob=str(found), by=name)
        return (
            f"the registry claimed {found}, which was collected, until {name} restarted it: "
            "take storage.cache out of its config.yml"
        )
    message = (
        f"the registry goes on claiming {found}, which was collected: a push that believes it is broken; "
        + (f"{name} did not mend that: " if command else "set gc.after to what restarts it, or restart it; and ")
        + "take storage.cache out of its config.yml"
    )
    wiring.outbox.complain(STALE, message)
    raise StaleCache(message)


def lie(wiring: Wiring, probes: Iterable[Probe]) -> Probe | None:
    """The first blob that is claimed and cannot be read. One that can be was pushed again."""
    for probe in probes:
        at = probe.repository, probe.digest
        if wiring.client.claims_blob(*at) and not wiring.client.has_blob(*at):
            return probe
    return None


def look_at_pushed(wiring: Wiring, progress: Progress, since_ms: int) -> Pushed:
    """Looks, blob by blob, at every manifest whose push was recorded since; a broken one is an alarm with its name."""
    if wiring.registry is None:
        return Pushed(0, ())
    progress.at(CHECKING)
    pushes = {(push.repository, push.digest): push.tag for push in wiring.archive.pushes_since(since_ms)}
    with ThreadPoolExecutor(wiring.settings.delete.parallel, thread_name_prefix="check") as pool:
        flaws = list(pool.map(lambda push: _flaw(wiring, *push), pushes))
    broken = {
        f"{repository}:{tag}" if tag else f"{repository}@{digest}": found
        for ((repository, digest), tag), found in zip(pushes.items(), flaws, strict=True)
        if found
    }
    for name, found in broken.items():
        message = f"it was pushed while garbage was collected, and {found}: push it again"
        wiring.outbox.complain(f"{BROKEN}{name}", message)
        log.error("a push was broken", image=name, why=found)
    return Pushed(len(pushes), tuple(broken))


def _flaw(wiring: Wiring, repository: str, digest: str) -> str | None:
    """None also for what was deleted since: nobody misses it."""
    found = flaw(wiring.client, repository, digest, partial(_existed, wiring, repository))
    if found == MANIFEST_GONE and all(tag.digest != digest for tag in wiring.history.live(repository)):
        return None
    return found


def _existed(wiring: Wiring, repository: str, digest: str) -> bool:
    """True if a manifest is known to have been in the repository: its push or deletion was recorded."""
    if wiring.trash.get(repository, digest) is not None:
        return True
    return any(entry.digest == digest for entry in wiring.history.entries(repository, None))


def end_alarms(wiring: Wiring) -> None:
    """A broken image is no trouble any more once it is whole again, or gone."""
    for trouble in wiring.outbox.troubles():
        name = trouble.about.removeprefix(BROKEN)
        if name == trouble.about:
            continue
        repository, at, reference = name.partition("@")
        if not at:
            repository, _, reference = name.rpartition(":")
        try:
            digest = reference if is_digest(reference) else _digest_of(wiring, repository, reference)
            existed = partial(_existed, wiring, repository)
            if digest is None or flaw(wiring.client, repository, digest, existed) in (None, MANIFEST_GONE):
                wiring.outbox.mended(trouble.about)
        except (RegistryUnavailable, RegistryRefused):
            continue  # it is looked at again


def _digest_of(wiring: Wiring, repository: str, tag: str) -> str | None:
    standing = wiring.client.head(repository, tag)
    return standing.digest if standing else None
