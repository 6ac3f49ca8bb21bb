"""Repairs: data comes back from quarantine only if it is missing."""

from pathlib import Path
from typing import Any

from obstore.store import LocalStore

from service.collect.online.repair import Repair
from service.domain.collection.digests import packed
from service.domain.collection.online import Moment, UnlinkedBlob
from service.registry.blob_quarantine import BlobQuarantine
from service.registry.layout import blob_key
from service.registry.objects import ObjectStore
from tests.fakes.images import sha256

DIGEST = sha256(b"data")


class AttemptStub:
    """An attempt that has its lease."""

    @property
    def lease(self) -> "AttemptStub":
        return self

    def check(self) -> None:
        """The lease is valid."""


def test_data_that_was_pushed_again_behind_the_cursor_of_the_inventory_is_kept_in_quarantine(tmp_path: Path) -> None:
    objects, attempt, blob = ObjectStore(LocalStore(tmp_path), "disk"), AttemptStub(), UnlinkedBlob(packed(DIGEST), 4)
    arguments: Any = (attempt, objects)
    objects.write(blob_key(DIGEST), b"data")
    quarantine = BlobQuarantine(objects)
    quarantine.move(quarantine.begin([blob], Moment(1, 2)), [blob.digest], lambda: None)
    objects.write(blob_key(DIGEST), b"data")
    assert Repair(*arguments).bring_back([blob.digest], lambda digest: False) == {}
    objects.delete([blob_key(DIGEST)])
    assert Repair(*arguments).bring_back([blob.digest], lambda digest: False) == {blob.digest: 4}
    assert objects.read(blob_key(DIGEST)) == b"data"
