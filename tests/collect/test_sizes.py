"""The bytes that a collection frees: if the disk is mounted, only those of files that are deleted."""

from pathlib import Path

from service.collect.sizes import freed, sizes_of, unknown
from service.registry.layout import blob_key
from tests.conftest import MakeWiring
from tests.support.storage import A, B, Disk


def test_a_blob_that_is_still_on_the_disk_does_not_count_as_freed(make_wiring: MakeWiring, tmp_path: Path) -> None:
    disk = Disk(tmp_path)
    disk.blob(A, b"seven..")
    disk.blob(B)
    wiring = make_wiring(storage={"path": tmp_path})
    before = sizes_of(wiring.store, wiring.registry, [A, B])
    assert before == {A: 7, B: 7}
    (tmp_path / blob_key(A)).unlink()
    assert freed(wiring.registry, before, [A, B]) == {A: 7}


def test_without_the_disk_the_collector_is_believed(make_wiring: MakeWiring) -> None:
    wiring = make_wiring()
    before = sizes_of(wiring.store, wiring.registry, [A])
    assert (before, unknown(before)) == ({A: None}, 1)
    assert freed(wiring.registry, before, [A, B]) == {A: None, B: None}
