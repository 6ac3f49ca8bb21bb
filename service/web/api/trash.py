"""What was deleted and can still be put back; and putting it back."""

from http import HTTPStatus
from typing import Any

from flask import Response
from flask_openapi.blueprint import APIBlueprint
from pydantic import Field, StrictBool

from service.domain.history.deleted import Deleted
from service.domain.policy.units import Span
from service.restore.restore import LEASE_S
from service.web.api.door import door, refusals
from service.web.api.name import Digest, TagName
from service.web.api.repository import REGISTRY, UNKNOWN, RepositoryPath, known
from service.web.models import Answer, Asked
from service.web.problems import Faulty
from service.wiring import Wiring

_NOT_POSSIBLE = (HTTPStatus.CONFLICT, "it cannot be put back, or not there; the sentence says why and what to do")


class DeletedImage(Answer):
    """Something that was deleted and can still be put back."""

    tag: str | None = Field(description="the tag that went; null: a manifest that had none")
    digest: str = Field(description="where it stood")
    pushed_us: int | None = Field(description="its last push, µs since the epoch; null: nobody saw it")
    deleted_us: int = Field(description="when it was deleted, µs since the epoch")
    until_us: int = Field(
        description="until when it is kept, µs since the epoch, unless a collection comes before that"
    )
    size_bytes: int = Field(description="of the image, as far as the registry told")
    reason: str = Field(description="why it was deleted")

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


class RepositoryTrash(Answer):
    """What can still be put back in one repository, the latest deletion first."""

    repository: str = Field(description="its name")
    deleted: tuple[DeletedImage, ...]


class Restoration(Asked):
    """What to put back, by its tag or by its digest."""

    tag: TagName | None = Field(default=None, description="the tag that went")
    digest: Digest | None = Field(default=None, description="instead: the manifest, with the tags that it went with")
    as_tag: TagName | None = Field(default=None, description="under this tag instead")
    force: StrictBool = Field(default=False, description="also where the tag has been pushed again since")
    keep_for: Span = Field(default=LEASE_S, description="for how long no policy deletes it again; 0: the next plan may")


class Restored(Answer):
    """What is back."""

    repository: str = Field(description="its name")
    digest: str = Field(description="of the manifest")
    tags: tuple[str, ...] = Field(description="those that stand there again")
    parts: int = Field(description="manifests of an index that were put back with it")
    referrers: tuple[str, ...] = Field(description="tags of signatures and the like that are back as well")
    kept_until_us: int | None = Field(description="until when no policy deletes it, µs since the epoch; null: not held")


def blueprints(wiring: Wiring, *, documented: bool) -> tuple[APIBlueprint, ...]:
    return _looking(wiring, documented=documented), _restoring(wiring, documented=documented)


def _looking(wiring: Wiring, *, documented: bool) -> APIBlueprint:
    pages = door("trash", wiring, documented)

    @pages.get("/trash/<path:repository>", responses={HTTPStatus.OK: RepositoryTrash, **refusals([UNKNOWN])})
    def trash(path: RepositoryPath) -> Response:
        """What was deleted from a repository and can still be put back"""
        (repository,) = known(wiring, [path.repository])
        life_us = wiring.settings.history.trash * 1_000_000
        deleted = tuple(DeletedImage.of(one, life_us) for one in wiring.undo.deleted(repository))
        return RepositoryTrash(repository=repository, deleted=deleted).response()

    return pages


def _restoring(wiring: Wiring, *, documented: bool) -> APIBlueprint:
    pages = door("trash-restore", wiring, documented, "admin")

    @pages.post(
        "/trash/<path:repository>/restore",
        responses={HTTPStatus.OK: Restored, **refusals([UNKNOWN, _NOT_POSSIBLE, REGISTRY])},
    )
    def restore(path: RepositoryPath, body: Restoration) -> Response:
        """Put back what was deleted, with its parts and signatures and the time of its original push"""
        (repository,) = known(wiring, [path.repository])
        return Restored(**_restored(wiring, repository, body)).response()

    return pages


def _restored(wiring: Wiring, repository: str, asked: Restoration) -> dict[str, Any]:
    if (asked.tag is None) == (asked.digest is None):
        raise Faulty(["name either the tag or the digest that is to come back"])
    undone = wiring.undo.restore(
        repository, tag=asked.tag, digest=asked.digest, as_tag=asked.as_tag, force=asked.force,
        lease_s=asked.keep_for, by="API",
    )  # fmt: skip
    return {name: getattr(undone, name) for name in Restored.model_fields}
