"""Speaks version 1 of the registry's HTTP API, of before 2015: tags, and deleting them. It knows no digests."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

import requests
import requests.auth

from service.domain.errors import NoSuchRepository, NoSuchTag, NotDeletable, RegistryUnavailable
from service.domain.retention.selector import Wanted, is_glob
from service.registry.address import checked_url
from service.registry.answers import read_json, refusal, translated
from service.registry.session import open_session


class RegistryV1:
    """One registry of version 1. Every method raises AccessDenied, RegistryRefused or RegistryUnavailable.

    A repository without a slash lies in `library/`, as the registry has it.
    """

    def __init__(
        self,
        url: str,
        *,
        auth: requests.auth.AuthBase | None = None,
        ca_file: Path | None = None,
        timeout_s: float = 10.0,
    ) -> None:
        """timeout_s: for connecting and for each wait for bytes. Raises ConfigurationError for a bad url or ca_file."""
        self.url = checked_url(url).removesuffix("/v1")
        self._where = f"the registry at {self.url}"
        self._timeout_s = timeout_s
        self._session = open_session(self.url, ca_file=ca_file, parallel=1, auth=auth)

    def is_there(self) -> bool:
        """Whether a registry of version 1 answers there, and none of a later one."""
        return self._send("GET", "/v2/").status_code == 404 and self._send("GET", "/v1/_ping").status_code == 200

    def tags(self, repository: str) -> Mapping[str, str]:
        """tag → the id of its image. Raises NoSuchRepository."""
        response = self._send("GET", _path(repository))
        if _is_gone(response):
            raise NoSuchRepository(f"{self._where} has no repository {repository}")
        tags = self._expect(response)
        if not isinstance(tags, dict) or not all(isinstance(image, str) for image in tags.values()):
            raise RegistryUnavailable(f"{self._where} sent a listing of {repository} that is none")
        return tags

    def image(self, repository: str, tag: str) -> str | None:
        """The id of the tag's image; None where there is no such tag."""
        response = self._send("GET", _path(repository, tag))
        if _is_gone(response):
            return None
        image = self._expect(response)
        if not isinstance(image, str):
            raise RegistryUnavailable(f"{self._where} named no image for {repository}:{tag}")
        return image

    def delete_tag(self, repository: str, tag: str) -> bool:
        """Deletes a tag; its image stays. False if it was already gone.

        The registry also answers 404 when something beside the tag was missing, which it then has deleted.
        """
        response = self._send("DELETE", _path(repository, tag))
        if _is_gone(response):
            return False
        self._expect(response)
        return True

    def _expect(self, response: requests.Response) -> object:
        if response.status_code != 200:
            what = f"{response.request.method} {response.request.path_url}"
            raise refusal(response, self._where, what)
        return read_json(response)

    def _send(self, method: str, path: str) -> requests.Response:
        with translated(self._where, self._timeout_s):
            return self._session.request(
                method, self.url + path, timeout=self._timeout_s, allow_redirects=method == "GET"
            )


def _path(repository: str, tag: str | None = None) -> str:
    below = "" if tag is None else f"/{quote(tag, safe='')}"
    return f"/v1/repositories/{quote(repository)}/tags{below}"


def _is_gone(response: requests.Response) -> bool:
    """Whether a 404 is the registry's own word: {"error": …}, and no page of a proxy's."""
    body = read_json(response) if response.status_code == 404 else None
    return isinstance(body, dict) and "error" in body


@dataclass(frozen=True, slots=True)
class Tagged:
    """A tag and the id of its image. also: the other tags of the repository that stand at the same image."""

    repository: str
    tag: str
    image: str
    also: tuple[str, ...] = ()


def tags(registry: RegistryV1, repository: str) -> tuple[Tagged, ...]:
    """Every tag of a repository, by name. Raises NoSuchRepository."""
    standing = registry.tags(repository)
    return tuple(
        Tagged(
            repository,
            tag,
            standing[tag],
            tuple(sorted(other for other in standing if other != tag and standing[other] == standing[tag])),
        )
        for tag in sorted(standing)
    )


def wishes(registry: RegistryV1, wanted: Sequence[Wanted], *, force: bool = False) -> tuple[Tagged, ...]:
    """The tags that these names mean, each once; raises NoSuchTag or NotDeletable for one that means nothing there.

    force: also all tags of a repository that has none of those that were to stay.
    """
    found: dict[tuple[str, str], Tagged] = {}
    for one in wanted:
        if is_glob(one.repository):
            raise NotDeletable("a registry of version 1 does not list its repositories: name each one")
        if one.digest:
            raise NotDeletable(f"a registry of version 1 knows no digests: name a tag of {one.repository}")
        every = {tagged.tag: tagged for tagged in tags(registry, one.repository)}
        if one.but and every and not one.spared(every) and not force:
            but = " or ".join(one.but)
            raise NotDeletable(f"no tag of {one.repository} is {but}: all of them would go; --force if that is meant")
        meant = one.tags(every)
        if not meant and not one.but:
            raise NoSuchTag(f"{one.called} is no tag that is there; `pushprune tags {one.repository}` lists them")
        found |= {(one.repository, tag): every[tag] for tag in meant}
    return tuple(found[key] for key in sorted(found))


def delete(registry: RegistryV1, tagged: Iterable[Tagged]) -> Iterator[tuple[Tagged, bool]]:
    """Deletes these tags one after the other; says of each whether it is gone. One that was pushed since stays."""
    for one in tagged:
        standing = registry.image(one.repository, one.tag)
        if standing == one.image:
            registry.delete_tag(one.repository, one.tag)
            standing = registry.image(one.repository, one.tag)
        yield one, standing is None
