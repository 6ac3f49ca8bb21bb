"""The content of the fake registry, and the rules by which Distribution lets it change; no HTTP in here."""

import hashlib
import json
from collections.abc import Callable, Iterable, MutableMapping
from dataclasses import dataclass, field
from pathlib import Path
from threading import RLock
from typing import Any, Literal

from service.domain.oci.manifest import INDEX_TYPES, MANIFEST_TYPES
from tests.fakes.images import sha256
from tests.fakes.registry_disk import ManifestLinks, StoredManifest, TagLinks, repository_folder, write

# "3" is the main branch after 3.1.1; "3.1.1" is the release.
Version = Literal["2.8", "3", "3.1.1"]
Driver = Literal["filesystem", "s3"]


@dataclass(frozen=True)
class Collected:
    """One run of garbage-collect: the blobs and layer links (repository, digest) that it deletes, and its output."""

    blobs: tuple[str, ...]
    links: tuple[tuple[str, str], ...]
    output: tuple[str, ...]


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

    had_manifest: the catalog of 3 lists a repository from its first manifest on.
    aliases: where the link of a sha512 leads: to the sha256, or, once it was mounted, to itself, where nothing is.
    """

    blobs: set[str] = field(default_factory=set)
    aliases: dict[str, str] = field(default_factory=dict)
    manifests: MutableMapping[str, StoredManifest] = field(default_factory=dict)
    tags: MutableMapping[str, str] = field(default_factory=dict)
    was_tagged: bool = False
    had_manifest: bool = False


class Storage:
    """Repositories that share their blobs. Every method is atomic but delete_manifest, as in the real one.

    Args:
        version: whose rules apply.
        disk: the folder that keeps tags and manifests, in the layout of the filesystem driver; None for memory.
        driver: the storage driver whose faults are played.
        sparse_indexes: accept an index whose children are missing (validation.manifests.indexes.platforms).
        refuses_crossed_pushes: answer 500 to the push of a tag that meets a DELETE by digest in its repository.
    """

    def __init__(
        self,
        version: Version,
        disk: Path | None = None,
        driver: Driver = "filesystem",
        *,
        sparse_indexes: bool = False,
        refuses_crossed_pushes: bool = False,
    ) -> None:
        self.version = version
        self.driver = driver
        self.sparse_indexes = sparse_indexes
        self.refuses_crossed_pushes = refuses_crossed_pushes
        self._disk = disk
        self._deleting: list[str] = []
        self.lock = RLock()
        self.repositories: dict[str, Repository] = {}
        self.blobs: dict[str, bytes] = {}

    @property
    def is_3(self) -> bool:
        return self.version != "2.8"

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
            answer = (body["schemaVersion"], body.get("mediaType", media_type))
            wanted = [entry["digest"] for entry in _referenced(media_type, body)]
        except (ValueError, KeyError, TypeError, AttributeError):
            raise Refused(400, "MANIFEST_INVALID", "manifest invalid", {}) from None
        if media_type not in MANIFEST_TYPES or answer != (2, media_type):
            raise Refused(400, "MANIFEST_INVALID", "manifest invalid", {})
        manifest = StoredManifest(sha256(content), media_type, content)
        if is_digest(reference) and reference != manifest.digest:
            raise Refused(400, "DIGEST_INVALID", "provided digest did not match uploaded content")
        with self.lock:
            repository = self._repository(name)
            here = repository.manifests if media_type in INDEX_TYPES else repository.blobs & self.blobs.keys()
            is_sparse = self.sparse_indexes and media_type in INDEX_TYPES
            for digest in wanted if not is_sparse else ():
                if digest not in here:
                    raise Refused(400, "MANIFEST_BLOB_UNKNOWN", "blob unknown to registry", digest)
            self.repositories[name] = repository
            repository.manifests[manifest.digest] = manifest
            repository.had_manifest = True
            if not is_digest(reference):
                if self.refuses_crossed_pushes and name in self._deleting:
                    # The manifest is stored before its tag is linked, and only the link fails.
                    raise Refused(500, "UNKNOWN", "unknown error")
                repository.tags[reference] = manifest.digest
                repository.was_tagged = True
        return manifest

    def resolve(self, name: str, reference: str) -> str:
        """Resolve a reference to a digest. A digest resolves to itself, even if it does not exist."""
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
        """Remove the manifest, look up its tags, remove those, wherever they point by then (facts: lost re-push).

        meanwhile: called between the last two steps. Returns the tags removed.
        """
        with self.lock:
            repository = self._repository(name)
            if repository.manifests.pop(digest, None) is None:
                raise Refused(404, "MANIFEST_UNKNOWN", "manifest unknown")
            looked_up = tuple(tag for tag, target in repository.tags.items() if target == digest)
            self._deleting.append(name)
        try:
            meanwhile()
        finally:
            self._deleting.remove(name)
        with self.lock:
            return tuple(tag for tag in looked_up if self._remove_tag(repository, tag))

    def _remove_tag(self, repository: Repository, tag: str) -> bool:
        """Remove a tag. 2.8 on S3 answers 202 and leaves the tag if a tag `X-…` or `X.…` exists (upstream #3142)."""
        if tag not in repository.tags:
            return False
        if (
            self.driver == "s3"
            and not self.is_3
            and any(name.startswith((f"{tag}-", f"{tag}.")) for name in repository.tags)
        ):
            return True
        del repository.tags[tag]
        return True

    def delete_tag(self, name: str, tag: str) -> None:
        if self.version == "2.8":
            raise Refused(400, "DIGEST_INVALID", "provided digest did not match uploaded content")
        with self.lock:
            if self._repository(name).tags.pop(tag, None) is None:
                raise Refused(404, "MANIFEST_UNKNOWN", "manifest unknown", {"Tag": tag})

    def tag_names(self, name: str, last: str = "") -> list[str]:
        """The tags behind `last`. 2.8 lists all, in an order of its own; 3 sorts."""
        with self.lock:
            repository = self._repository(name)
            tags = repository.tags
            known = tags.has_folder() if isinstance(tags, TagLinks) else repository.was_tagged
            if self.driver == "s3" and not self.is_3:
                known = bool(tags)  # an object store has no empty folders
            if not known:
                raise Refused(404, "NAME_UNKNOWN", "repository name not known to registry", {"name": name})
            names = list(tags)
        if not self.is_3:
            return sorted(names, key=_scrambled)
        if self._walks_s3:
            return _unhidden(_walked(names, last))
        return [tag for tag in sorted(names) if tag > last]

    def catalog(self, last: str = "") -> list[str]:
        """The repositories behind `last`; 3 lists none that only has blobs."""
        with self.lock:
            names = [name for name in self.repositories if self._is_in_catalog(name)]
        return _walked(names, last) if self._walks_s3 else [name for name in sorted(names) if name > last]

    @property
    def _walks_s3(self) -> bool:
        """True for a listing as 3.0 to 3.1.1 make it over S3."""
        return self.version == "3.1.1" and self.driver == "s3"

    def _is_in_catalog(self, name: str) -> bool:
        repository = self.repositories[name]
        if not self.is_3:
            return True
        if self.driver == "s3":
            return bool(repository.manifests or repository.tags)
        return repository.had_manifest or (
            self._disk is not None and (repository_folder(self._disk, name) / "_manifests").exists()
        )

    def collect(self) -> tuple[str, ...]:
        """Run garbage-collect and return the digests of the blobs that it deleted."""
        return self.garbage_collect().blobs

    def garbage_collect(self, *, dry_run: bool = False) -> Collected:
        """Delete the blobs that no manifest of any repository references.

        3 also deletes the layer links of each repository whose blobs are not marked by the time that the repository
        is enumerated (service/README.md, garbage-collect).
        """
        with self.lock:
            marked: set[str] = set()
            links: list[tuple[str, str]] = []
            lines: list[str] = []
            for name in sorted(self.repositories):
                if not self._is_in_catalog(name):
                    continue
                repository = self.repositories[name]
                lines.append(name)
                for manifest in repository.manifests.values():
                    lines.append(f"{name}: marking manifest {manifest.digest} ")
                    blobs = [
                        entry["digest"] for entry in _referenced(manifest.media_type, json.loads(manifest.content))
                    ]
                    lines += [f"{name}: marking blob {digest}" for digest in blobs if digest not in marked]
                    marked.update(blobs, [manifest.digest])
                if self.is_3:
                    links += [(name, digest) for digest in sorted(repository.blobs - marked)]
            swept = tuple(sorted(self.blobs.keys() - marked))
            lines += ["", f"{len(marked)} blobs marked, {len(swept)} blobs and 0 manifests eligible for deletion"]
            lines += [f"blob eligible for deletion: {digest}" for digest in swept]
            lines += [f"{name}: layer link eligible for deletion: {digest}" for name, digest in links]
            if not dry_run:
                for digest in swept:
                    del self.blobs[digest]
                for name, digest in links:
                    self.repositories[name].blobs.discard(digest)
            return Collected(swept, tuple(links), tuple(lines))


def _walked(names: Iterable[str], last: str) -> list[str]:
    """The names behind `last` as the S3 driver of 3.0 to 3.1.1 walks over them (upstream #4891, #4903).

    The walk is in the byte order of the keys, where `-` and `.` come before `/`; `last` is compared as a path, where
    `/` comes first. So a page that ends with `v1-a` loses `v1`.
    """
    return [name for name in sorted(names, key=lambda name: f"{name}/") if name > last]


def _unhidden(names: Iterable[str]) -> list[str]:
    """Leave out each name that begins with the name listed right before (upstream #4891)."""
    listed: list[str] = []
    for name in names:
        if not listed or not name.startswith(listed[-1]):
            listed.append(name)
    return listed


def is_digest(reference: str) -> bool:
    return ":" in reference


def _referenced(media_type: str, body: Any) -> list[dict[str, Any]]:
    """Descriptors of everything that must exist before this manifest is accepted. A subject need not exist."""
    if media_type in INDEX_TYPES:
        return list(body["manifests"])
    return [body["config"], *body["layers"]]


def _scrambled(tag: str) -> bytes:
    return hashlib.sha256(tag.encode()).digest()
