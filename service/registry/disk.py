"""Removes tags and manifests on disk as the registry itself would, where that is proved to be its disk.

A DELETE takes the folder of a tag, and of a manifest the file `link` of its revision; blobs, `_layers` and the folder
of the revision stay (Distribution 2.8.3, and 3). Here both are set aside first, which is one atomic step, and are
looked at again there, at once and when the batch ends: what a push wrote into meanwhile is put back.
"""

import hashlib
import os
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from pathlib import Path
from uuid import uuid4

from service.domain.errors import RegistryRefused, RegistryUnavailable
from service.registry.client import RegistryClient
from service.registry.quarantine import (
    FOLDER,
    SIGN,
    Shelf,
    is_left,
    is_pushed_into,
    make_folder,
    settle_left,
    unknown_in,
)
from service.registry.storage import Storage

_ELSEWHERE = "set storage.path to the registry's rootdirectory, or delete.via: api"


class Links:
    """Those of one repository, for one batch, until `close`.

    Raises RegistryUnavailable where a push is under way just there (is_fault) or the disk fails, and RegistryRefused
    where something stands that no registry puts there; nothing is removed then.
    """

    def __init__(self, storage: Storage, repository: str, shelf: Shelf) -> None:
        self.storage, self._repository, self._shelf = storage, repository, shelf

    def take_off(self, tag: str, stood: Collection[str]) -> bool:
        """Removes a tag that stands at one of these digests; False where it is not there."""
        with translated(self._repository):
            return self._set_aside(tag, stood)

    def delete(self, digest: str, tags: Collection[str] | None = None) -> bool:
        """Removes a manifest with these tags of it (None: all that stand there); False where it was not there."""
        names = self.storage.tags_at(self._repository, {digest}) if tags is None else tags
        gone: list[str] = []
        with translated(self._repository):
            try:
                for tag in names:
                    gone += [tag] if self._set_aside(tag, {digest}) else []
            except (RegistryUnavailable, RegistryRefused):
                for tag in gone:
                    self._shelf.put_tag_back(tag, digest)
                raise
            return self._shelf.set_manifest_aside(digest)

    def put(self, content: bytes, tag: str = "") -> str:
        """Links a manifest, and a tag at it, as a push of it would; its bytes must be there. Returns its digest."""
        digest = f"sha256:{hashlib.sha256(content).hexdigest()}"
        if not self.storage.blob_size(digest):
            raise RegistryRefused(f"the bytes of {self._repository}@{digest} were collected")
        with translated(self._repository):
            self._shelf.write_link(self.storage.revision(self._repository, digest), digest)
            if tag:
                folder = self.storage.tag_folder(self._repository, tag)
                self._shelf.write_link(folder / "index" / digest.replace(":", "/", 1) / "link", digest)
                self._shelf.write_link(folder / "current" / "link", digest)
        return digest

    def close(self) -> tuple[str, ...]:
        """Ends the batch; returns the tags whose push it met, and which stand again."""
        with translated(self._repository):
            return self._shelf.settle()

    def _set_aside(self, tag: str, stood: Collection[str]) -> bool:
        digest, folder = self.storage.standing(self._repository, tag), self.storage.tag_folder(self._repository, tag)
        if digest is None and not folder.exists():
            return False
        pushed = RegistryUnavailable(f"{self._repository}:{tag} is being pushed", is_fault=True, is_over=True)
        if digest is None or digest not in stood:
            raise pushed
        if not self._shelf.set_tag_aside(tag, digest):
            return False
        aside = self._shelf.tag(tag, digest)
        unknown, is_pushed = unknown_in(aside), is_pushed_into(aside, digest)
        if not unknown and not is_pushed:
            return True
        self._shelf.put_tag_back(tag, digest)
        if unknown is None:
            raise pushed
        raise RegistryRefused(
            f"{folder / unknown} is nothing that a registry known here puts there: remove it, or set delete.via: api"
        )


