"""Deleted images that can still be restored."""

from http import HTTPStatus

from flask import Response
from flask_openapi.blueprint import APIBlueprint
from pydantic import Field

from service.answers.base import ApiAnswer
from service.answers.history import DeletedImage
from service.web.api.api_blueprint import api_blueprint, error_responses
from service.web.api.repository import UNKNOWN, RepositoryPath, known
from service.web.models import respond
from service.wiring import Wiring


class RepositoryTrash(ApiAnswer):
    """The restorable images of one repository, latest deletion first."""

    repository: str = Field(description="name of the repository")
    deleted: tuple[DeletedImage, ...] = Field(description="the images")


def blueprints(wiring: Wiring, *, documented: bool) -> tuple[APIBlueprint, ...]:
    reading = api_blueprint("trash", wiring.store, wiring.settings, documented)

    @reading.get("/trash/<path:repository>", responses={HTTPStatus.OK: RepositoryTrash, **error_responses([UNKNOWN])})
    def trash(path: RepositoryPath) -> Response:
        """List the deleted images of a repository that can still be restored"""
        (repository,) = known(wiring.inventory, [path.repository])
        life_s = wiring.settings.history.trash
        deleted = tuple(DeletedImage.of(repository, image, life_s) for image in wiring.restore.deleted(repository))
        return respond(RepositoryTrash(repository=repository, deleted=deleted))

    return (reading,)
