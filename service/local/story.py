"""The demo's story: small real images pushed over plain HTTP, and the result to expect, computed independently."""

import gzip
import hashlib
import io
import json
import os
import tarfile
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any
from urllib.parse import urljoin

import requests

from service.domain.errors import RegistryUnavailable
from service.domain.oci.manifest import MANIFEST_TYPES, OCI_INDEX, OCI_MANIFEST

APP, SITE = "shop/api", "shop/web"
BUILDS = 15
# After build 12, build 3 gets the tag `stable`, too.
RETAGGED, AFTER = 3, 12
LAYER_BYTES = 200_000
_CONFIG_TYPE = "application/vnd.oci.image.config.v1+json"
_LAYER_TYPE = "application/vnd.oci.image.layer.v1.tar+gzip"
_TIMEOUT_S = 30


@dataclass(frozen=True)
class Pushed:
    """One push by tag."""

    repository: str
    tag: str
    digest: str


class Registry:
    """A plain client of the registry, independent of `service.registry`, so that it can check the demo's claims."""

    def __init__(self, url: str) -> None:
        self._url = url
        self._session = requests.Session()
        # The registry is on this machine: a proxy or a .netrc of the user must not interfere.
        self._session.trust_env = False

    def answers(self) -> bool:
        try:
            return self._session.get(f"{self._url}/v2/", timeout=_TIMEOUT_S).ok
        except requests.RequestException:
            return False

    def blob(self, repository: str, content: bytes) -> dict[str, Any]:
        """Upload a blob; returns its size and digest as a descriptor has them."""
        digest = _digest(content)
        begun = self._ask("POST", f"/v2/{repository}/blobs/uploads/")
        upload = urljoin(self._url, begun.headers["Location"])
        with_digest = requests.Request("PUT", upload, params={"digest": digest}).prepare().url
        self._ask("PUT", str(with_digest).removeprefix(self._url), content, "application/octet-stream")
        return {"size": len(content), "digest": digest}

    def manifest(self, repository: str, reference: str | None, manifest: dict[str, Any]) -> str:
        """Push a manifest under a tag, or by its digest; returns the digest."""
        content = json.dumps(manifest).encode()
        self._ask("PUT", f"/v2/{repository}/manifests/{reference or _digest(content)}", content, manifest["mediaType"])
        return _digest(content)

    def retag(self, repository: str, digest: str, tag: str) -> str:
        """Push the manifest with this digest again, under another tag."""
        response = self._manifest(repository, digest)
        self._ask("PUT", f"/v2/{repository}/manifests/{tag}", response.content, response.headers["Content-Type"])
        return digest

    def tags(self, repository: str) -> dict[str, str]:
        """Return every tag with the digest that it points at."""
        listed = self._ask("GET", f"/v2/{repository}/tags/list").json()["tags"] or []
        return {tag: self._manifest(repository, tag).headers["Docker-Content-Digest"] for tag in listed}

    def is_whole(self, repository: str, digest: str) -> bool:
        """True if a manifest and everything it references can be downloaded and matches its digest."""
        response = self._manifest(repository, digest, missing_is_fine=True)
        if not response.ok or _digest(response.content) != digest:
            return False
        manifest = response.json()
        blobs = [manifest["config"], *manifest["layers"]] if "layers" in manifest else []
        return all(self.has_blob(repository, blob["digest"]) for blob in blobs) and all(
            self.is_whole(repository, child["digest"]) for child in manifest.get("manifests", ())
        )

    def size(self, repository: str, digest: str) -> int:
        """Return the bytes of a manifest."""
        return len(self._manifest(repository, digest).content)

    def has_manifest(self, repository: str, digest: str) -> bool:
        return self._manifest(repository, digest, missing_is_fine=True).ok

    def has_blob(self, repository: str, digest: str) -> bool:
        """True if the blob can be downloaded in full. A HEAD is not enough: a cache may answer it."""
        response = self._ask("GET", f"/v2/{repository}/blobs/{digest}", missing_is_fine=True)
        return response.ok and _digest(response.content) == digest

    def _manifest(self, repository: str, reference: str, *, missing_is_fine: bool = False) -> requests.Response:
        path = f"/v2/{repository}/manifests/{reference}"
        return self._ask("GET", path, accept=", ".join(MANIFEST_TYPES), missing_is_fine=missing_is_fine)

    def _ask(
        self,
        method: str,
        path: str,
        content: bytes | None = None,
        media_type: str | None = None,
        *,
        accept: str = "*/*",
        missing_is_fine: bool = False,
    ) -> requests.Response:
        headers = {"Accept": accept} | ({"Content-Type": media_type} if media_type else {})
        try:
            answer = self._session.request(method, self._url + path, data=content, headers=headers, timeout=_TIMEOUT_S)
            if not (missing_is_fine and answer.status_code == requests.codes.not_found):
                answer.raise_for_status()
        except requests.RequestException as error:
            raise RegistryUnavailable(f"the demo's registry failed at {method} {path}: {error}") from error
        return answer


