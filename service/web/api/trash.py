"""Deleted images that can still be restored, and restoring them."""

from http import HTTPStatus

from flask import Response
from flask_openapi.blueprint import APIBlueprint
from pydantic import Field, StrictBool

from service.answers.base import ApiAnswer
from service.answers.history import DeletedImage, RestoredImage
from service.domain.policy.units import Span
from service.restore.restore import LEASE_S, Restore, RestoreResult
from service.web.api.api_blueprint import api_blueprint, error_responses
from service.web.api.names import Digest, TagName
from service.web.api.repository import REGISTRY, UNKNOWN, RepositoryPath, known
from service.web.models import ApiRequest, respond
from service.web.problems import InvalidRequest
from service.wiring import Wiring

_NOT_POSSIBLE = (
    HTTPStatus.CONFLICT,
    "the image cannot be restored, or not under this tag; `detail` says why and what to do",
)


class RepositoryTrash(ApiAnswer):
    """The restorable images of one repository, latest deletion first."""

    repository: str = Field(description="name of the repository")
    deleted: tuple[DeletedImage, ...] = Field(description="the images")


class RestoreRequest(ApiRequest):
    """A request to restore an image, by its tag or by its digest."""

    tag: TagName | None = Field(default=None, description="the deleted tag")
    digest: Digest | None = Field(
        default=None, description="instead of a tag: the manifest, with the tags that were deleted with it"
    )
    as_tag: TagName | None = Field(default=None, description="restore under this tag instead")
    force: StrictBool = Field(default=False, description="restore even if the tag was pushed again since")
    keep_for: Span = Field(
        default=LEASE_S, description="protect from deletion by policy for this long; 0: no protection"
    )


def blueprints(wiring: Wiring, *, documented: bool) -> tuple[APIBlueprint, ...]:
    reading = api_blueprint("trash", wiring.store, wiring.settings, documented)
    restoring = api_blueprint("trash-restore", wiring.store, wiring.settings, documented, "admin")

    @reading.get("/trash/<path:repository>", responses={HTTPStatus.OK: RepositoryTrash, **error_responses([UNKNOWN])})
    def trash(path: RepositoryPath) -> Response:
        """List the deleted images of a repository that can still be restored"""
        (repository,) = known(wiring.inventory, [path.repository])
        life_s = wiring.settings.history.trash
        deleted = tuple(DeletedImage.of(repository, image, life_s) for image in wiring.restore.deleted(repository))
        return respond(RepositoryTrash(repository=repository, deleted=deleted))

    @restoring.post(
        "/trash/<path:repository>/restore",
        responses={HTTPStatus.OK: RestoredImage, **error_responses([UNKNOWN, _NOT_POSSIBLE, REGISTRY])},
    )
    def restore_image(path: RepositoryPath, body: RestoreRequest) -> Response:
        """Restore a deleted image, with its parts, its signatures and its original push time"""
        (repository,) = known(wiring.inventory, [path.repository])
        return respond(RestoredImage.model_validate(_restored(wiring.restore, repository, body)))

    return reading, restoring


def _restored(restore: Restore, repository: str, asked: RestoreRequest) -> RestoreResult:
    if (asked.tag is None) == (asked.digest is None):
        raise InvalidRequest(["name either the tag or the digest to restore"])
    return restore.restore(
        repository, tag=asked.tag, digest=asked.digest, as_tag=asked.as_tag, force=asked.force,
        lease_s=asked.keep_for, by="API",
    )  # fmt: skip
