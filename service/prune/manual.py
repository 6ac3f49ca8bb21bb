"""Manual deletions: preview them, ask for them, and report their result. The workers delete, as always."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

from service.dispatch import Dispatch
from service.domain.errors import NotDeletable, PushpruneError, unknown_repository, unknown_tag
from service.domain.retention.leases import released_by
from service.domain.retention.manual import DRY
from service.domain.retention.plan import Verdict
from service.domain.retention.selector import TagSelector
from service.domain.retention.state import ManualDeletion
from service.prune.deletion_request import DeletionRequest, RequestResolver
from service.registry import Registry
from service.reports.verdicts import Verdicts
from service.settings import PolicySource
from service.store import Store


@dataclass(frozen=True, slots=True)
class ResolvedNames:
    """The meaning of the names that a user gave, at this moment.

    Attributes:
        requests: what is deleted and kept, by repository.
        refused: (name, repository) → the error, for each name that means nothing or that must be kept.
    """

    requests: tuple[DeletionRequest, ...]
    refused: Mapping[tuple[TagSelector, str], PushpruneError]


@dataclass(frozen=True, slots=True)
class DeletionProgress:
    """The progress of a manual deletion.

    Attributes:
        left: number of tags and digests that are not deleted yet.
        waits: the reason why the deletion waits, as a sentence; "" for none.
        trouble: the problem that an operator must fix first, as a sentence; "" for none.
        has_worker: True if a worker is running.
    """

    left: int
    waits: str = ""
    trouble: str = ""
    has_worker: bool = True


def resolve_requests(
    store: Store, registry: Registry, policies: PolicySource, wanted: Sequence[TagSelector], *, force: bool = False
) -> tuple[DeletionRequest, ...]:
    """Return what these names mean now in the history and the registry. Nothing is changed.

    Args:
        force: delete protected tags, too, and all tags of a repository that has none of the tags to be spared.

    Raises:
        NoSuchRepository, NoSuchTag: a name matches nothing.
        NotDeletable: a name matches a tag or a digest that must be kept.
        RegistryUnavailable, RegistryRefused: the registry could not be asked.
    """
    resolved = resolve_names(store, registry, policies, wanted, force=force)
    for error in resolved.refused.values():
        raise error
    return resolved.requests


def resolve_names(
    store: Store, registry: Registry, policies: PolicySource, wanted: Sequence[TagSelector], *, force: bool = False
) -> ResolvedNames:
    """Return what these names mean now, and why some of them are refused. Nothing is changed; see resolve_requests."""
    known = store.history.repositories()
    names: dict[str, list[TagSelector]] = {}
    refused: dict[tuple[TagSelector, str], PushpruneError] = {}
    for name in wanted:
        repositories = name.repositories(known)
        if not repositories:
            refused[name, name.repository] = unknown_repository(name.repository)
        for repository in repositories:
            names.setdefault(repository, []).append(name)
    requests = []
    for repository, selectors in sorted(names.items()):
        resolver = RequestResolver(store, registry, policies, repository, force)
        requests.append(resolver.request(selectors))
        refused |= {(name, repository): error for name, error in resolver.refused.items()}
    refused_names = {name for name, _ in refused}
    for name in wanted:
        if (
            name not in refused_names
            and not name.exclude
            and not any(_has_match_in(name, request) for request in requests)
        ):
            refused[name, name.repository] = unknown_tag(name.as_written, name.repository)
    return ResolvedNames(tuple(request for request in requests if request.deletions or request.kept), refused)


def request_deletions(
    store: Store,
    dispatch: Dispatch,
    verdicts: Verdicts,
    requests: Iterable[DeletionRequest],
    by: str,
    *,
    force: bool = False,
) -> tuple[DeletionRequest, ...]:
    """Ask the workers for these deletions. Return what was recorded; a tag that was pushed meanwhile is left out.

    Args:
        force: ask for protected tags as well, and although the policy says `dry_run`.

    Raises:
        NotDeletable: the policy says `dry_run`.
    """
    if verdicts.is_dry() and not force:
        raise NotDeletable(f"{DRY} while the policy says so; --force deletes these anyway")
    return tuple(_record(store, dispatch, request, by, force=force) for request in requests if request.deletions)


def deletion_progress(store: Store, requests: Iterable[DeletionRequest]) -> DeletionProgress:
    """Return the progress of these manual deletions."""
    remaining, troubles = 0, []
    by_subject = {trouble.about: trouble for trouble in store.outbox.troubles()}
    for request in requests:
        asked, repository = store.manual.requests(request.repository), request.repository
        doomed = [image for image in store.history.doomed(repository) if image.manual and not image.tags]
        waiting = [asked[name] for name in request.targets if name in asked and not asked[name].rejected]
        remaining += len(waiting) + len(doomed)
        since_ms = min((deletion.at_us // 1000 for deletion in waiting), default=0)
        about = (by_subject.get(f"{queue} {repository}") for queue in ("due", "doomed"))
        troubles += [trouble.message for trouble in about if waiting and trouble and trouble.at_ms >= since_ms]
    has_worker = store.outbox.workers() > 0
    waits = _why_waiting(store, has_worker=has_worker) if remaining else ""
    return DeletionProgress(remaining, waits, troubles[0] if troubles else "", has_worker)


def pending_deletions(store: Store, repository: str) -> Mapping[str, ManualDeletion]:
    """Return the manual deletions of a repository that are pending or were rejected, by tag or digest."""
    return store.manual.requests(repository)


def not_deleted(store: Store, requests: Iterable[DeletionRequest]) -> tuple[tuple[str, Verdict, str], ...]:
    """Return (repository, verdict, reason) of each deletion that did not happen. Call it once no work is left."""
    kept = []
    for request in requests:
        asked = store.manual.requests(request.repository)
        live = {tag.name for tag in store.history.live(request.repository)}
        for verdict in request.deletions:
            deletion = asked.get(verdict.tag.name or verdict.tag.digest)
            if deletion and deletion.rejected:
                kept.append((request.repository, verdict, deletion.rejected))
            elif verdict.tag.name in live:
                kept.append((request.repository, verdict, "it was pushed meanwhile, or pointed at another image"))
    return tuple(kept)


def _has_match_in(wanted: TagSelector, request: DeletionRequest) -> bool:
    if not wanted.repositories((request.repository,)):
        return False
    if wanted.digest:
        return True
    names = {verdict.tag.name for verdict in (*request.deletions, *request.kept)}
    return bool(wanted.tags(names))


def _record(store: Store, dispatch: Dispatch, request: DeletionRequest, by: str, *, force: bool) -> DeletionRequest:
    snapshot = store.history.snapshot(request.repository)
    if request.found:
        is_first = snapshot.compared_us == 0
        store.facts.adopt(
            snapshot, [(replace(tag, found=is_first), "") for tag in request.found], indexes=request.indexes
        )
    if request.learnt:
        store.facts.resolve(snapshot, request.learnt)
    released = _released(store, request, request.targets)
    noted = store.manual.request(request.repository, request.targets, by, force=force, released=released)
    targets = {name: request.targets[name] for name in noted}
    if released and 0 < len(targets) < len(request.targets):
        # No lease has ended, because an image may also belong to a tag that was left out. By now it is known which.
        released = _released(store, request, targets)
        store.manual.request(request.repository, targets, by, force=force, released=released)
    dispatch.enforce(request.repository)
    return replace(request, targets=targets)


def _released(store: Store, request: DeletionRequest, targets: Mapping[str, str]) -> Mapping[str, int]:
    """Return the leases that end by the deletion of these targets. Users may have restored tags since the preview."""
    if not request.released:
        return {}
    current = released_by(store.history.snapshot(request.repository), targets)
    return {digest: until_us for digest, until_us in request.released.items() if digest in current}


def _why_waiting(store: Store, *, has_worker: bool) -> str:
    if not has_worker:
        return "no worker is running: the deletion happens once you start one"
    under, gate = store.collections.progress(), store.gate.state()
    if under or gate:
        stage = under.stage if under else "the gate is closed"
        return f"a garbage collection is running ({stage}): the deletion happens after it"
    return ""
