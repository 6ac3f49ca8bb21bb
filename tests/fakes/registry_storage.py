"""What the fake registry holds, and the rules by which Distribution lets it change; no HTTP in here."""

import hashlib
import json
from collections.abc import Callable, MutableMapping
from dataclasses import dataclass, field
from pathlib import Path
from threading import RLock
from typing import Any, Literal

from service.domain.manifest import INDEX_TYPES, MANIFEST_TYPES
from tests.fakes.images import sha256
from tests.fakes.registry_disk import ManifestLinks, StoredManifest, TagLinks, repository_folder, write

Version = Literal["2.8", "3"]


class Refused(Exception):
    """A registry's error answer: an HTTP status, a code of the API, its message."""

    def __init__(self, status: int, code: str, message: str, detail: Any = None) -> None:
        super().__init__(message)
        self.status = status
        error = {"code": code, "message": message} | ({"detail": detail} if detail is not None else {})
        self.body = json.dumps({"errors": [error]}, separators=(",", ":")).encode() + b"\n"


@dataclass
class Repository:
    """blobs: the digests it has links to; was_tagged: tags/list knows a repository from its first tag on.

    aliases: where the link of a sha512 leads: to the sha256, or, once it was mounted, to itself, where nothing is.
    """

    blobs: set[str] = field(default_factory=set)
    aliases: dict[str, str] = field(default_factory=dict)
    manifests: MutableMapping[str, StoredManifest] = field(default_factory=dict)
    tags: MutableMapping[str, str] = field(default_factory=dict)
    was_tagged: bool = False


