"""Compare the manifests that a collector marked with those that exist at the registry.

The exit code of the collector proves nothing: see "garbage-collect" in `service/README.md`.
"""

from collections.abc import Collection
from dataclasses import dataclass, field

from service.domain.errors import AccessDenied, CollectionFailed, StoreDamaged
from service.registry import Registry
from service.store import Store

Marks = Collection[tuple[str, str]]


@dataclass(frozen=True, slots=True)
class Comparison:
    """A comparison of the history with the marks. The next one reads only repositories that changed since.

    Attributes:
        generations: repository → its generation when it was compared.
        absent: (repository, digest) → name of the manifests that were not marked, because they do not exist.
    """

    generations: dict[str, str] = field(default_factory=dict)
    absent: dict[tuple[str, str], str] = field(default_factory=dict)


def refuse_unmarked(store: Store, registry: Registry, marks: Marks, before: Comparison | None = None) -> Comparison:
    """Refuse the sweep if the collector did not mark a manifest that exists.

    Args:
        marks: (repository, digest) of every manifest that was marked.
        before: an earlier comparison with the same marks.

    Raises:
        CollectionFailed: a manifest that exists would be deleted, or an entry in Redis cannot be read.
        RegistryUnavailable, RegistryRefused: the registry gave no answer that decides this.
    """
    try:
        comparison = _compared(store, marks, before or Comparison()) if registry.is_configured else Comparison()
        name = _on_disk(store, registry, marks) or _in_history(registry, comparison) or _in_catalog(registry, marks)
    except StoreDamaged as error:
        # Redis is not away: without a trouble and a wait, the dry run would be repeated every two seconds.
        raise CollectionFailed(str(error)) from error
    if name is not None:
        raise CollectionFailed(f"garbage-collect did not mark {name}, which still exists; nothing was deleted")
    return comparison


def _on_disk(store: Store, registry: Registry, marks: Marks) -> str | None:
    """Return a manifest that exists in the mounted storage but was not marked.

    The storage also knows manifests that no notification has ever reported.
    """
    if registry.storage is None:
        return None
    for repository in registry.storage.repositories():
        for digest in registry.storage.manifests(repository):
            if (repository, digest) not in marks:
                known = store.history.snapshot(repository).known_manifests()
                return known.get(digest, f"{repository}@{digest}")
    return None


def _compared(store: Store, marks: Marks, before: Comparison) -> Comparison:
    """Return the manifests of the history that were not marked.

    A manifest enters the history only with a new generation. So a repository of an unchanged generation is not read
    again, which would take minutes behind the closed gate for 500,000 repositories.
    """
    generations = store.history.generations()
    changed = {name for name, generation in generations.items() if before.generations.get(name) != generation}
    absent = {manifest: name for manifest, name in before.absent.items() if manifest[0] not in changed}
    for repository in sorted(changed):
        for digest, name in store.history.snapshot(repository).known_manifests().items():
            if (repository, digest) not in marks:
                absent[repository, digest] = name
    return Comparison(generations, absent)


def _in_history(registry: Registry, comparison: Comparison) -> str | None:
    """Return a manifest of the history that exists at the registry but was not marked.

    Only digests that were not marked are looked up, and each time; most of them were deleted already.
    """
    for (repository, digest), name in comparison.absent.items():
        if registry.client.head(repository, digest) is not None:
            return name
    return None


def _in_catalog(registry: Registry, marks: Marks) -> str | None:
    """Return an existing tag of a repository in which nothing was marked."""
    if not registry.is_configured or registry.storage is not None:
        return None
    marked = {repository for repository, _ in marks}
    try:
        unmarked = [repository for repository in registry.client.repositories() if repository not in marked]
    except AccessDenied:
        # Many registries show the catalog to no user; the two other checks have to do.
        return None
    for repository in unmarked:
        for tag in registry.client.tags(repository):
            # A listed tag may have lost its manifest (2.8 on object storage), so that a listing proves nothing.
            if registry.client.head(repository, tag) is not None:
                return f"{repository}:{tag}"
    return None
