"""Manual deletions, regardless of the policy: preview them, request them, list pending requests."""

from collections.abc import Sequence
from http import HTTPStatus
from typing import Annotated

from flask import Response
from flask_openapi.blueprint import APIBlueprint
from pydantic import AfterValidator, Field, StrictBool
from werkzeug.exceptions import Conflict

from service.answers.base import ApiAnswer, TimeUs, rfc3339
from service.answers.verdicts import ManualDeletionAnswer, VerdictAnswer
from service.domain.errors import ConfigurationError, NotDeletable
from service.domain.policy.patterns import LONGEST_PATTERN
from service.domain.retention.selector import TagSelector, check_globs, is_glob
from service.prune.manual import pending_deletions, request_deletions, resolve_requests
from service.reports.inventory import Inventory
from service.settings import Settings
from service.store import Store
from service.web.api.api_blueprint import api_blueprint, error_responses
from service.web.api.names import Digest
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
    tags: _Globs = Field(default=(), description="tags, or globs of tags")
    digests: Annotated[tuple[Digest, ...], Field(max_length=_MOST_NAMES)] = Field(
        default=(), description="manifests of one repository, each with all tags that point at it"
    )
    all_but: _Globs = Field(
        default=(), description="instead of tags and digests: delete every tag except those that match"
    )
    force: StrictBool = Field(
        default=False, description="delete even if protected, and even if the policy is a dry run"
    )
    dry_run: StrictBool = Field(default=False, description="only report what would be deleted")

    def wanted(self) -> tuple[TagSelector, ...]:
        """Return the requested tags and digests.

        Raises:
            InvalidRequest: nothing is named, or fields that exclude each other.
        """
        if bool(self.tags or self.digests) == bool(self.all_but):
            raise InvalidRequest(["name either tags or digests to delete, or with all_but the tags to keep"])
        if self.digests and is_glob(self.repository):
            raise InvalidRequest(
                ["digests: a digest belongs to one repository; name that repository instead of a glob"]
            )
        if self.all_but:
            return (TagSelector(self.repository, exclude=self.all_but),)
        tags = [TagSelector(self.repository, tag) for tag in self.tags]
        return (*tags, *(TagSelector(self.repository, digest=digest) for digest in self.digests))


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


def blueprints(wiring: Wiring, *, documented: bool) -> tuple[APIBlueprint, ...]:
    return _looking(wiring.store, wiring.settings, wiring.inventory, documented=documented), _deleting(
        wiring, documented=documented
    )


def _looking(store: Store, settings: Settings, inventory: Inventory, *, documented: bool) -> APIBlueprint:
    pages = api_blueprint("deletions", store, settings, documented)

    @pages.get(
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

    return pages


def _deleting(wiring: Wiring, *, documented: bool) -> APIBlueprint:
    pages = api_blueprint("deletions-asking", wiring.store, wiring.settings, documented, "admin")

    @pages.post(
        "/deletions", responses={HTTPStatus.OK: ManualDeletionAnswer, **error_responses([UNKNOWN, _STAYS, REGISTRY])}
    )
    def delete(body: ManualDeletionRequest) -> Response:
        """Delete tags or manifests now, regardless of the policy, or preview the deletion"""
        return respond(_deleted(wiring, body.wanted(), body))

    return pages


def _deleted(wiring: Wiring, wanted: Sequence[TagSelector], asked: ManualDeletionRequest) -> ManualDeletionAnswer:
    try:
        planned = resolve_requests(wiring.store, wiring.registry, wiring.policies, wanted, force=asked.force)
        is_requested = not asked.dry_run and any(request.deletions for request in planned)
        if is_requested:
            planned = (
                *request_deletions(wiring.store, wiring.dispatch, wiring.verdicts, planned, "API", force=asked.force),
                *(request for request in planned if not request.deletions),
            )
    except (ConfigurationError, NotDeletable) as error:
        raise Conflict(str(error)) from error
    return ManualDeletionAnswer(
        requested=is_requested,
        done=False,
        deletions=tuple(
            VerdictAnswer.of(request.repository, verdict) for request in planned for verdict in request.deletions
        ),
        kept=tuple(VerdictAnswer.of(request.repository, verdict) for request in planned for verdict in request.kept),
    )
