"""Restoring deleted images."""

from http import HTTPStatus
from typing import Annotated

from flask import Response
from pydantic import Field, StrictBool

from service.answers.bulk import RestorationAnswer
from service.domain.bulk import raise_if_refused
from service.domain.policy.units import Span, spell_duration
from service.restore.bulk_restore import RestoreTarget, restore_each
from service.restore.restore import Restore
from service.restore.restoring import LEASE_S
from service.web.api.api_blueprint import Api, error_responses
from service.web.api.names import Digest, RepositoryName, TagName
from service.web.api.repository import REGISTRY
from service.web.models import ApiRequest, respond
from service.web.problems import InvalidRequest

_MOST_ITEMS = 1000
_NOT_POSSIBLE = (
    HTTPStatus.CONFLICT,
    "the image cannot be restored, or not under this tag; `detail` says why and what to do",
)


class ImageToRestore(ApiRequest):
    """A deleted image, by its tag, by its digest, or by both."""

    repository: RepositoryName = Field(description="name of the repository", examples=["shop/api"])
    tag: TagName | None = Field(
        default=None,
        description="the deleted tag; absent: the manifest, with the tags that were deleted with it",
        examples=["v1"],
    )
    digest: Digest | None = Field(default=None, description="the manifest; absent: the latest deletion of the tag")
    as_tag: TagName | None = Field(default=None, description="restore under this tag instead")

    def target(self) -> RestoreTarget:
        """Return the image. Raises InvalidRequest if neither tag nor digest is given."""
        if not (self.tag or self.digest):
            raise InvalidRequest([f"items: name the tag or the digest to restore in {self.repository}"])
        return RestoreTarget(self.repository, self.tag or "", self.digest or "", self.as_tag or "")


class RestorationRequest(ApiRequest):
    """A request to restore images."""

    items: Annotated[tuple[ImageToRestore, ...], Field(min_length=1, max_length=_MOST_ITEMS)] = Field(
        description="the images"
    )
    force: StrictBool = Field(default=False, description="restore even if the tag was pushed again since")
    keep_for: Span = Field(
        default=LEASE_S,
        description="protect from deletion by policy for this long, such as 1d; 0: no protection",
        # A generated client sends the documented default, and a number without a unit is refused.
        json_schema_extra={"default": spell_duration(LEASE_S)},
    )
    dry_run: StrictBool = Field(default=False, description="only report what would be restored", examples=[True])


def add(api: Api, restore: Restore) -> None:
    pages = api.resource("restorations", "admin")

    @pages.post(
        "/restorations", responses={HTTPStatus.OK: RestorationAnswer, **error_responses([_NOT_POSSIBLE, REGISTRY])}
    )
    def restore_images(body: RestorationRequest) -> Response:
        """Restore deleted images, each with its parts, its signatures and its original push time

        The answer has a result for each image: an image that cannot be restored does not stop the others. Only a
        request for a single image is answered with an error.
        """
        targets = dict.fromkeys(item.target() for item in body.items)
        restored = restore_each(
            restore, targets, "API", force=body.force, lease_s=body.keep_for, dry_run=body.dry_run
        )  # fmt: skip
        if len(restored) == 1:
            raise_if_refused([entry.item for entry in restored])
        return respond(RestorationAnswer.of(restored, dry_run=body.dry_run))
