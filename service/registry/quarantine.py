"""Hold the links of deleted tags and manifests on disk until their batch ends, and restore those that a push met.

The quarantine is in the repository's own folder, so that each step is one atomic rename on one filesystem. The registry
does not take its name for a repository. If a process dies, the next process settles its quarantine.
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
# No batch takes this long, so an older quarantine belongs to a dead process.
_ABANDONED_S = 600.0
_WRITTEN_S = 60.0
_PARALLEL = 8
# Distribution 3 writes a link beside itself and moves it into place.
_TEMPORARY = re.compile(r"link\.[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}\.tmp")


class Quarantine:
    """The quarantine of one repository for one batch. Every method raises OSError if the disk fails."""

    def __init__(self, storage: Storage, repository: str, token: str) -> None:
        self._storage, self._repository = storage, repository
        self._place = storage.repository_folder(repository) / FOLDER / token

    def add_tag(self, tag: str, digest: str) -> bool:
        """Move a tag's folder into quarantine; False if the tag does not exist. digest: where the tag pointed."""
        return _move(self._storage.tag_folder(self._repository, tag), self.tag(tag, digest))

    def restore_tag(self, tag: str, digest: str) -> bool:
        """Restore a tag from quarantine; False if the tag was pushed again since, so that the new push is kept."""
        try:
            self.tag(tag, digest).rename(self._storage.tag_folder(self._repository, tag))
        except OSError:
            if not self._storage.tag_folder(self._repository, tag).exists():
                raise
            return False
        return True

    def add_manifest(self, digest: str) -> bool:
        """Move a manifest's link into quarantine; False if the repository does not have the manifest."""
        return _move(self._storage.revision(self._repository, digest), self.manifest(digest))

    def restore_manifest(self, digest: str) -> None:
        """Restore a manifest's link from quarantine, unless the bytes of the manifest do not exist any more."""
        # A link that a push wrote again meanwhile is replaced by an identical one.
        if self._storage.blob_size(digest):
            self.manifest(digest).rename(self._storage.revision(self._repository, digest))

    def write_link(self, link: Path, digest: str) -> None:
        """Write a link in one atomic step. The link and its new folders get the owner of the repository."""
        folder = self._storage.repository_folder(self._repository)
        fresh = link.with_name(f"link.{uuid4()}.tmp")
        for parent in reversed([place for place in link.parents if folder in place.parents]):
            make_folder(parent, folder)
        fresh.write_text(digest)
        _hand_over(fresh, folder)
        fresh.replace(link)

    def settle(self) -> tuple[str, ...]:
        """Restore the links that a push met, delete the others, and remove the quarantine.

        Returns:
            The restored tags, and the tags that point at a restored manifest.
        """
        with ThreadPoolExecutor(_PARALLEL, thread_name_prefix="unlink") as pool:
            restored = tuple(filter(None, pool.map(self._settle_tag, self._place.glob("tags/*/*"))))
            links = {_digest(link.name): link for link in self._place.glob("revisions/*")}
            # A tag that points at one of these manifests was pushed meanwhile or has just been restored, and needs it.
            standing = self._storage.tags_at(self._repository, links) if links else {}
            for digest in set(standing.values()):
                self.restore_manifest(digest)
            list(pool.map(_unlink, links.values()))
        shutil.rmtree(self._place, ignore_errors=True)
        try:
            self._place.parent.rmdir()
        except OSError:
            # Another batch is using the folder, or the folder never existed.
            return (*restored, *standing)
        return (*restored, *standing)

    def _settle_tag(self, folder: Path) -> str:
        """Restore a tag that a push met, else delete its folder; return the name of a restored tag, else ""."""
        tag, digest = folder.name, _digest(folder.parent.name)
        if is_pushed_into(folder, digest) and self.restore_tag(tag, digest):
            return tag
        _remove(folder)
        return ""

    def tag(self, tag: str, digest: str) -> Path:
        """The place in quarantine of a tag that pointed at a digest."""
        return self._place / "tags" / digest.replace(":", "-", 1) / tag

    def manifest(self, digest: str) -> Path:
        """The place in quarantine of a manifest."""
        return self._place / "revisions" / digest.replace(":", "-", 1)


def settle_abandoned(storage: Storage, repository: str) -> None:
    """Settle the quarantines of dead processes, and remove their marker folders."""
    folder = storage.repository_folder(repository)
    for place in _abandoned(folder / FOLDER, ""):
        Quarantine(storage, repository, place.name).settle()
    for place in _abandoned(folder / "_manifests" / "tags", SIGN):
        place.rmdir()


def is_unsettled(storage: Storage, repository: str) -> bool:
    """True if a dead process left something to settle."""
    folder = storage.repository_folder(repository)
    return bool(_abandoned(folder / FOLDER, "") or _abandoned(folder / "_manifests" / "tags", SIGN))


def _abandoned(folder: Path, prefix: str) -> list[Path]:
    """The entries of a folder that begin with `prefix` and are too old for a living process."""
    since_s = time.time() - _ABANDONED_S
    try:
        entries = [entry for entry in os.scandir(folder) if entry.name.startswith(prefix)]
    except FileNotFoundError:
        return []
    return [Path(entry.path) for entry in entries if entry.stat().st_mtime < since_s]


def is_pushed_into(folder: Path, digest: str) -> bool:
    """True if a push is writing, or has written, in the folder of a tag that pointed at this digest."""
    current = folder / "current"
    if read_link(current / "link") != digest:
        return True
    since_s = time.time() - _WRITTEN_S
    return any((current / name).stat().st_mtime > since_s for name in os.listdir(current) if _TEMPORARY.fullmatch(name))


def unknown_in(folder: Path) -> str | None:
    """Return a file or folder that no registry puts into a tag's folder; None if all of them are known."""
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
    """Create a folder with the owner of the folder `like`, if it does not exist."""
    if not place.exists():
        place.mkdir(exist_ok=True)
        _hand_over(place, like)


def _hand_over(place: Path, folder: Path) -> None:
    """Give a new file or folder the owner and the permissions of `folder`; a file is never executable."""
    like = folder.stat()
    if os.geteuid() == 0:
        os.chown(place, like.st_uid, like.st_gid)
    place.chmod(like.st_mode & (0o7777 if place.is_dir() else 0o666))


def _remove(folder: Path) -> None:
    """Delete a folder, like rmtree but cheaper, because this happens for every tag."""
    # The target of a symbolic link does not belong to the registry.
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
