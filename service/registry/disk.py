"""Delete tags and manifests in the storage as the registry itself would, once it is proved to be its storage.

A DELETE at the registry removes the folder of a tag, or the file `link` of a manifest's revision. Blobs, `_layers` and
the folder of the revision are kept (Distribution 2.8.3 and 3). Here the folder or link is first moved into quarantine,
in one atomic step, and checked there, at once and when the batch ends: if a push has written into it, it is restored.
"""

import hashlib
import os
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from pathlib import Path
from uuid import uuid4

from service.domain.errors import RegistryRefused, RegistryUnavailable, WritesDisabled
from service.domain.oci.names import is_digest
from service.registry.client import RegistryClient
from service.registry.manifest import Manifest
from service.registry.quarantine import (
    FOLDER,
    SIGN,
    Quarantine,
    is_pushed_into,
    is_unsettled,
    make_folder,
    settle_abandoned,
    unknown_in,
)
from service.registry.storage import Storage, translated_reads

_ELSEWHERE = "set storage.path to the registry's rootdirectory, or delete.via: api"


class DiskBatch:
    """The deletions of one batch in the storage of one repository, until `close`.

    Every method that writes raises:
        RegistryUnavailable: a push is writing to the same tag (is_fault), or the disk fails. Nothing is deleted.
        RegistryRefused: there is a file or folder that no registry creates. Nothing is deleted.
    """

    exact = True

    def __init__(self, storage: Storage, client: RegistryClient, repository: str, quarantine: Quarantine) -> None:
        self.storage, self._client = storage, client
        self._repository, self._quarantine = repository, quarantine

    def untag(self, tag: str, expected: Collection[str]) -> bool:
        """Delete a tag that points at one of these digests; False if the tag does not exist."""
        with translated(self._repository):
            return self._quarantine_tag(tag, expected)

    def delete(self, digest: str, tags: Collection[str] | None = None) -> bool:
        """Delete a manifest with these of its tags; False if the manifest does not exist.

        Args:
            digest: of the manifest.
            tags: to delete; None means every tag that points at the manifest.
        """
        names = self.storage.tags_at(self._repository, {digest}) if tags is None else tags
        deleted: list[str] = []
        with translated(self._repository):
            try:
                for tag in names:
                    deleted += [tag] if self._quarantine_tag(tag, {digest}) else []
            except (RegistryUnavailable, RegistryRefused):
                # All or nothing: the manifest is kept, so its tags are restored.
                for tag in deleted:
                    self._quarantine.restore_tag(tag, digest)
                raise
            return self._quarantine.add_manifest(digest)

    def put(self, content: bytes, tag: str = "") -> str:
        """Link a manifest, and a tag to it, as a push would, and return its digest.

        Raises:
            RegistryRefused: the bytes of the manifest were garbage-collected.
        """
        digest = f"sha256:{hashlib.sha256(content).hexdigest()}"
        if not self.storage.blob_size(digest):
            raise RegistryRefused(f"the bytes of {self._repository}@{digest} were garbage-collected")
        with translated(self._repository):
            self._quarantine.write_link(self.storage.revision(self._repository, digest), digest)
            if tag:
                folder = self.storage.tag_folder(self._repository, tag)
                self._quarantine.write_link(folder / "index" / digest.replace(":", "/", 1) / "link", digest)
                self._quarantine.write_link(folder / "current" / "link", digest)
        return digest

    def close(self) -> tuple[str, ...]:
        """End the batch, and return the tags that were restored because a push met their deletion."""
        with translated(self._repository):
            return self._quarantine.settle()

    def manifest_of(self, tag: str) -> Manifest | None:
        """Return the manifest that a tag points at."""
        return self.storage.manifest(self._repository, self.storage.digest_of(self._repository, tag) or "")

    def is_still_served(self, digest: str) -> bool:
        """True if the registry serves a manifest whose link does not exist any more."""
        # Distribution 2.8.3 passes, with a blob-descriptor cache as well (measured): manifests are not looked up there.
        served = self._client.head(self._repository, digest) is not None
        return served and not self.storage.revision(self._repository, digest).exists()

    def _quarantine_tag(self, tag: str, expected: Collection[str]) -> bool:
        """Move a tag into quarantine, and restore it at once if a push met the move."""
        digest, folder = self.storage.digest_of(self._repository, tag), self.storage.tag_folder(self._repository, tag)
        if digest is None and not folder.exists():
            return False
        pushed = RegistryUnavailable(f"{self._repository}:{tag} is being pushed", is_fault=True, is_over=True)
        if digest is None or digest not in expected:
            raise pushed
        if not self._quarantine.add_tag(tag, digest):
            return False
        aside = self._quarantine.tag(tag, digest)
        unknown, is_pushed = unknown_in(aside), is_pushed_into(aside, digest)
        if not unknown and not is_pushed:
            return True
        self._quarantine.restore_tag(tag, digest)
        if unknown is None:
            raise pushed
        raise RegistryRefused(
            f"{folder / unknown} was not created by a registry version known here: remove it, or set delete.via: api"
        )


