"""A registry in whose storage images are deleted: on a disk, or in a bucket."""

from pathlib import Path

from obstore.store import LocalStore

from service.registry import layout
from service.registry.bucket_deletion import BucketBatch, BucketDeletion
from service.registry.bucket_storage import BucketStorage
from service.registry.client import RegistryClient
from service.registry.disk import DiskBatch, DiskDeletion
from service.registry.objects import ObjectStore
from service.registry.storage import Storage
from tests.fakes.images import make_image
from tests.fakes.registry import FakeRegistry

SHOP = "shop/api"
ONE, OTHER = make_image("one"), make_image("other")


def filled(registry: FakeRegistry) -> FakeRegistry:
    """Push one image under v1 and v1b, and another under v2."""
    for tag, image in (("v1", ONE), ("v1b", ONE), ("v2", OTHER)):
        registry.push(SHOP, tag, image)
    return registry


class DiskSite:
    """A registry with its storage on a disk, and the deletion on this disk."""

    def __init__(self, registry: FakeRegistry, disk: Path) -> None:
        self.registry, self.disk = filled(registry), disk
        self.storage = Storage(disk)
        self.deletion = DiskDeletion(self.storage, RegistryClient(registry.url))
        self.folder = self.storage.repository_folder(SHOP)

    def open(self) -> DiskBatch:
        return self.deletion.open(SHOP)

    def link(self, tag: str) -> Path:
        return self.storage.tag_folder(SHOP, tag) / "current" / "link"

    def tree(self) -> set[str]:
        return {str(place.relative_to(self.folder)) for place in self.folder.rglob("*")}

    def listed(self) -> set[str]:
        return {str(place.relative_to(self.disk)) for place in self.disk.rglob("*") if place.is_file()}

    def write(self, key: str, text: str) -> None:
        (self.disk / key).parent.mkdir(parents=True, exist_ok=True)
        (self.disk / key).write_text(text)

    def delete(self, key: str) -> None:
        (self.disk / key).unlink()


class BucketSite:
    """A registry with its bucket, and the deletion in it. A folder stands for the bucket: it removes empty folders."""

    def __init__(self, registry: FakeRegistry, folder: Path) -> None:
        self.registry = filled(registry)
        self.objects = ObjectStore(LocalStore(folder, automatic_cleanup=True), "s3://registry")
        self.deletion = BucketDeletion(BucketStorage(self.objects), RegistryClient(registry.url))

    def open(self) -> BucketBatch:
        return self.deletion.open(SHOP)

    def listed(self, prefix: str = layout.REPOSITORIES) -> set[str]:
        return {stored.key for stored in self.objects.list(prefix)}

    def write(self, key: str, text: str) -> None:
        self.objects.write(key, text.encode())

    def delete(self, key: str) -> None:
        self.objects.delete([key])

    @property
    def tags(self) -> dict[str, str]:
        return self.registry.tags(SHOP)