class Storage:
    """Repositories that share their blobs. Every method is atomic but delete_manifest, as in the real one.

    disk: where tags and manifests are kept instead, in the layout of the filesystem driver.
    """

    def __init__(self, version: Version, disk: Path | None = None) -> None:
        self.version = version
        self._disk = disk
        self.lock = RLock()
        self.repositories: dict[str, Repository] = {}
        self.blobs: dict[str, bytes] = {}

    def _made(self, name: str) -> Repository:
        return self.repositories.setdefault(name, self._repository(name))

    def _repository(self, name: str) -> Repository:
        """The one that is there, or one that is not there yet."""
        if name in self.repositories or self._disk is None:
            return self.repositories.get(name, Repository())
        folder = repository_folder(self._disk, name)
        return Repository(manifests=ManifestLinks(self._disk, folder), tags=TagLinks(folder))

    def put_blob(self, name: str, content: bytes, digest: str | None = None) -> str:
        """digest: what the content is said to have."""
        canonical = sha256(content)
        digest = digest or canonical
        if digest not in (canonical, f"sha512:{hashlib.sha512(content).hexdigest()}"):
            raise Refused(400, "DIGEST_INVALID", "provided digest did not match uploaded content")
        with self.lock:
            self.blobs[canonical] = content
            repository = self._made(name)
            repository.blobs.add(canonical)
            if self._disk:
                link = repository_folder(self._disk, name) / "_layers" / canonical.replace(":", "/") / "link"
                write(link, canonical.encode())
            if digest != canonical:
                repository.aliases[digest] = canonical
        return canonical

    def mount(self, name: str, digest: str, source: str) -> bool:
        with self.lock:
            held = self.repositories.get(source)
            target = held.aliases.get(digest, digest) if held else ""
            if held is None or target not in held.blobs or target not in self.blobs:
                return False
            repository = self._made(name)
            if target != digest:
                repository.aliases[digest] = digest
            else:
                repository.blobs.add(digest)
            return True

    def blob(self, name: str, digest: str) -> bytes:
        with self.lock:
            repository = self.repositories.get(name)
            digest = repository.aliases.get(digest, digest) if repository else digest
            if repository is None or digest not in repository.blobs or digest not in self.blobs:
                raise Refused(404, "BLOB_UNKNOWN", "blob unknown to registry", digest)
            return self.blobs[digest]

    def delete_blob(self, name: str, digest: str) -> None:
        with self.lock:
            self.blob(name, digest)
            self.repositories[name].blobs.discard(digest)

    def put_manifest(self, name: str, reference: str, media_type: str, content: bytes) -> StoredManifest:
        try:
            body = json.loads(content)
            said = (body["schemaVersion"], body.get("mediaType", media_type))
            wanted = [entry["digest"] for entry in _referenced(media_type, body)]
        except (ValueError, KeyError, TypeError, AttributeError):
            raise Refused(400, "MANIFEST_INVALID", "manifest invalid", {}) from None
        if media_type not in MANIFEST_TYPES or said != (2, media_type):
            raise Refused(400, "MANIFEST_INVALID", "manifest invalid", {})
        manifest = StoredManifest(sha256(content), media_type, content)
        if is_digest(reference) and reference != manifest.digest:
            raise Refused(400, "DIGEST_INVALID", "provided digest did not match uploaded content")
        with self.lock:
            repository = self._repository(name)
            here = repository.manifests if media_type in INDEX_TYPES else repository.blobs & self.blobs.keys()
            for digest in wanted:
                if digest not in here:
                    raise Refused(400, "MANIFEST_BLOB_UNKNOWN", "blob unknown to registry", digest)
            self.repositories[name] = repository
            repository.manifests[manifest.digest] = manifest
            if not is_digest(reference):
                repository.tags[reference] = manifest.digest
                repository.was_tagged = True
        return manifest

    def resolve(self, name: str, reference: str) -> str:
        """The digest a reference means. A digest means itself, whether it is there or not."""
        with self.lock:
            digest = reference if is_digest(reference) else self._repository(name).tags.get(reference)
            if digest is None:
                raise Refused(404, "MANIFEST_UNKNOWN", "manifest unknown", {"Tag": reference})
            return digest

    def manifest(self, name: str, reference: str) -> StoredManifest:
        with self.lock:
            digest = self.resolve(name, reference)
            repository = self._repository(name)
            if digest not in repository.manifests:
                raise Refused(404, "MANIFEST_UNKNOWN", "manifest unknown", {"Name": name, "Revision": digest})
            return repository.manifests[digest]

    def delete_manifest(self, name: str, digest: str, meanwhile: Callable[[], None]) -> tuple[str, ...]:
        """Removes the manifest, looks up its tags, removes those: wherever they stand by then (FACTS: lost re-push).

        meanwhile: called between the last two steps. Returns the tags removed.
        """
        with self.lock:
            repository = self._repository(name)
            if repository.manifests.pop(digest, None) is None:
                raise Refused(404, "MANIFEST_UNKNOWN", "manifest unknown")
            looked_up = tuple(tag for tag, target in repository.tags.items() if target == digest)
        meanwhile()
        with self.lock:
            return tuple(tag for tag in looked_up if repository.tags.pop(tag, None) is not None)

    def delete_tag(self, name: str, tag: str) -> None:
        if self.version == "2.8":
            raise Refused(400, "DIGEST_INVALID", "provided digest did not match uploaded content")
        with self.lock:
            if self._repository(name).tags.pop(tag, None) is None:
                raise Refused(404, "MANIFEST_UNKNOWN", "manifest unknown", {"Tag": tag})

    def tag_names(self, name: str) -> list[str]:
        """2.8 lists in an order of its own, 3 sorts."""
        with self.lock:
            repository = self._repository(name)
            tags = repository.tags
            if not (tags.has_folder() if isinstance(tags, TagLinks) else repository.was_tagged):
                raise Refused(404, "NAME_UNKNOWN", "repository name not known to registry", {"name": name})
            names = list(tags)
        return sorted(names) if self.version == "3" else sorted(names, key=_scrambled)

    def catalog(self) -> list[str]:
        with self.lock:
            return sorted(self.repositories)

    def collect(self) -> tuple[str, ...]:
        """What garbage-collect sweeps: blobs that no manifest of any repository references. Returns their digests."""
        with self.lock:
            kept = {
                entry["digest"]
                for repository in self.repositories.values()
                for manifest in repository.manifests.values()
                for entry in _referenced(manifest.media_type, json.loads(manifest.content))
            }
            swept = tuple(self.blobs.keys() - kept)
            for digest in swept:
                del self.blobs[digest]
            return swept


def is_digest(reference: str) -> bool:
    return ":" in reference


def _referenced(media_type: str, body: Any) -> list[dict[str, Any]]:
    """Descriptors of what must be there before this manifest is accepted; a subject need not be."""
    if media_type in INDEX_TYPES:
        return list(body["manifests"])
    return [body["config"], *body["layers"]]


def _scrambled(tag: str) -> bytes:
    return hashlib.sha256(tag.encode()).digest()
