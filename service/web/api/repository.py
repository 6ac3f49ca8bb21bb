"""A repository, or a tag of a repository, named in the path of a request."""

from collections.abc import Iterable
from http import HTTPStatus

from pydantic import Field

from service.reports.inventory import Inventory
from service.web.models import ApiRequest

UNKNOWN = (HTTPStatus.NOT_FOUND, "repository or tag not found")
REGISTRY = (HTTPStatus.BAD_GATEWAY, "the registry is not reachable, or rejected the request")


class RepositoryPath(ApiRequest):
    """The repository of a request."""

    repository: str = Field(description="name of the repository; slashes are not escaped", examples=["shop/api"])


class TagPath(RepositoryPath):
    """The repository and the tag of a request."""

    tag: str = Field(description="the tag", examples=["v7"])


def known(inventory: Inventory, names: Iterable[str]) -> tuple[str, ...]:
    """Return the names without duplicates. Raises NoSuchRepository if nothing is known about a repository."""
    return tuple(inventory.known(name) for name in dict.fromkeys(names))