class DiskDeletion:
    """Deletion in the storage of a repository, once it is proved that the registry serves the mounted storage."""

    cost_grows_with_tags = False

    def __init__(self, storage: Storage, client: RegistryClient) -> None:
        self._storage, self._client = storage, client

    def open(self, repository: str) -> DiskBatch:
        """Begin a batch, which the caller must close.

        As a proof, a marker folder is created among the tags, under a name that no tag can have. The registry must list
        it at once.

        Raises:
            RegistryRefused: the registry does not list the marker, or the layout of the storage is unknown.
        """
        self._check_layout(repository)
        with translated(repository):
            settle_abandoned(self._storage, repository)
        sign = self._sign(repository)
        try:
            listed = self._client.tags(repository)
        finally:
            sign.rmdir()
        if sign.name not in listed:
            raise RegistryRefused(
                f"the storage mounted at {self._storage.root} is not what the registry serves: the registry does not "
                f"list a marker that was created in {repository} there: {_ELSEWHERE}"
            )
        return DiskBatch(self._storage, self._client, repository, Quarantine(self._storage, repository, uuid4().hex))

    def is_unsettled(self, repository: str) -> bool:
        """True if a dead process left folders in quarantine, or a marker that the registry lists as a tag."""
        with translated_reads():
            return is_unsettled(self._storage, repository)

    def settle(self, repository: str) -> None:
        """Settle the quarantines of dead processes. Raises the errors of `open` and `close`."""
        self.open(repository).close()

    def put(self, repository: str, reference: str, media_type: str, content: bytes) -> str:
        """Push a manifest over HTTP, or link it in the storage of a read-only registry."""
        try:
            return self._client.put(repository, reference, media_type, content)
        except WritesDisabled:
            return self.open(repository).put(content, "" if is_digest(reference) else reference)

    def _sign(self, repository: str) -> Path:
        """Create the marker folder among the tags of a repository."""
        sign = self._storage.tags_folder(repository) / f"{SIGN}{uuid4().hex}"
        manifests = sign.parent.parent
        owner, ours = manifests.stat().st_uid, os.geteuid()
        try:
            # The registry must be able to change what is written here: files of another user would break its pushes.
            if ours not in (0, owner):
                raise PermissionError(0, f"it belongs to user {owner}, and this is user {ours}")
            # A repository that never had a tag has no folder for tags.
            make_folder(sign.parent, manifests)
            sign.mkdir()
        except OSError as error:
            raise RegistryRefused(
                f"{sign.parent} is not writable ({error.strerror}): mount the storage read-write and run pushprune as "
                "the registry's user, or set delete.via: api"
            ) from error
        return sign

    def _check_layout(self, repository: str) -> None:
        """Refuse a storage with folders that no known version of the registry creates."""
        base, folder = self._storage.base, self._storage.repository_folder(repository)
        known = (
            (base, {"blobs", "repositories"}, {"blobs", "repositories"}),
            (folder / "_manifests", {"revisions"}, {"tags", "revisions"}),
        )
        for place, needed, allowed in known:
            try:
                names = {entry.name for entry in os.scandir(place)}
            except OSError as error:
                raise RegistryRefused(f"{place} cannot be read ({error.strerror}): {_ELSEWHERE}") from error
            if not needed <= names <= allowed:
                odd = sorted((names - allowed) | (needed - names))[0]
                raise RegistryRefused(f"{place / odd} is not the layout of a registry version known here: {_ELSEWHERE}")
        self._refuse_links(repository)
        strange = [
            entry.name
            for entry in os.scandir(folder)
            if entry.name.startswith("_") and entry.name not in ("_manifests", "_layers", "_uploads", FOLDER)
        ]
        if strange:
            raise RegistryRefused(
                f"{folder / strange[0]} is not the layout of a registry version known here: {_ELSEWHERE}"
            )

    def _refuse_links(self, repository: str) -> None:
        """Refuse a repository whose folders are symbolic links to another repository, whose tags would be deleted too.

        A folder above the repository may be a symbolic link to another disk.
        """
        root, folder = self._storage.base / "repositories", self._storage.repository_folder(repository)
        places = (folder / "_manifests", folder / "_manifests" / "tags", folder / "_manifests" / "revisions")
        links = [place for place in places if place.is_symlink()]
        real = folder.resolve()
        if real.is_relative_to(root.resolve()) and real != root.resolve() / repository:
            links.insert(0, folder)
        if links:
            raise RegistryRefused(
                f"{links[0]} is a symbolic link, so a deletion there would also delete elsewhere: remove the link, or "
                "set delete.via: api"
            )


@contextmanager
def translated(repository: str) -> Iterator[None]:
    """Translate an error of the disk in the block into RegistryUnavailable, so that the work is tried again."""
    try:
        yield
    except OSError as error:
        message = f"{repository} cannot be changed on disk: {error.strerror or error} ({error.filename})"
        raise RegistryUnavailable(message, is_over=True) from error
