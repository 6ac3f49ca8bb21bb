"""The deletions that a verb without a service made, read from the history."""

from collections.abc import Mapping
from dataclasses import dataclass

from service.store import Store


@dataclass(frozen=True)
class RepositoryDeletions:
    """The deletions in one repository.

    Attributes:
        tags: tag → the digest that it pointed at.
        digests: the digests of the deleted manifests.
    """

    repository: str
    tags: Mapping[str, str]
    digests: frozenset[str]


def made_deletions(store: Store) -> tuple[RepositoryDeletions, ...]:
    """Return the deletions of each repository that has any."""
    results = (_made_in(store, repository) for repository in store.history.repositories())
    return tuple(result for result in results if result.tags or result.digests)


def _made_in(store: Store, repository: str) -> RepositoryDeletions:
    entries = store.history.entries(repository, None)
    tags = {entry.tag: entry.digest for entry in entries if entry.action in ("pruned", "still listed") and entry.tag}
    standing = store.history.standing(repository)
    return RepositoryDeletions(repository, tags, store.trash.digests(repository) - standing)
