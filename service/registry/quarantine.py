"""Where links are set aside on disk until the batch that removes them ends, and put back from where a push met it.

It stands in the repository's own folder, so that each step is one atomic rename on one filesystem, under a name that
the registry takes for no repository. What a process that died left there is settled by the next one.
"""

import os
import re
import shutil
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from uuid import uuid4

from service.registry.storage import Storage, read_link

FOLDER = "_pushprune"
SIGN = ".pushprune-"
_LEFT_S = 600.0  # no batch takes as long
_WRITTEN_S = 60.0
_PARALLEL = 8
# Distribution 3 writes a link beside itself and moves it into place.
_TEMPORARY = re.compile(r"link\.[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}\.tmp")


class Shelf:
    """One repository's, for one batch. Raises OSError where the disk does not do what is asked."""

    def __init__(self, storage: Storage, repository: str, token: str) -> None:
        self._storage, self._repository = storage, repository
        self._place = storage.repository_folder(repository) / FOLDER / token

    def set_tag_aside(self, tag: str, digest: str) -> bool:
        """False where it is not there. digest: where it stood."""
        return _move(self._storage.tag_folder(self._repository, tag), self.tag(tag, digest))

    def put_tag_back(self, tag: str, digest: str) -> bool:
        """False where it was pushed anew since: what stands there is the newer."""
        try:
            self.tag(tag, digest).rename(self._storage.tag_folder(self._repository, tag))
        except OSError:
            if not self._storage.tag_folder(self._repository, tag).exists():
                raise
            return False
        return True

    def set_manifest_aside(self, digest: str) -> bool:
        """False where the repository does not have it."""
        return _move(self._storage.revision(self._repository, digest), self.manifest(digest))

    def put_manifest_back(self, digest: str) -> None:
        """Unless its bytes are gone. A link that was written again is the same."""
        if self._storage.blob_size(digest):
            self.manifest(digest).rename(self._storage.revision(self._repository, digest))

    def write_link(self, link: Path, digest: str) -> None:
        """Writes a link in one step; it, and every folder that it needs, belongs to whom the repository belongs to."""
        folder = self._storage.repository_folder(self._repository)
        fresh = link.with_name(f"link.{uuid4()}.tmp")
        for parent in reversed([place for place in link.parents if folder in place.parents]):
            make_folder(parent, folder)
        fresh.write_text(digest)
        _hand_over(fresh, folder)
        fresh.replace(link)

    def settle(self) -> tuple[str, ...]:
        """Puts back what a push met, removes the rest, and is gone; returns the tags that this is about."""
        with ThreadPoolExecutor(_PARALLEL, thread_name_prefix="unlink") as pool:
            met = tuple(filter(None, pool.map(self._settle_tag, self._place.glob("tags/*/*"))))
            links = {_digest(link.name): link for link in self._place.glob("revisions/*")}
            standing = self._storage.tags_at(self._repository, links) if links else {}
            for digest in set(standing.values()):
                self.put_manifest_back(digest)
            list(pool.map(_unlink, links.values()))
        shutil.rmtree(self._place, ignore_errors=True)
        try:
            self._place.parent.rmdir()
        except OSError:
            return (*met, *standing)  # another batch is at work, or nothing was ever set aside
        return (*met, *standing)

    def _settle_tag(self, folder: Path) -> str:
        """Its name, where it was put back; "" where it is gone."""
        tag, digest = folder.name, _digest(folder.parent.name)
        if is_pushed_into(folder, digest) and self.put_tag_back(tag, digest):
            return tag
        _remove(folder)
        return ""

    def tag(self, tag: str, digest: str) -> Path:
        return self._place / "tags" / digest.replace(":", "-", 1) / tag

    def manifest(self, digest: str) -> Path:
        return self._place / "revisions" / digest.replace(":", "-", 1)


def settle_left(storage: Storage, repository: str) -> None:
    """Settles the shelves, and removes the signs, of processes that are gone."""
    folder = storage.repository_folder(repository)
    for place in _left(folder / FOLDER, ""):
        Shelf(storage, repository, place.name).settle()
    for place in _left(folder / "_manifests" / "tags", SIGN):
        place.rmdir()


def is_left(storage: Storage, repository: str) -> bool:
    """Whether there is anything to settle."""
    folder = storage.repository_folder(repository)
    return bool(_left(folder / FOLDER, "") or _left(folder / "_manifests" / "tags", SIGN))


def _left(folder: Path, prefix: str) -> list[Path]:
    since_s = time.time() - _LEFT_S
    try:
        found = [entry for entry in os.scandir(folder) if entry.name.startswith(prefix)]
    except FileNotFoundError:
        return []
    return [Path(entry.path) for entry in found if entry.stat().st_mtime < since_s]


def is_pushed_into(folder: Path, digest: str) -> bool:
    """Whether a push is, or was, at work in the folder of a tag that stood at this digest."""
    current = folder / "current"
    if read_link(current / "link") != digest:
        return True
    since_s = time.time() - _WRITTEN_S
    return any((current / name).stat().st_mtime > since_s for name in os.listdir(current) if _TEMPORARY.fullmatch(name))


def unknown_in(folder: Path) -> str | None:
    """What stands in the folder of a tag that no registry puts there; None where all is known."""
    if folder.is_symlink():
        return "."
    for place, folders, files in os.walk(folder):
        elsewhere = [name for name in (*folders, *files) if os.path.islink(f"{place}/{name}")]
        inside = place[len(str(folder)) + 1 :]
        match inside.split("/") if inside else ():
            case ():
                known = not files and set(folders) <= {"current", "index"}
            case ["current"] | ["index", _, _]:
                known = not folders and all(name == "link" or _TEMPORARY.fullmatch(name) for name in files)
            case ["index"] | ["index", _]:
                known = not files
            case _:
                known = False
        if elsewhere or not known:
            return "/".join(filter(None, (inside, *(elsewhere or files or folders)[:1])))
    return None


def make_folder(place: Path, like: Path) -> None:
    """Unless it is there; it belongs to whom `like` belongs to."""
    if not place.exists():
        place.mkdir(exist_ok=True)
        _hand_over(place, like)


def _hand_over(place: Path, folder: Path) -> None:
    """Gives what we made the owner and the rights of the folder; a file is not to be run."""
    like = folder.stat()
    if os.geteuid() == 0:
        os.chown(place, like.st_uid, like.st_gid)
    place.chmod(like.st_mode & (0o7777 if place.is_dir() else 0o666))


def _remove(folder: Path) -> None:
    """As rmtree, with what it costs where nothing odd is expected: it is done for every tag.

    What a symbolic link leads to is another's.
    """
    if folder.is_symlink():
        folder.unlink()
        return
    for place, folders, files in os.walk(folder, topdown=False):
        for name in files:
            os.unlink(f"{place}/{name}")
        for name in folders:
            os.rmdir(f"{place}/{name}")
    os.rmdir(folder)


def _unlink(link: Path) -> None:
    link.unlink(missing_ok=True)


def _move(source: Path, target: Path) -> bool:
    target.parent.mkdir(parents=True, exist_ok=True)
    try:
        source.rename(target)
    except FileNotFoundError:
        return False
    return True


def _digest(name: str) -> str:
    return name.replace("-", ":", 1)
