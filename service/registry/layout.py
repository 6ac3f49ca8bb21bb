"""The keys of the registry's layout in its storage: every key is built and parsed here, and nowhere else.

The layout is that of Distribution 2.8.3 and 3 (`registry/storage/paths.go`), the same on disk and on object storage.
Keys are relative to the registry's `rootdirectory`.
"""

import re
from enum import Enum
from typing import NamedTuple

from service.domain.collection.digests import pack, packed, unpacked
from service.domain.collection.storage_inventory import LayerLink
from service.registry.address import checked_digest, checked_repository, checked_tag

__all__ = ["StoredKey", "StoredKind", "packed", "parse", "unpacked"]

BASE = "docker/registry/v2"
BLOBS = f"{BASE}/blobs"
REPOSITORIES = f"{BASE}/repositories"
# The folder of pushprune beside that of the registry. No registry looks at it.
OURS = "pushprune"

_BLOBS, _REPOSITORIES = f"{BLOBS}/", f"{REPOSITORIES}/"
# The folder of blobs whose digests begin so.
# The names of the folders of blobs.
START = re.compile(r"[0-9a-f]{2}")
_UPLOAD = re.compile(rf"{REPOSITORIES}/(.+)/_uploads/([^/]+)/.+")


class StoredKind(Enum):
    """The kinds of objects that a registry stores."""

    BLOB = "the data of a blob"
    LAYER = "the link that makes a config or layer part of a repository"
    REVISION = "the link that makes a manifest part of a repository"
    CURRENT = "the link from a tag to the manifest that it points at"
    INDEX = "the link from a tag to a manifest that it ever pointed at"
    UPLOAD = "a part of an upload"
    SIGNATURE = "the link from a manifest of Docker schema 1 to a signature"


class StoredKey(NamedTuple):
    """The meaning of one key.

    Attributes:
        kind: of the object.
        repository: "" for a blob.
        digest: packed, see `packed`; b"" for a current link and an upload.
        name: the tag, or the id of the upload.
    """

    kind: StoredKind
    repository: str = ""
    digest: bytes = b""
    name: str = ""


def parse(key: str) -> StoredKey | None:
    """Return the meaning of a key; None for a key that is none of a registry's objects."""
    if key.startswith(_BLOBS):
        # <algorithm>/<first two digits>/<hexadecimal>/data
        match key[len(_BLOBS) :].split("/"):
            case algorithm, start, hexadecimal, "data" if START.fullmatch(start):
                return _place(StoredKind.BLOB, "", algorithm, hexadecimal)
    elif key.startswith(_REPOSITORIES):
        return _of_repository(key[len(_REPOSITORIES) :].split("/")) or _upload(key)
    return None


def _of_repository(parts: list[str]) -> StoredKey | None:
    # The order is that of frequency: a registry has more layer links than anything else.
    match parts:
        case *repository, "_layers", algorithm, hexadecimal, "link" if repository:
            return _place(StoredKind.LAYER, "/".join(repository), algorithm, hexadecimal)
        case *repository, "_manifests", "tags", tag, "index", algorithm, hexadecimal, "link" if repository:
            return _place(StoredKind.INDEX, "/".join(repository), algorithm, hexadecimal, tag)
        case *repository, "_manifests", "revisions", algorithm, hexadecimal, "link" if repository:
            return _place(StoredKind.REVISION, "/".join(repository), algorithm, hexadecimal)
        case *repository, "_manifests", "tags", tag, "current", "link" if repository:
            return StoredKey(StoredKind.CURRENT, "/".join(repository), name=tag)
        # Written by registries before Distribution 2.5.
        case *repository, "_manifests", "revisions", _, _, "signatures", algorithm, hexadecimal, "link" if repository:
            return _place(StoredKind.SIGNATURE, "/".join(repository), algorithm, hexadecimal)
    return None


def _upload(key: str) -> StoredKey | None:
    match = _UPLOAD.fullmatch(key)
    return StoredKey(StoredKind.UPLOAD, match[1], name=match[2]) if match else None


def is_unknown_revision(key: str) -> bool:
    """True if a registry may serve a manifest because of this key, although `parse` does not understand it."""
    # A registry reads files of this name only.
    return "/_manifests/revisions/" in key and key.endswith("/link") and parse(key) is None


def _place(kind: StoredKind, repository: str, algorithm: str, hexadecimal: str, name: str = "") -> StoredKey | None:
    digest = pack(algorithm, hexadecimal)
    return StoredKey(kind, repository, digest, name) if digest else None


def blob_key(digest: str) -> str:
    """The key of a blob's data."""
    algorithm, _, hexadecimal = checked_digest(digest).partition(":")
    return f"{BLOBS}/{algorithm}/{hexadecimal[:2]}/{hexadecimal}/data"


def layer_key(repository: str, digest: str) -> str:
    """The key of a repository's link to a config or layer."""
    return f"{repository_key(repository)}/_layers/{_folder(digest)}/link"


def key_of_link(link: LayerLink) -> str:
    """The key of a layer link that a listing found. Its folder need not have the name of a repository."""
    return f"{REPOSITORIES}/{link.repository}/_layers/{_folder(unpacked(link.digest))}/link"


def revision_key(repository: str, digest: str) -> str:
    """The key of the link that makes a manifest part of a repository."""
    return f"{repository_key(repository)}/_manifests/revisions/{_folder(digest)}/link"


def revisions_key(repository: str) -> str:
    """The prefix of a repository's revision links."""
    return f"{repository_key(repository)}/_manifests/revisions"


def tags_key(repository: str) -> str:
    """The prefix of a repository's tags."""
    return f"{repository_key(repository)}/_manifests/tags"


def tag_key(repository: str, tag: str) -> str:
    """The prefix of everything that belongs to a tag."""
    return f"{tags_key(repository)}/{checked_tag(tag)}"


def current_key(repository: str, tag: str) -> str:
    """The key of the link from a tag to the manifest that it points at."""
    return f"{tag_key(repository, tag)}/current/link"


def index_key(repository: str, tag: str, digest: str) -> str:
    """The key of the link from a tag to a manifest that it ever pointed at."""
    return f"{tag_key(repository, tag)}/index/{_folder(digest)}/link"


def upload_key(repository: str, upload: str) -> str:
    """The prefix of everything that belongs to an upload."""
    return f"{repository_key(repository)}/_uploads/{upload}"


def repository_key(repository: str) -> str:
    """The prefix of everything that belongs to a repository, but also of repositories below it."""
    return f"{REPOSITORIES}/{checked_repository(repository)}"


def _folder(digest: str) -> str:
    return checked_digest(digest).replace(":", "/", 1)
