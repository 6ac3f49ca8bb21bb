"""A folder with deleted images: one file, with a line for each deletion that contains the manifest.

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
from typing import TYPE_CHECKING, BinaryIO
from urllib.parse import urlsplit

from service.domain.errors import ConfigurationError, TrashUnwritable
from service.domain.oci.names import is_digest, is_repository, is_tag

if TYPE_CHECKING:
    from service.domain.retention.plan import Doomed

_FILE = "deleted.jsonl"
# Manifests are UTF-8. A byte that is not becomes a lone surrogate in JSON, and the same byte again when it is read.
_TEXT = ("utf-8", "surrogateescape")


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


class _SharedFlush:
    """One flush of a file to the disk for all threads that wait for it: a disk makes a few hundred in a second."""

    def __init__(self) -> None:
        self._lock, self._flushing = Lock(), Lock()
        self._written = 0
        self._flushed: tuple[tuple[int, int] | None, int] = (None, 0)

    def flush(self, descriptor: int) -> None:
        """Return once everything that this thread has written to the file is on the disk."""
        file = _identity(descriptor)
        with self._lock:
            self._written += 1
            mine = self._written
        with self._flushing:
            # The user may have moved the file away meanwhile: then another thread has flushed another file.
            if self._flushed[0] == file and self._flushed[1] >= mine:
                return
            with self._lock:
                covered = self._written
            os.fsync(descriptor)
            self._flushed = (file, covered)


class TrashFolder:
    """The folder. Its file `deleted.jsonl` has one line for each deletion, with the manifest as text."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._made = False
        self._lock = Lock()
        self._flush = _SharedFlush()
        self._named: tuple[int, int] | None = None
        self._places: dict[str, int] = {}

    def prepare(self) -> None:
        """Create the folder. Raises TrashUnwritable if that is not possible."""
        try:
            self.path.mkdir(parents=True, exist_ok=True)
            for folder in (self.path, *self.path.parents[:2]):
                _flush_folder(folder)
        except OSError as error:
            raise self._unwritable(error) from error
        self._made = True

    def save(self, repository: str, doomed: Doomed, manifest: tuple[str, bytes] | None) -> None:
        """Write an image to the disk, and return only once it would survive a power failure (safety rule 4).

        Args:
            doomed: the image, with the reasons of its deletion.
            manifest: media type and bytes; None if only the tags are to be deleted.

        Raises:
            TrashUnwritable: the image is not saved, so it must not be deleted.
        """
        media_type, content = manifest or ("", b"")
        reason = "; ".join(dict.fromkeys(verdict.reason for verdict in doomed.verdicts))
        saved = Saved(repository, doomed.digest, media_type, doomed.tags, reason, datetime.now(UTC).isoformat())
        fields = {**asdict(saved), "manifest": content.decode(*_TEXT)}
        line = json.dumps(fields, separators=(",", ":")).encode() + b"\n"
        with self._lock:
            if not self._made:
                self.prepare()
        try:
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
            with (self.path / _FILE).open("rb") as file:
                return tuple(self._read(file))
        except OSError as error:
            raise ConfigurationError(
                f"{self.path} contains no deleted images ({error.strerror}): name the folder that `pushprune prune "
                "--registry` printed at its end"
            ) from error

    def content(self, digest: str) -> bytes | None:
        """The bytes of a manifest that `saved` has returned; None if they do not match the digest."""
        try:
            with (self.path / _FILE).open("rb") as file:
                file.seek(self._places[digest])
                content: bytes = json.loads(file.readline())["manifest"].encode(*_TEXT)
            algorithm, _, expected = digest.partition(":")
            return content if hashlib.new(algorithm, content).hexdigest() == expected else None
        except (OSError, ValueError, KeyError, TypeError, AttributeError):
            return None

    def _append(self, line: bytes) -> None:
        with (self.path / _FILE).open("ab+", buffering=0) as file:
            with self._lock:
                end = file.seek(0, os.SEEK_END)
                # If the last line is incomplete, a line feed ends it, so that it does not spoil the new line.
                file.seek(max(end - 1, 0))
                line = line if file.read(1) in (b"", b"\n") else b"\n" + line
                if file.write(line) != len(line):
                    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
                # The name of a new file must be on the disk before another thread relies on it.
                if self._named != _identity(file.fileno()):
                    _flush_folder(self.path)
                    self._named = _identity(file.fileno())
            self._flush.flush(file.fileno())

    def _read(self, file: BinaryIO) -> Iterator[Saved]:
        place = 0
        for line in file:
            if saved := _saved(line):
                yield saved
                if saved.media_type:
                    self._places[saved.digest] = place
            place += len(line)

    def _unwritable(self, error: OSError) -> TrashUnwritable:
        return TrashUnwritable(
            f"deleted images cannot be saved in {self.path} ({error.strerror}), so nothing more is deleted: make room "
            "there, or name another folder (--trash DIR, or history.trash_dir)"
        )


def default_folder(url: str, now: datetime) -> Path:
    """The folder for the images that a command deletes from this registry now, below the current directory."""
    host = urlsplit(url).netloc.rpartition("@")[2].replace(":", "-")
    return Path("pushprune-trash") / (host or "registry") / now.strftime("%Y%m%d-%H%M%S")


def _identity(descriptor: int) -> tuple[int, int]:
    status = os.fstat(descriptor)
    return status.st_dev, status.st_ino


def _flush_folder(path: Path) -> None:
    """Make the names in a folder survive a power failure, not only the bytes of the files."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _saved(line: bytes) -> Saved | None:
    """Return the image of a line; None if the line is incomplete or was changed to something impossible."""
    try:
        fields = json.loads(line)
        del fields["manifest"]
        saved = Saved(**{**fields, "tags": tuple(fields["tags"])})
        names = (is_repository(saved.repository), is_digest(saved.digest), *map(is_tag, saved.tags))
    except (ValueError, TypeError, KeyError):
        return None
    return saved if all(names) and isinstance(saved.media_type, str) else None
