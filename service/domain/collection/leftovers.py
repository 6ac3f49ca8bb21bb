"""Leftovers of a storage: files that no image needs and that no garbage collection of a registry deletes."""

from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum

from service.domain.collection.digests import Marks
from service.domain.collection.storage_inventory import StorageInventory, StoredUpload
from service.domain.oci.names import is_repository
from service.domain.policy.units import spell_count


class LeftoverKind(StrEnum):
    """The kinds of leftovers."""

    UPLOAD = "abandoned upload"
    TAG = "dangling tag"
    LINK = "unused layer link"
    REPOSITORY = "emptied repository"


@dataclass(frozen=True, slots=True)
class Leftover:
    """The leftovers of one kind in one repository.

    Attributes:
        since_ms: the last write to the youngest of them; None: not known.
    """

    kind: LeftoverKind
    repository: str
    count: int
    size_bytes: int = 0
    since_ms: int | None = None


def abandoned_uploads(inventory: StorageInventory, before_us: int) -> Mapping[tuple[str, str], StoredUpload]:
    """Map (repository, id) of each upload without a write since `before_us` to the upload."""
    return {
        (name, id): upload
        for name, stored in inventory.repositories.items()
        for id, upload in stored.uploads.items()
        if is_repository(name) and upload.written_us < before_us
    }


def unused_links(
    inventory: StorageInventory,
    marks: Marks,
    mentions: Callable[[int], Collection[int]],
    before_us: int,
) -> Iterator[int]:
    """Yield the numbers of the layer links that no manifest of their repository needs.

    The links of a blob that no manifest at all needs are not among them, unless the blob has no data: a collection
    unlinks that blob as a whole. Links that were written since `before_us` may belong to a push in progress.

    Args:
        marks: the digests that some manifest needs, in the table of the inventory.
        mentions: of the number of a manifest, the numbers of the digests that it and its parts need.
        before_us: by the clock of the storage.
    """
    # The registry also links the sha256 of a blob that was pushed by another algorithm, which no manifest mentions.
    renaming = {link.repository for digest in inventory.digests.others for link in inventory.layer_links(digest)}
    for name, numbers in inventory.links_by_repository():
        # No registry created a folder whose name is not that of a repository.
        if name in renaming or not is_repository(name):
            continue
        stored = inventory.repositories.get(name)
        manifests = map(inventory.digests.add, stored.revisions) if stored else ()
        needed = frozenset[int]().union(*map(mentions, manifests))
        for number in numbers:
            digest = inventory.linked_number(number)
            is_kept = marks.has_number(digest) or inventory.size_of(digest) is None
            if digest not in needed and is_kept and inventory.link(number).modified_us < before_us:
                yield number


def spelled(leftovers: Collection[Leftover]) -> str:
    """Return the number of each kind, such as "2 abandoned uploads, 1 dangling tag"; "" for none."""
    return ", ".join(_counts(leftovers))


def _counts(leftovers: Collection[Leftover]) -> Iterator[str]:
    for kind in LeftoverKind:
        if count := sum(leftover.count for leftover in leftovers if leftover.kind is kind):
            yield spell_count(count, kind)
