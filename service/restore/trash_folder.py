"""A folder with deleted images: their manifests, and an index with one line for each deletion.

The folder survives the command that deleted, and Redis. `pushprune restore --from` restores images from the folder,
until a garbage collection has deleted their layers.
"""

from __future__ import annotations

import errno
import hashlib
import json
import os
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from threading import Lock
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from service.domain.errors import ConfigurationError, TrashUnwritable
from service.domain.oci.names import is_digest, is_repository, is_tag

if TYPE_CHECKING:
    from service.domain.retention.plan import Doomed

_INDEX = "index.jsonl"
_MANIFESTS = "manifests"


@dataclass(frozen=True, slots=True)
class Saved:
    """One image, as it was saved right before its deletion.

    Attributes:
        media_type: "" if only these tags were to be deleted, and the manifest was kept.
        tags: () for a manifest without a tag.
        reason: why it was deleted.
        at: when, as RFC 3339.
    """

    repository: str
    digest: str
    media_type: str
    tags: tuple[str, ...]
    reason: str
    at: str


class TrashFolder:
    """The folder: manifests in `manifests/<algorithm>-<hex>`, and `index.jsonl` with one line for each deletion."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._made = False
        self._lock = Lock()

    def prepare(self) -> None:
        """Create the folder. Raises TrashUnwritable if that is not possible."""
        try:
            (self.path / _MANIFESTS).mkdir(parents=True, exist_ok=True)
            for folder in (self.path, *self.path.parents[:2]):
                _flush_folder(folder)
        except OSError as error:
            raise self._unwritable(error) from error
        self._made = True

    def save(self, repository: str, doomed: Doomed, manifest: tuple[str, bytes] | None) -> None:
        """Write an image to the disk, and return only once it would survive a power failure (safety rule 4).

        Args:
            repository: the name of the repository.
            doomed: the image, with the reasons of its deletion.
            manifest: media type and bytes; None if only the tags are to be deleted.

        Raises:
            TrashUnwritable: the image is not saved, so it must not be deleted.
        """
        media_type, content = manifest or ("", b"")
        reason = "; ".join(dict.fromkeys(verdict.reason for verdict in doomed.verdicts))
        saved = Saved(repository, doomed.digest, media_type, doomed.tags, reason, datetime.now(UTC).isoformat())
        line = json.dumps(asdict(saved), separators=(",", ":")).encode() + b"\n"
        with self._lock:
            if not self._made:
                self.prepare()
        try:
            if manifest:
                self._write(doomed.digest, content)
            # The line is written last, so that every manifest that the index names is on the disk.
            self._append(line)
        except OSError as error:
            raise self._unwritable(error) from error

    def saved(self) -> tuple[Saved, ...]:
        """All saved images, the first deletion first.

        An incomplete line, left by a machine that stopped, is skipped: its image was not deleted yet.

        Raises:
            ConfigurationError: the folder contains no deleted images, or cannot be read.
        """
        try:
            lines = (self.path / _INDEX).read_bytes().split(b"\n")
        except OSError as error:
            raise ConfigurationError(
                f"{self.path} contains no deleted images ({error.strerror}): name the folder that `pushprune prune "
                "--registry` printed at its end"
            ) from error
        return tuple(_read(lines))

    def content(self, digest: str) -> bytes | None:
        """The bytes of a manifest; None if they are not in the folder, or do not match the digest."""
        try:
            content = self._file(digest).read_bytes()
            algorithm, _, expected = digest.partition(":")
            return content if hashlib.new(algorithm, content).hexdigest() == expected else None
        except (OSError, ValueError):
            return None

    def _append(self, line: bytes) -> None:
        """Add a line to the index."""
        path = self.path / _INDEX
        with path.open("ab+", buffering=0) as index:
            with self._lock:
                end = index.seek(0, os.SEEK_END)
                # If the last line is incomplete, a line feed ends it, so that it does not spoil the new line.
                index.seek(max(end - 1, 0))
                line = line if index.read(1) in (b"", b"\n") else b"\n" + line
                if index.write(line) != len(line):
                    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
            os.fsync(index.fileno())
        if end == 0:
            _flush_folder(self.path)

    def _write(self, digest: str, content: bytes) -> None:
        """Write a manifest under its digest. An incomplete file of an earlier attempt is replaced."""
        if self.content(digest) == content:
            return
        with self._file(digest).open("wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        _flush_folder(self.path / _MANIFESTS)

    def _file(self, digest: str) -> Path:
        return self.path / _MANIFESTS / digest.replace(":", "-")

    def _unwritable(self, error: OSError) -> TrashUnwritable:
        return TrashUnwritable(
            f"deleted images cannot be saved in {self.path} ({error.strerror}), so nothing more is deleted: make room "
            "there, or name another folder (--trash DIR, or history.trash_dir)"
        )


def default_folder(url: str, now: datetime) -> Path:
    """The folder for the images that a command deletes from this registry now, below the current directory."""
    host = urlsplit(url).netloc.rpartition("@")[2].replace(":", "-")
    return Path("pushprune-trash") / (host or "registry") / now.strftime("%Y%m%d-%H%M%S")


def _flush_folder(path: Path) -> None:
    """Make the names in a folder survive a power failure, not only the bytes of the files."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _read(lines: list[bytes]) -> Iterator[Saved]:
    for line in lines:
        try:
            fields = json.loads(line)
            saved = Saved(**{**fields, "tags": tuple(fields["tags"])})
            names = (is_repository(saved.repository), is_digest(saved.digest), *map(is_tag, saved.tags))
        except (ValueError, TypeError, KeyError):
            continue
        if all(names) and isinstance(saved.media_type, str):
            yield saved
