"""Uploads that were begun and never ended: no garbage collection takes them."""

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Unfinished:
    """How many, how much they hold, and how long ago the oldest was written to (s)."""

    count: int = 0
    size_bytes: int = 0
    oldest_s: float = 0.0


def unfinished(root: Path, now_s: float, older_than_s: float) -> Unfinished:
    """The uploads under the storage `root` that nobody wrote to for so long. What vanishes meanwhile does not count."""
    count, size_bytes, oldest_s = 0, 0, 0.0
    for upload in _uploads(root / "docker" / "registry" / "v2" / "repositories"):
        written_s, size = _weigh(upload)
        if written_s and now_s - written_s > older_than_s:
            count, size_bytes, oldest_s = count + 1, size_bytes + size, max(oldest_s, now_s - written_s)
    return Unfinished(count, size_bytes, oldest_s)


def _uploads(root: Path) -> Iterator[Path]:
    """No part of a repository's name begins with `_`: what does is the registry's own, and only uploads are entered."""
    for folder, inner, _ in os.walk(root):
        if "_uploads" in inner:
            try:
                yield from [Path(entry.path) for entry in os.scandir(Path(folder) / "_uploads") if entry.is_dir()]
            except FileNotFoundError:
                continue
        inner[:] = [name for name in inner if not name.startswith("_")]


def _weigh(upload: Path) -> tuple[float, int]:
    """When it was last written to (s since the epoch, 0 = it is gone), and its bytes."""
    written_s, size = 0.0, 0
    for folder, _, files in os.walk(upload):
        for name in files:
            try:
                found = (Path(folder) / name).stat()
            except FileNotFoundError:
                continue
            written_s, size = max(written_s, found.st_mtime), size + found.st_size
    return written_s, size
