"""Several manual deletions as one operation, with a result for each name."""

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass

from service.dispatch import Dispatch
from service.domain.bulk import ItemResult, ItemStatus
from service.domain.errors import NoSuchTag, NotDeletable, PushpruneError
from service.domain.policy.units import spell_count
from service.domain.retention.plan import Verdict
from service.domain.retention.selector import TagSelector
from service.prune.deletion_request import DeletionRequest
from service.prune.manual import ResolvedNames, request_deletions, resolve_names
from service.registry import Registry
from service.reports.verdicts import Verdicts
from service.settings import PolicySource
from service.store import Store


@dataclass(frozen=True, slots=True)
class BulkDeletion:
    """Several manual deletions that a user asked for together.

    Attributes:
        requested: True if the workers delete these images.
        requests: what is deleted and kept, by repository.
        results: one for each name in each repository that it means, in the order of the names.
    """

    requested: bool
    requests: tuple[DeletionRequest, ...]
    results: tuple[ItemResult, ...]

    @property
    def deletions(self) -> tuple[tuple[str, Verdict], ...]:
        """The tags and manifests that are deleted, each with its repository."""
        return tuple((request.repository, verdict) for request in self.requests for verdict in request.deletions)

    @property
    def images(self) -> int:
        """The number of images that are deleted. An image that another tag keeps does not count."""
        return len({(repository, verdict.tag.digest) for repository, verdict in self.deletions if not verdict.kept_as})


class BulkDeletions:
    """Deletions of several tags or manifests together. A name that is refused does not stop the others."""

    def __init__(
        self, store: Store, registry: Registry, policies: PolicySource, verdicts: Verdicts, dispatch: Dispatch
    ) -> None:
        self._store, self._registry, self._policies = store, registry, policies
        self._verdicts, self._dispatch = verdicts, dispatch

    def preview(self, wanted: Sequence[TagSelector], *, force: bool = False) -> BulkDeletion:
        """Return what `delete` would do now. Nothing is changed; raises as `delete`."""
        resolved = resolve_names(self._store, self._registry, self._policies, wanted, force=force)
        return BulkDeletion(False, resolved.requests, tuple(_results(wanted, resolved, None)))

    def delete(self, wanted: Sequence[TagSelector], by: str, *, force: bool = False) -> BulkDeletion:
        """Ask the workers to delete these tags and manifests.

        Args:
            wanted: the names. Their `seen` keeps a tag that points at another image than the user looked at.
            force: delete protected tags as well, and although the policy says `dry_run`.

        Raises:
            NotDeletable: the policy says `dry_run`.
            RegistryUnavailable, RegistryRefused: the registry could not be asked; nothing is deleted.
        """
        resolved = resolve_names(self._store, self._registry, self._policies, wanted, force=force)
        if not any(request.deletions for request in resolved.requests):
            return BulkDeletion(False, resolved.requests, tuple(_results(wanted, resolved, ())))
        requests = request_deletions(self._store, self._dispatch, self._verdicts, resolved.requests, by, force=force)
        recorded = {(request.repository, name) for request in requests for name in request.targets}
        kept = tuple(request for request in resolved.requests if not request.deletions)
        return BulkDeletion(bool(recorded), (*requests, *kept), tuple(_results(wanted, resolved, recorded)))


def _results(
    wanted: Sequence[TagSelector], resolved: ResolvedNames, recorded: Collection[tuple[str, str]] | None
) -> Iterator[ItemResult]:
    """Yield the results of a deletion.

    Args:
        recorded: (repository, tag or digest) of each deletion that was requested; None for a preview.
    """
    requests = {request.repository: request for request in resolved.requests}
    for name in dict.fromkeys(wanted):
        refused = {repository: error for (of, repository), error in resolved.refused.items() if of == name}
        for repository in sorted({*refused, *name.repositories(requests)}) or [name.repository]:
            verdicts = _verdicts_on(name, requests[repository]) if repository in requests else ()
            if repository in refused:
                yield _refused(name, repository, refused[repository])
            elif not verdicts:
                yield _refused(name, repository, NoSuchTag(f"{name.as_written} means no image that can be deleted"))
            elif recorded is None:
                yield _accepted(name, repository, verdicts)
            elif requested := [v for v in verdicts if (repository, v.tag.name or v.tag.digest) in recorded]:
                yield _accepted(name, repository, requested, is_requested=True)
            else:
                yield _refused(name, repository, NotDeletable(f"{name.as_written} was pushed just now: it is kept"))


def _verdicts_on(name: TagSelector, request: DeletionRequest) -> Sequence[Verdict]:
    tags = name.tags(verdict.tag.name for verdict in request.deletions if verdict.tag.name)
    return [
        verdict
        for verdict in request.deletions
        if (verdict.tag.digest == name.digest if name.digest else verdict.tag.name in tags)
    ]


def _accepted(
    name: TagSelector, repository: str, verdicts: Sequence[Verdict], *, is_requested: bool = False
) -> ItemResult:
    count = sum(1 for verdict in verdicts if verdict.tag.name)
    images = spell_count(count, "tag") if count else "1 manifest"
    kept_as = next((verdict.kept_as for verdict in verdicts if verdict.kept_as), "")
    message = f"{images} {'queued for deletion' if is_requested else 'to be deleted'}"
    if kept_as:
        message += f"; an image is kept as {kept_as}, and loses only its tag"
    status: ItemStatus = "requested" if is_requested else "possible"
    return ItemResult(repository, name.tag, name.digest or name.seen, status, message)


def _refused(name: TagSelector, repository: str, error: PushpruneError) -> ItemResult:
    return ItemResult(repository, name.tag, name.digest or name.seen, "refused", str(error), error)
