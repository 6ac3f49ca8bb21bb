"""Find uploads that were started and never finished. No garbage collection deletes them."""

import os
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from service.registry.storage import Storage


@dataclass(frozen=True, slots=True)
class Unfinished:
    """The number of unfinished uploads, their size, and the seconds since the last write to the oldest."""

    count: int = 0
    size_bytes: int = 0
    oldest_s: float = 0.0


def unfinished(root: Path, now_s: float, older_than_s: float) -> Unfinished:
    """Find the uploads in the storage `root` without a write for `older_than_s` seconds.

    An upload that ends meanwhile does not count.
    """
    count, size_bytes, oldest_s = 0, 0, 0.0
    for upload in _uploads(Storage(root)):
        written_s, size = _evaluate(upload)
        if written_s and now_s - written_s > older_than_s:
            count, size_bytes, oldest_s = count + 1, size_bytes + size, max(oldest_s, now_s - written_s)
    return Unfinished(count, size_bytes, oldest_s)


def _uploads(storage: Storage) -> Iterator[Path]:
    """Yield the folder of every upload."""
    for repository in storage.repositories():
        # A repository need not have a folder for uploads.
        with suppress(FileNotFoundError):
            folder = storage.base / "repositories" / repository / "_uploads"
            yield from [Path(entry.path) for entry in os.scandir(folder) if entry.is_dir()]


def _evaluate(upload: Path) -> tuple[float, int]:
    """The time of the last write to an upload (s since the epoch, 0 if the upload ended), and its size in bytes."""
    written_s, size = 0.0, 0
    for folder, _, files in os.walk(upload):
        for name in files:
            try:
                status = (Path(folder) / name).stat()
            except FileNotFoundError:
                continue
            written_s, size = max(written_s, status.st_mtime), size + status.st_size
    return written_s, size
