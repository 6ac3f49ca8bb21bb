"""Manual deletions, regardless of the policy: preview them, request them, list pending requests."""

from http import HTTPStatus
from typing import Annotated

from flask import Response
from pydantic import AfterValidator, Field, StrictBool

from service.answers.base import ApiAnswer, TimeUs
from service.answers.bulk import BulkItem
from service.answers.verdicts import ManualDeletionAnswer, VerdictAnswer
from service.domain.bulk import raise_if_refused
from service.domain.policy.patterns import LONGEST_PATTERN
from service.domain.retention.selector import TagSelector, check_globs, is_glob
from service.domain.timestamps import rfc3339
from service.prune.bulk_deletion import BulkDeletions
from service.prune.manual import pending_deletions
from service.web.api.api_blueprint import Api, error_responses
from service.web.api.names import Digest, TagName
from service.web.api.repository import REGISTRY, UNKNOWN, RepositoryPath
from service.web.models import ApiRequest, respond
from service.web.problems import InvalidRequest
from service.wiring import Wiring

_MOST_NAMES = 1000
_STAYS = (HTTPStatus.CONFLICT, "the named images cannot be deleted, or no registry is configured; `detail` says why")


def _a_glob(value: str) -> str:
    check_globs(value)
    return value


_Glob = Annotated[str, Field(max_length=LONGEST_PATTERN), AfterValidator(_a_glob)]
_Globs = Annotated[tuple[_Glob, ...], Field(max_length=_MOST_NAMES)]


class ManualDeletionRequest(ApiRequest):
    """A request to delete tags or manifests of one repository or of several."""

    repository: _Glob = Field(description="name of the repository, or a glob", examples=["shop/api"])
    tags: _Globs = Field(default=(), description="tags, or globs of tags", examples=[["v1", "pr-*"]])
    digests: Annotated[tuple[Digest, ...], Field(max_length=_MOST_NAMES)] = Field(
        default=(), description="manifests of one repository, each with all tags that point at it"
    )
    seen: dict[TagName, Digest] = Field(
        default={},
        max_length=_MOST_NAMES,
        description="tag → the digest at which you saw it; a tag that points at another image by now is kept. Then "
        "`tags` names each of these tags, and no glob",
    )
    all_but: _Globs = Field(
        default=(), description="instead of tags and digests: delete every tag except those that match"
    )
    force: StrictBool = Field(
        default=False, description="delete even if protected, and even if the policy is a dry run"
    )
    dry_run: StrictBool = Field(default=False, description="only report what would be deleted", examples=[True])

    def wanted(self) -> tuple[TagSelector, ...]:
        """Return the requested tags and digests, without duplicates.

        Raises:
            InvalidRequest: nothing is named, or fields that exclude each other.
        """
        if bool(self.tags or self.digests) == bool(self.all_but):
            raise InvalidRequest(["name either tags or digests to delete, or with all_but the tags to keep"])
        if self.digests and is_glob(self.repository):
            raise InvalidRequest(
                ["digests: a digest belongs to one repository; name that repository instead of a glob"]
            )
        # A glob could delete a tag of `seen` at any digest.
        if self.seen and (not self.seen.keys() <= set(self.tags) or any(map(is_glob, self.tags))):
            raise InvalidRequest(["seen: name each of its tags in tags, and no glob"])
        if self.all_but:
            return (TagSelector(self.repository, exclude=self.all_but),)
        tags = [TagSelector(self.repository, tag, seen=self.seen.get(tag, "")) for tag in self.tags]
        digests = [TagSelector(self.repository, digest=digest) for digest in self.digests]
        return tuple(dict.fromkeys((*tags, *digests)))


class PendingDeletion(ApiAnswer):
    """A manual deletion that was requested and is not done yet, or was rejected."""

    name: str = Field(description="a tag, or the digest of a manifest")
    digest: str = Field(description="digest of the manifest at the time of the request")
    by: str = Field(description="the user who requested the deletion")
    requested_at: TimeUs = Field(description="time of the request")
    rejected: str | None = Field(description="why the request was rejected; null: the request is pending")


class PendingDeletions(ApiAnswer):
    """The pending and rejected deletion requests of one repository."""

    repository: str = Field(description="name of the repository")
    pending: tuple[PendingDeletion, ...] = Field(description="the requests")


def add(api: Api, wiring: Wiring) -> None:
    store, inventory = wiring.store, wiring.inventory
    bulk_deletions = BulkDeletions(store, wiring.registry, wiring.policies, wiring.verdicts, wiring.dispatch)
    reading = api.resource("deletions")
    deleting = api.resource("deletions-asking", "admin")

    @reading.get(
        "/deletions/<path:repository>", responses={HTTPStatus.OK: PendingDeletions, **error_responses([UNKNOWN])}
    )
    def deletions(path: RepositoryPath) -> Response:
        """List manual deletions of a repository that are pending or were rejected"""
        repository = inventory.known(path.repository)
        pending = (
            PendingDeletion(
                name=name,
                digest=ask.digest,
                by=ask.by,
                requested_at=rfc3339(ask.at_us),
                rejected=ask.rejected or None,
            )
            for name, ask in sorted(pending_deletions(store, repository).items())
        )
        return respond(PendingDeletions(repository=repository, pending=tuple(pending)))

    @deleting.post(
        "/deletions", responses={HTTPStatus.OK: ManualDeletionAnswer, **error_responses([UNKNOWN, _STAYS, REGISTRY])}
    )
    def delete(body: ManualDeletionRequest) -> Response:
        """Delete tags or manifests now, regardless of the policy, or preview the deletion

        The answer has a result for each name: a name that is refused does not stop the others. Only a request for a
        single name is answered with an error.
        """
        return respond(_deleted(bulk_deletions, body))


def _deleted(bulk_deletions: BulkDeletions, asked: ManualDeletionRequest) -> ManualDeletionAnswer:
    wanted = asked.wanted()
    if asked.dry_run:
        deletion = bulk_deletions.preview(wanted, force=asked.force)
    else:
        deletion = bulk_deletions.delete(wanted, "API", force=asked.force)
    if len(wanted) == 1:
        raise_if_refused(deletion.results)
    return ManualDeletionAnswer(
        requested=deletion.requested,
        done=False,
        deletions=tuple(VerdictAnswer.of(repository, verdict) for repository, verdict in deletion.deletions),
        kept=tuple(
            VerdictAnswer.of(request.repository, verdict) for request in deletion.requests for verdict in request.kept
        ),
        results=tuple(map(BulkItem.model_validate, deletion.results)),
    )
