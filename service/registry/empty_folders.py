"""Emptied repositories on a filesystem: only their folders are left, and the registry still lists them."""

import os
from collections.abc import Collection, Iterator
from contextlib import suppress
from pathlib import Path

from service.domain.oci.names import is_repository
from service.registry.layout import REPOSITORIES, repository_key


def emptied_repositories(root: Path, known: Collection[str]) -> Iterator[tuple[str, int]]:
    """Yield the repositories that have folders and no file, with the time of their last change (µs).

    Args:
        root: the registry's rootdirectory.
        known: the repositories that have a file.
    """
    top = root / REPOSITORIES
    for folder, inner, _ in os.walk(top):
        own = [Path(folder, name) for name in inner if name.startswith("_")]
        # No part of a repository's name begins with `_`; such folders belong to the registry.
        inner[:] = [name for name in inner if not name.startswith("_")]
        name = Path(folder).relative_to(top).as_posix()
        # No registry created folders of another name, and no request can name them.
        is_unknown = is_repository(name) and name not in known
        if own and is_unknown and (changed_us := _changed_us(own)) is not None:
            yield name, changed_us


def remove_repository(root: Path, name: str) -> bool:
    """Remove the empty folders of a repository, not those of repositories below it. False if there is a file."""
    folder = root / repository_key(name)
    own = [entry for entry in folder.iterdir() if entry.name.startswith("_")] if folder.is_dir() else []
    # The folder itself stays: a push to a repository below it may rely on it. The registry does not list it.
    return all(remove_empty(each) for each in own)


def remove_empty(folder: Path) -> bool:
    """Remove a folder with all empty folders in it. Returns False if any file keeps it."""
    # A folder into which a file was written meanwhile is not removed.
    for inner, _, _ in os.walk(folder, topdown=False):
        with suppress(OSError):
            os.rmdir(inner)
    return not folder.exists()


def _changed_us(folders: Collection[Path]) -> int | None:
    """The time of the last change of these folders and all folders in them; None if there is a file."""
    changed_ns = 0
    for top in folders:
        for folder, inner, files in os.walk(top):
            # A symbolic link may lead to files on another volume.
            if files or os.path.islink(folder) or any(os.path.islink(Path(folder, name)) for name in inner):
                return None
            with suppress(FileNotFoundError):
                changed_ns = max(changed_ns, os.stat(folder).st_mtime_ns)
    return changed_ns // 1000