class Unlinker:
    """Hands out links once it is proved that what is mounted is what the registry serves."""

    def __init__(self, storage: Storage, client: RegistryClient) -> None:
        self._storage, self._client = storage, client

    def prove(self, repository: str) -> Links:
        """The links of a repository, to be closed by whoever asks.

        A folder is put among its tags, under a name that no tag can have, and the registry must list it at once.
        Raises RegistryRefused with one sentence where that, or the layout, is not as it should be.
        """
        self._check_layout(repository)
        with translated(repository):
            settle_left(self._storage, repository)
        sign = self._sign(repository)
        try:
            listed = self._client.tags(repository)
        finally:
            sign.rmdir()
        if sign.name not in listed:
            raise RegistryRefused(
                f"what is mounted at {self._storage.root} is not what the registry serves, which does not list what "
                f"was put into {repository} there: {_ELSEWHERE}"
            )
        return Links(self._storage, repository, Shelf(self._storage, repository, uuid4().hex))

    def is_left(self, repository: str) -> bool:
        """Whether a process that is gone left something there: folders set aside, or a sign that is listed as a tag."""
        return is_left(self._storage, repository)

    def settle(self, repository: str) -> None:
        """Puts back what a push met there, and removes the rest. Raises as `prove` and `close` do."""
        self.prove(repository).close()

    def _sign(self, repository: str) -> Path:
        """What we write must be the registry's to change: another user's files would break its pushes."""
        sign = self._storage.tags_folder(repository) / f"{SIGN}{uuid4().hex}"
        manifests = sign.parent.parent
        owner, ours = manifests.stat().st_uid, os.geteuid()
        try:
            if ours not in (0, owner):
                raise PermissionError(0, f"it belongs to user {owner}, and this is user {ours}")
            make_folder(sign.parent, manifests)  # where nothing was ever tagged there is none
            sign.mkdir()
        except OSError as error:
            raise RegistryRefused(
                f"{sign.parent} cannot be written ({error.strerror}): mount the storage read-write and run this as the "
                "registry's user, or set delete.via: api"
            ) from error
        return sign

    def _check_layout(self, repository: str) -> None:
        base, folder = self._storage.base, self._storage.repository_folder(repository)
        known = (
            (base, {"blobs", "repositories"}, {"blobs", "repositories"}),
            (folder / "_manifests", {"revisions"}, {"tags", "revisions"}),
        )
        for place, needed, allowed in known:
            try:
                found = {entry.name for entry in os.scandir(place)}
            except OSError as error:
                raise RegistryRefused(f"{place} cannot be read ({error.strerror}): {_ELSEWHERE}") from error
            if not needed <= found <= allowed:
                odd = sorted((found - allowed) | (needed - found))[0]
                raise RegistryRefused(f"{place / odd} is not as a registry known here lays it out: {_ELSEWHERE}")
        self._refuse_links(repository)
        strange = [
            entry.name
            for entry in os.scandir(folder)
            if entry.name.startswith("_") and entry.name not in ("_manifests", "_layers", "_uploads", FOLDER)
        ]
        if strange:
            raise RegistryRefused(f"{folder / strange[0]} is not as a registry known here lays it out: {_ELSEWHERE}")

    def _refuse_links(self, repository: str) -> None:
        """What somebody has linked to another repository is that one's: its tags would go with ours.

        A folder of names that lies on another disk is nothing of the kind.
        """
        root, folder = self._storage.base / "repositories", self._storage.repository_folder(repository)
        places = (folder / "_manifests", folder / "_manifests" / "tags", folder / "_manifests" / "revisions")
        found = [place for place in places if place.is_symlink()]
        real = folder.resolve()
        if real.is_relative_to(root.resolve()) and real != root.resolve() / repository:
            found.insert(0, folder)
        if found:
            raise RegistryRefused(
                f"{found[0]} is a symbolic link, and what goes there would go elsewhere as well: remove it, or set "
                "delete.via: api"
            )


@contextmanager
def translated(repository: str) -> Iterator[None]:
    """What the disk says against it, as something to try again."""
    try:
        yield
    except OSError as error:
        said = f"{repository} cannot be changed on disk: {error.strerror or error} ({error.filename})"
        raise RegistryUnavailable(said, is_over=True) from error
