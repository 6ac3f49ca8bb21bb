"""Read an image to restore: its manifest, and the manifests that it needs and the registry does not have."""

from dataclasses import dataclass

from service.domain.errors import NotRestorable
from service.domain.oci.manifest import INDEX_TYPES, References, UnreadableManifest, read_references
from service.registry import Registry
from service.registry.manifest import Manifest
from service.restore.candidates import RestoreCandidate
from service.store.trash import Trash


@dataclass(frozen=True, slots=True)
class WholeImage:
    """A manifest and the manifests that it needs. missing: those that the registry does not have, the deepest first."""

    manifest: Manifest
    references: References
    missing: tuple[Manifest, ...]


class WholeImages:
    """A reader of the images of one repository, from the registry and from the trash.

    Attributes:
        learnt: digest → references of the indexes and referrers that were read.
    """

    def __init__(self, registry: Registry, trash: Trash, candidate: RestoreCandidate) -> None:
        self._registry, self._trash, self._candidate = registry, trash, candidate
        self._repository = candidate.repository
        self.learnt: dict[str, References] = {}

    def read(self, digest: str) -> WholeImage:
        """Return the manifest with all missing parts.

        Raises:
            NotRestorable: the manifest, a part or a layer cannot be restored.
        """
        current = self._registry.client.get(self._repository, digest)
        manifest = current or self._kept(digest)
        try:
            references = read_references(manifest.media_type, manifest.content)
        except UnreadableManifest as error:
            raise NotRestorable(f"{self._repository}@{digest} cannot be read: {error}") from error
        if references.children or references.subject:
            self.learnt[digest] = references
        missing: list[Manifest] = []
        for child in references.children:
            part = self._registry.client.head(self._repository, child)
            if part is None and self._never_existed(child):
                # A sparse index: the registry accepted the index without this part once, and decides again now.
                continue
            # An inner index that exists may still lack parts of its own.
            if part is None or part.media_type in INDEX_TYPES:
                missing += self.read(child).missing
        if current is None:
            self._refuse_without_layers(digest, references)
            missing.append(manifest)
        return WholeImage(manifest, references, tuple({part.digest: part for part in missing}.values()))

    def _never_existed(self, digest: str) -> bool:
        return self._trash.get(self._repository, digest) is None and not self._candidate.existed(digest)

    def _kept(self, digest: str) -> Manifest:
        kept = self._trash.get(self._repository, digest)
        if kept is None:
            raise NotRestorable(
                f"{self._repository}@{digest} is neither in the registry nor in the trash: push the image again"
            )
        return Manifest(kept.digest, kept.media_type, kept.content)

    def _refuse_without_layers(self, digest: str, references: References) -> None:
        """Refuse to restore an image whose config or layers do not exist any more."""
        # A collection that pushprune did not run may have deleted them.
        if blob := self._registry.missing_blob(self._repository, (blob for blob, _ in references.blobs)):
            if self._registry.unlinks and self._registry.objects is None:
                raise NotRestorable(
                    f"an online collection deleted the link of {self._repository} to its layer {blob}, or the layer "
                    "itself, and this process does not see the storage: run `pushprune restore` where the storage is "
                    "mounted read-write"
                )
            raise NotRestorable(
                f"{self._repository}@{digest} cannot be restored: its layer {blob} was deleted by a garbage "
                "collection; push the image again"
            )
