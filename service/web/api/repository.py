"""A repository by its name, as it stands in a path."""

from collections.abc import Iterable
from http import HTTPStatus

from pydantic import Field

from service.domain.errors import NoSuchRepository
from service.web.models import Asked
from service.wiring import Wiring

UNKNOWN = (HTTPStatus.NOT_FOUND, "nothing is known of a repository or tag of that name")
REGISTRY = (HTTPStatus.BAD_GATEWAY, "the registry is away, or refuses")


class RepositoryPath(Asked):
    """Which repository."""

    repository: str = Field(description="its name, with its slashes as they are", examples=["shop/api"])


class TagPath(RepositoryPath):
    """Which tag of a repository."""

    tag: str = Field(description="the tag", examples=["v7"])


def known(wiring: Wiring, names: Iterable[str]) -> tuple[str, ...]:
    """The same names, each once. Raises NoSuchRepository for one that nothing is known of."""
    wanted, every = tuple(dict.fromkeys(names)), frozenset(wiring.history.repositories())
    for name in wanted:
        if name not in every:
            raise NoSuchRepository(f"no repository {name!r} is known")
    return wanted
