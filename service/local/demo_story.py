"""The demo's story: small real images that a user pushes."""

import gzip
import hashlib
import io
import json
import os
import tarfile
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from service.domain.errors import RegistryUnavailable
from service.domain.oci.manifest import OCI_INDEX, OCI_MANIFEST
from service.registry.client import RegistryClient

APP, SITE = "shop/api", "shop/web"
BUILDS = 15
# After build 12, build 3 gets the tag `stable`, too.
RETAGGED, AFTER = 3, 12
LAYER_BYTES = 200_000
_CONFIG_TYPE = "application/vnd.oci.image.config.v1+json"
_LAYER_TYPE = "application/vnd.oci.image.layer.v1.tar+gzip"


@dataclass(frozen=True)
class DemoPush:
    """One push by tag."""

    repository: str
    tag: str
    digest: str


class DemoUser(RegistryClient):
    """A user of the demo's registry. The pushes do not count as pushprune's own, because their User-Agent differs."""

    def _agent(self) -> str:
        return "demo/1"


def push_story(user: DemoUser) -> Iterator[DemoPush]:
    """Push the story step by step: 15 builds, `latest` after each, `stable` on an old one, a multi-arch image."""
    digests: dict[int, str] = {}
    for number in range(1, BUILDS + 1):
        digests[number] = _push_image(user, APP, f"build-{number}", f"build {number}")["digest"]
        yield DemoPush(APP, f"build-{number}", digests[number])
        yield _retag(user, digests[number], "latest")
        if number == AFTER:
            yield _retag(user, digests[RETAGGED], "stable")
    yield _push_multi_arch(user)


def _retag(user: DemoUser, digest: str, tag: str) -> DemoPush:
    manifest = user.get(APP, digest)
    if manifest is None:
        raise RegistryUnavailable(f"the demo's registry does not have {APP}@{digest}, which was just pushed")
    return DemoPush(APP, tag, user.put(APP, tag, manifest.media_type, manifest.content))


def _push_image(
    user: DemoUser, repository: str, tag: str | None, text: str, architecture: str = "amd64"
) -> dict[str, Any]:
    """Push an image with one layer that no other image has; return its descriptor.

    Args:
        tag: None to push it by its digest.
        text: describes the image in its history.
    """
    tar = io.BytesIO()
    with tarfile.open(fileobj=tar, mode="w") as archive:
        entry = tarfile.TarInfo("app/build")
        entry.size = LAYER_BYTES
        archive.addfile(entry, io.BytesIO(os.urandom(LAYER_BYTES)))
    layer = _push_blob(user, repository, _LAYER_TYPE, gzip.compress(tar.getvalue(), compresslevel=1))
    rootfs = {"type": "layers", "diff_ids": [_digest(tar.getvalue())]}
    config = {"architecture": architecture, "os": "linux", "rootfs": rootfs, "history": [{"comment": text}]}
    described = _push_blob(user, repository, _CONFIG_TYPE, json.dumps(config).encode())
    return _push_manifest(user, repository, tag, OCI_MANIFEST, {"config": described, "layers": [layer]})


def _push_multi_arch(user: DemoUser) -> DemoPush:
    children = []
    for architecture in ("amd64", "arm64"):
        child = _push_image(user, SITE, None, f"1.0 for {architecture}", architecture)
        children.append(child | {"platform": {"os": "linux", "architecture": architecture}})
    index = _push_manifest(user, SITE, "1.0", OCI_INDEX, {"manifests": children})
    return DemoPush(SITE, "1.0", index["digest"])


def _push_blob(user: DemoUser, repository: str, media_type: str, content: bytes) -> dict[str, Any]:
    user.upload(repository, _digest(content), content)
    return {"mediaType": media_type, "size": len(content), "digest": _digest(content)}


def _push_manifest(
    user: DemoUser, repository: str, tag: str | None, media_type: str, fields: dict[str, Any]
) -> dict[str, Any]:
    content = json.dumps({"schemaVersion": 2, "mediaType": media_type, **fields}).encode()
    digest = user.put(repository, tag or _digest(content), media_type, content)
    return {"mediaType": media_type, "size": len(content), "digest": digest}


def _digest(content: bytes) -> str:
    return f"sha256:{hashlib.sha256(content).hexdigest()}"
