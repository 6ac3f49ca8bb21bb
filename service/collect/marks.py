"""Compare the manifests that a collector marked with those that exist at the registry.

The exit code of the collector proves nothing: see "garbage-collect" in `service/README.md`.
"""

from collections.abc import Collection

from service.domain.errors import AccessDenied, CollectionFailed
from service.wiring import Wiring

Marks = Collection[tuple[str, str]]


def refuse_unmarked(wiring: Wiring, marks: Marks) -> None:
    """Refuse the sweep if the collector did not mark a manifest that exists.

    Args:
        wiring: the collaborators.
        marks: (repository, digest) of every manifest that was marked.

    Raises:
        CollectionFailed: a manifest that exists would be deleted.
        RegistryUnavailable, RegistryRefused: the registry gave no answer that decides this.
    """
    name = _on_disk(wiring, marks) or _in_history(wiring, marks) or _in_catalog(wiring, marks)
    if name is not None:
        raise CollectionFailed(f"garbage-collect did not mark {name}, which still exists; nothing was deleted")


def _on_disk(wiring: Wiring, marks: Marks) -> str | None:
    """Return a manifest that exists in the mounted storage but was not marked.

    The storage also knows manifests that no notification has ever reported.
    """
    if wiring.storage is None:
        return None
    for repository in wiring.storage.repositories():
        for digest in wiring.storage.manifests(repository):
            if (repository, digest) not in marks:
                known = wiring.history.snapshot(repository).known_manifests()
                return known.get(digest, f"{repository}@{digest}")
    return None


def _in_history(wiring: Wiring, marks: Marks) -> str | None:
    """Return a manifest of the history that still exists at the registry but was not marked.

    Only digests that were not marked are looked up; most of them were deleted already.
    """
    if wiring.registry is None:
        return None
    for repository in wiring.history.repositories():
        for digest, name in wiring.history.snapshot(repository).known_manifests().items():
            if (repository, digest) not in marks and wiring.registry.head(repository, digest) is not None:
                return name
    return None


def _in_catalog(wiring: Wiring, marks: Marks) -> str | None:
    """Return an existing tag of a repository in which nothing was marked."""
    if wiring.registry is None or wiring.storage is not None:
        return None
    marked = {repository for repository, _ in marks}
    try:
        unmarked = [repository for repository in wiring.registry.repositories() if repository not in marked]
    except AccessDenied:
        # Many registries show the catalog to no user; the two other checks have to do.
        return None
    for repository in unmarked:
        for tag in wiring.registry.tags(repository):
            # A listed tag may have lost its manifest (2.8 on object storage), so that a listing proves nothing.
            if wiring.registry.head(repository, tag) is not None:
                return f"{repository}:{tag}"
    return None
