"""The steps of a worker in the registry's storage: before or after each, users may act or the worker may die."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from unittest import mock

from service.registry import bucket_deletion, quarantine
from service.registry.bucket_deletion import BucketBatch
from service.registry.bucket_storage import BucketStorage
from service.registry.disk import DiskBatch
from service.registry.quarantine import Quarantine
from service.registry.storage import Storage


@dataclass(frozen=True)
class DiskStep:
    """A step of a worker on the disk.

    Attributes:
        action: "delete" or "push" for a tag or a manifest that is moved away or restored, "" for any other step.
        tag: "" for a manifest.
        digest: "" for a tag that is deleted.
    """

    action: str = ""
    tag: str = ""
    digest: str = ""


Around = Callable[[DiskStep, Callable[[], Any]], Any]


class Disk:
    """The calls of the world around the steps of workers in the storage.

    Attributes:
        around: called with each step and the function that takes it.
        begins: called when a deletion of a tag or a manifest begins; it may take several steps.
        sees: called with each tag that a worker rechecks, and the digest that it points at.
    """

    def __init__(self) -> None:
        self.around: Around = lambda _, take: take()
        self.begins: Callable[[], object] = bool
        self.sees: Callable[[str, str], object] = lambda *_: None
        self._depth = 0

    @contextmanager
    def watched(self) -> Iterator[None]:
        """Let users act, and workers die, at the steps of a block."""
        with mock.patch.multiple(
            Quarantine,
            add_tag=self._step(Quarantine.add_tag, lambda _, tag, __: DiskStep("delete", tag)),
            add_manifest=self._step(Quarantine.add_manifest, lambda _, digest: DiskStep("delete", "", digest)),
            restore_tag=self._step(Quarantine.restore_tag, lambda _, tag, digest: DiskStep("push", tag, digest)),
            restore_manifest=self._step(Quarantine.restore_manifest, lambda _, digest: DiskStep("push", "", digest)),
        ), mock.patch.multiple(
            quarantine,
            _PARALLEL=1,
            _remove=self._step(quarantine._remove, lambda _: DiskStep()),
            _unlink=self._step(quarantine._unlink, lambda _: DiskStep()),
        ), mock.patch.multiple(
            DiskBatch, delete=self._deletion(DiskBatch.delete), untag=self._deletion(DiskBatch.untag)
        ), mock.patch.multiple(
            BucketBatch, delete=self._deletion(BucketBatch.delete), untag=self._deletion(BucketBatch.untag)
        ), mock.patch.object(Storage, "digest_of", self._look(Storage.digest_of)), mock.patch.object(
            BucketStorage, "digest_of", self._look(BucketStorage.digest_of)
        ), mock.patch.object(bucket_deletion, "_PUSH_US", 0):  # fmt: skip
            yield

    def _step(self, real: Callable[..., Any], described: Callable[..., DiskStep]) -> Callable[..., Any]:
        def step(*args: Any) -> Any:
            return self.around(described(*args), lambda: real(*args))

        return step

    def _deletion(self, real: Callable[..., bool]) -> Callable[..., bool]:
        def deletion(batch: Any, *args: Any) -> bool:
            if not self._depth:
                self.begins()
            self._depth += 1
            try:
                return real(batch, *args)
            finally:
                self._depth -= 1

        return deletion

    def _look(self, real: Callable[..., str | None]) -> Callable[..., str | None]:
        def look(storage: Any, repository: str, tag: str) -> str | None:
            digest = real(storage, repository, tag)
            # What a deletion reads for itself comes after the recheck, and is not what the worker decides by.
            if not self._depth:
                self.sees(tag, digest or "")
            return digest

        return look


@contextmanager
def settled_at_once() -> Iterator[None]:
    """Count all files in quarantine as left by a dead process."""
    with mock.patch.object(quarantine, "_ABANDONED_S", -10.0), mock.patch.object(
        bucket_deletion, "_ABANDONED_US", -10_000_000
    ):  # fmt: skip
        yield


def disk_of(folder: Path) -> Path:
    """The folder of the storage."""
    return folder / "registry"
