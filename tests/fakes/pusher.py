"""Push and pull over plain HTTP, against the real registry and the fake alike."""

import itertools
from typing import Any, Self
from urllib.parse import urljoin

import requests

from service.domain.oci.manifest import MANIFEST_TYPES, OCI_INDEX, OCI_MANIFEST, read_references
from tests.fakes.images import Image, make_image, make_index, sha256

_SEEDS = itertools.count(1)


class BrokenImage(Exception):
    """A manifest or blob that should be there is missing or is not what its digest says."""


class Pusher:
    """A client that is not us: its own User-Agent, its own connection, optionally a login (user, password)."""

    def __init__(self, url: str, *, login: tuple[str, str] | None = None, agent: str = "docker/27.3.1 (test)") -> None:
        self.url = url.rstrip("/")
        self._session = requests.Session()
        self._session.trust_env = False
        self._session.auth = login
        self._session.headers["User-Agent"] = agent

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._session.close()

    def push_image(self, repository: str, tag: str | None, *, layers: int = 1, seed: object = None, **mode: Any) -> str:
        """Push an image and return its digest; tag=None: by digest. how: more for make_image."""
        return self.push(repository, tag, make_image(_seed(seed), layers=layers, **mode))

    def push_index(
        self, repository: str, tag: str | None, *, platforms: int = 2, seed: object = None, media_type: str = OCI_INDEX
    ) -> str:
        """Push the children by digest, then the index over them; return the index's digest."""
        return self.push(repository, tag, make_index(_seed(seed), platforms=platforms, media_type=media_type))

    def push(self, repository: str, tag: str | None, image: Image) -> str:
        """Push `image` with all that belongs to it, as docker does: what is there already is not sent again."""
        for child in image.children:
            self.push(repository, None, child)
        for blob in image.blobs:
            self.push_blob(repository, blob)
        return self.put(repository, tag or image.digest, image.media_type, image.manifest)

    def push_blob(self, repository: str, content: bytes) -> str:
        """Upload one blob by POST, PATCH and PUT, unless the repository has it."""
        digest = sha256(content)
        if self._call("HEAD", f"/v2/{repository}/blobs/{digest}", expect=(200, 404)).status_code == 200:
            return digest
        place = self._call("POST", f"/v2/{repository}/blobs/uploads/", expect=(202,)).headers["Location"]
        octets = {"Content-Type": "application/octet-stream"}
        place = self._call("PATCH", place, data=content, headers=octets, expect=(202,)).headers["Location"]
        joint = "&" if "?" in place else "?"
        self._call("PUT", f"{place}{joint}digest={digest}", expect=(201,))
        return digest

    def mount(self, repository: str, digest: str, from_repository: str) -> None:
        """Mount a blob of another repository."""
        path = f"/v2/{repository}/blobs/uploads/?mount={digest}&from={from_repository}"
        self._call("POST", path, expect=(201,))

    def put(self, repository: str, reference: str, media_type: str, content: bytes) -> str:
        """Put only a manifest."""
        response = self._call(
            "PUT",
            f"/v2/{repository}/manifests/{reference}",
            data=content,
            headers={"Content-Type": media_type},
            expect=(201,),
        )
        return response.headers["Docker-Content-Digest"]

    def retag(self, repository: str, from_tag: str, to_tag: str) -> str:
        """Give the image under from_tag a second tag, or point to_tag at it."""
        result = self.manifest(repository, from_tag)
        return self.put(repository, to_tag, result.headers["Content-Type"], result.content)

    def delete(self, repository: str, reference: str) -> int:
        """The status that the registry answers."""
        return self._call("DELETE", f"/v2/{repository}/manifests/{reference}").status_code

    def manifest(self, repository: str, reference: str) -> requests.Response:
        """Get a manifest."""
        path = f"/v2/{repository}/manifests/{reference}"
        return self._call("GET", path, headers={"Accept": ", ".join(MANIFEST_TYPES)}, expect=(200,))

    def tags(self, repository: str) -> frozenset[str]:
        """The answer of tags/list, pages followed; empty for an unknown repository."""
        result: set[str] = set()
        place: str | None = f"/v2/{repository}/tags/list"
        while place is not None:
            response = self._call("GET", place, expect=(200, 404))
            result.update(response.json().get("tags") or ())
            place = response.links.get("next", {}).get("url")
        return frozenset(result)

    def digest_of(self, repository: str, reference: str) -> str | None:
        """The digest of a tag; None if the tag does not exist."""
        path = f"/v2/{repository}/manifests/{reference}"
        response = self._call("HEAD", path, headers={"Accept": ", ".join(MANIFEST_TYPES)}, expect=(200, 404))
        return response.headers["Docker-Content-Digest"] if response.status_code == 200 else None

    def pull_whole(self, repository: str, reference: str) -> str:
        """Get manifest, children and every blob, check each against its digest, return the digest.

        Raises BrokenImage. A HEAD would not do: with a blob-descriptor cache it lies.
        """
        response = self._call(
            "GET", f"/v2/{repository}/manifests/{reference}", headers={"Accept": ", ".join(MANIFEST_TYPES)}
        )
        digest = response.headers.get("Docker-Content-Digest", "")
        if response.status_code != 200 or sha256(response.content) != digest:
            raise BrokenImage(f"{repository}:{reference}: {response.status_code} {response.text[:200]}")
        held = read_references(response.headers.get("Content-Type", OCI_MANIFEST), response.content)
        for child in held.children:
            self.pull_whole(repository, child)
        for blob, _ in held.blobs:
            content = self._call("GET", f"/v2/{repository}/blobs/{blob}")
            if content.status_code != 200 or sha256(content.content) != blob:
                raise BrokenImage(f"{repository}:{reference}: blob {blob}: {content.status_code}")
        return digest

    def _call(
        self, method: str, place: str, *, expect: tuple[int, ...] = (), data: bytes | None = None, headers: Any = None
    ) -> requests.Response:
        response = self._session.request(method, urljoin(self.url, place), data=data, headers=headers, timeout=240)
        if expect and response.status_code not in expect:
            raise AssertionError(f"{method} {place}: {response.status_code} {response.text[:300]}")
        return response


def _seed(seed: object) -> object:
    return f"image {next(_SEEDS)}" if seed is None else seed