def tell(registry: Registry) -> Iterator[Pushed]:
    """Push the story step by step: 15 builds, `latest` after each, `stable` on an old one, a multi-arch image."""
    digests: dict[int, str] = {}
    for number in range(1, BUILDS + 1):
        digests[number] = _image(registry, APP, f"build-{number}", f"build {number}")
        yield Pushed(APP, f"build-{number}", digests[number])
        yield Pushed(APP, "latest", registry.retag(APP, digests[number], "latest"))
        if number == AFTER:
            yield Pushed(APP, "stable", registry.retag(APP, digests[RETAGGED], "stable"))
    yield Pushed(SITE, "1.0", _multi_arch(registry, SITE, "1.0"))


def remains(pushes: Iterable[Pushed], last: int, protected: str) -> dict[tuple[str, str], str]:
    """Return (repository, tag) → digest of all tags that "keep the last N, protect one tag" keeps.

    Only the pushes are used. The age of a digest is the newest push of any of its tags except the protected tag, which
    takes no slot. All tags of a kept digest are kept, and so is the digest that the protected tag points at.
    """
    standing: dict[tuple[str, str], str] = {}
    order: dict[str, list[str]] = {}  # repository → digests, the most recently pushed last
    for push in pushes:
        standing[push.repository, push.tag] = push.digest
        newest = order.setdefault(push.repository, [])
        if push.tag != protected:
            newest[:] = [digest for digest in newest if digest != push.digest] + [push.digest]
    held = {(repository, digest) for (repository, tag), digest in standing.items() if tag == protected}
    held |= {(repository, digest) for repository, newest in order.items() for digest in newest[-last:]}
    return {name: digest for name, digest in standing.items() if (name[0], digest) in held}


def _image(registry: Registry, repository: str, reference: str | None, text: str, architecture: str = "amd64") -> str:
    """Push an image with one layer that no other image has."""
    tar = io.BytesIO()
    with tarfile.open(fileobj=tar, mode="w") as archive:
        entry = tarfile.TarInfo("app/build")
        entry.size = LAYER_BYTES
        archive.addfile(entry, io.BytesIO(os.urandom(LAYER_BYTES)))
    layer = registry.blob(repository, gzip.compress(tar.getvalue(), compresslevel=1))
    rootfs = {"type": "layers", "diff_ids": [_digest(tar.getvalue())]}
    config = {"architecture": architecture, "os": "linux", "rootfs": rootfs, "history": [{"comment": text}]}
    described = registry.blob(repository, json.dumps(config).encode())
    manifest = {
        "schemaVersion": 2,
        "mediaType": OCI_MANIFEST,
        "config": {"mediaType": _CONFIG_TYPE, **described},
        "layers": [{"mediaType": _LAYER_TYPE, **layer}],
    }
    return registry.manifest(repository, reference, manifest)


def _multi_arch(registry: Registry, repository: str, tag: str) -> str:
    children = []
    for architecture in ("amd64", "arm64"):
        digest = _image(registry, repository, None, f"{tag} for {architecture}", architecture)
        size = registry.size(repository, digest)
        platform = {"os": "linux", "architecture": architecture}
        children.append({"mediaType": OCI_MANIFEST, "digest": digest, "size": size, "platform": platform})
    return registry.manifest(repository, tag, {"schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": children})


def _digest(content: bytes) -> str:
    return f"sha256:{hashlib.sha256(content).hexdigest()}"
