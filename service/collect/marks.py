"""Compare the manifests that a collector marked with those that exist at the registry.

The exit code of the collector proves nothing: see "garbage-collect" in `service/README.md`.
"""

from collections.abc import Collection

from service.domain.errors import AccessDenied, CollectionFailed
from service.registry import Registry
from service.store import Store

Marks = Collection[tuple[str, str]]


def refuse_unmarked(store: Store, registry: Registry, marks: Marks) -> None:
    """Refuse the sweep if the collector did not mark a manifest that exists.

    Args:
        marks: (repository, digest) of every manifest that was marked.

    Raises:
        CollectionFailed: a manifest that exists would be deleted.
        RegistryUnavailable, RegistryRefused: the registry gave no answer that decides this.
    """
    name = _on_disk(store, registry, marks) or _in_history(store, registry, marks) or _in_catalog(registry, marks)
    if name is not None:
        raise CollectionFailed(f"garbage-collect did not mark {name}, which still exists; nothing was deleted")


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


def _in_history(store: Store, registry: Registry, marks: Marks) -> str | None:
    """Return a manifest of the history that still exists at the registry but was not marked.

    Only digests that were not marked are looked up; most of them were deleted already.
    """
    if not registry.is_configured:
        return None
    for repository in store.history.repositories():
        for digest, name in store.history.snapshot(repository).known_manifests().items():
            if (repository, digest) not in marks and registry.client.head(repository, digest) is not None:
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
