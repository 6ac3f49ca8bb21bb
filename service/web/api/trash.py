"""Deleted images that can still be restored, and restoring them."""

from http import HTTPStatus
from typing import Any

from flask import Response
from flask_openapi.blueprint import APIBlueprint
from pydantic import Field, StrictBool

from service.domain.history.deleted import Deleted
from service.domain.policy.units import Span
from service.restore.restore import LEASE_S
from service.web.api.api_blueprint import api_blueprint, error_responses
from service.web.api.names import Digest, TagName
from service.web.api.repository import REGISTRY, UNKNOWN, RepositoryPath, known
from service.web.models import ApiAnswer, ApiRequest
from service.web.problems import InvalidRequest
from service.wiring import Wiring

_NOT_POSSIBLE = (
    HTTPStatus.CONFLICT,
    "the image cannot be restored, or not under this tag; `detail` says why and what to do",
)


class DeletedImage(ApiAnswer):
    """A deleted tag or manifest that can still be restored."""

    tag: str | None = Field(description="the deleted tag; null: a manifest without a tag")
    digest: str = Field(description="digest of the manifest")
    pushed_us: int | None = Field(description="last push, µs since the epoch; null: unknown")
    deleted_us: int = Field(description="time of the deletion, µs since the epoch")
    until_us: int = Field(
        description="restorable until this time, µs since the epoch, or until the next collection if sooner"
    )
    size_bytes: int = Field(description="size of the image in bytes, as far as the registry reported it")
    reason: str = Field(description="reason of the deletion")

    @classmethod
    def of(cls, deleted: Deleted, life_us: int) -> "DeletedImage":
        return cls(
            tag=deleted.tag or None,
            digest=deleted.digest,
            pushed_us=deleted.pushed_us,
            deleted_us=deleted.at_us,
            until_us=deleted.at_us + life_us,
            size_bytes=deleted.size_bytes,
            reason=deleted.reason,
        )


class RepositoryTrash(ApiAnswer):
    """The restorable images of one repository, latest deletion first."""

    repository: str = Field(description="name of the repository")
    deleted: tuple[DeletedImage, ...]


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


class RestoredImage(ApiAnswer):
    """The restored image."""

    repository: str = Field(description="name of the repository")
    digest: str = Field(description="digest of the manifest")
    tags: tuple[str, ...] = Field(description="tags that point at the manifest again")
    parts: int = Field(description="number of parts of an index that were restored with it")
    referrers: tuple[str, ...] = Field(description="tags of referrers, such as signatures, that were restored with it")
    kept_until_us: int | None = Field(
        description="until when no policy deletes it, µs since the epoch; null: not protected"
    )


def blueprints(wiring: Wiring, *, documented: bool) -> tuple[APIBlueprint, ...]:
    return _looking(wiring, documented=documented), _restoring(wiring, documented=documented)


def _looking(wiring: Wiring, *, documented: bool) -> APIBlueprint:
    pages = api_blueprint("trash", wiring, documented)

    @pages.get("/trash/<path:repository>", responses={HTTPStatus.OK: RepositoryTrash, **error_responses([UNKNOWN])})
    def trash(path: RepositoryPath) -> Response:
        """List the deleted images of a repository that can still be restored"""
        (repository,) = known(wiring, [path.repository])
        life_us = wiring.settings.history.trash * 1_000_000
        deleted = tuple(DeletedImage.of(image, life_us) for image in wiring.undo.deleted(repository))
        return RepositoryTrash(repository=repository, deleted=deleted).response()

    return pages


def _restoring(wiring: Wiring, *, documented: bool) -> APIBlueprint:
    pages = api_blueprint("trash-restore", wiring, documented, "admin")

    @pages.post(
        "/trash/<path:repository>/restore",
        responses={HTTPStatus.OK: RestoredImage, **error_responses([UNKNOWN, _NOT_POSSIBLE, REGISTRY])},
    )
    def restore(path: RepositoryPath, body: RestoreRequest) -> Response:
        """Restore a deleted image, with its parts, its signatures and its original push time"""
        (repository,) = known(wiring, [path.repository])
        return RestoredImage(**_restored(wiring, repository, body)).response()

    return pages


def _restored(wiring: Wiring, repository: str, asked: RestoreRequest) -> dict[str, Any]:
    if (asked.tag is None) == (asked.digest is None):
        raise InvalidRequest(["name either the tag or the digest to restore"])
    undone = wiring.undo.restore(
        repository, tag=asked.tag, digest=asked.digest, as_tag=asked.as_tag, force=asked.force,
        lease_s=asked.keep_for, by="API",
    )  # fmt: skip
    return {name: getattr(undone, name) for name in RestoredImage.model_fields}
