"""Compares what a collector marked with all that stands at the registry (FACTS: its exit code proves nothing)."""

from collections.abc import Collection

from service.domain.collection.marking import may_stand
from service.domain.errors import AccessDenied, CollectionFailed
from service.wiring import Wiring

Marks = Collection[tuple[str, str]]


def refuse_unmarked(wiring: Wiring, marks: Marks) -> None:
    """Raises CollectionFailed when something that stands would be swept.

    marks: (repository, digest) of every manifest that was marked. Raises as the client does when it cannot be told.
    """
    name = _on_disk(wiring, marks) or _in_history(wiring, marks) or _in_catalog(wiring, marks)
    if name is not None:
        raise CollectionFailed(f"garbage-collect did not mark {name}, which stands; nothing was swept")


def _on_disk(wiring: Wiring, marks: Marks) -> str | None:
    """Where the storage is mounted it knows all there is, also what no event ever told of."""
    if wiring.storage is None:
        return None
    for repository in wiring.storage.repositories():
        for digest in wiring.storage.manifests(repository):
            if (repository, digest) not in marks:
                known = may_stand(wiring.history.snapshot(repository))
                return known.get(digest, f"{repository}@{digest}")
    return None


def _in_history(wiring: Wiring, marks: Marks) -> str | None:
    """Of what the history knows the registry is asked only where it was not marked: most of that is gone."""
    if wiring.registry is None:
        return None
    for repository in wiring.history.repositories():
        for digest, name in may_stand(wiring.history.snapshot(repository)).items():
            if (repository, digest) not in marks and wiring.registry.head(repository, digest) is not None:
                return name
    return None


def _in_catalog(wiring: Wiring, marks: Marks) -> str | None:
    """A repository of which nothing was marked must have no tag that stands."""
    if wiring.registry is None or wiring.storage is not None:
        return None
    marked = {repository for repository, _ in marks}
    try:
        unmarked = [repository for repository in wiring.registry.repositories() if repository not in marked]
    except AccessDenied:  # many registries show the catalog to nobody
        return None
    for repository in unmarked:
        for tag in wiring.registry.tags(repository):
            if wiring.registry.head(repository, tag) is not None:
                return f"{repository}:{tag}"
    return None
