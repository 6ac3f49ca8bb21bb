"""The file of the kernel lock: a collection must be possible on a disk without room for one more block."""

import errno
import fcntl
import os
from pathlib import Path

import pytest

from service.domain.errors import CollectionFailed
from service.registry.collector import Collector
from service.registry.storage import Storage


@pytest.fixture
def lock(tmp_path: Path) -> Path:
    return tmp_path / "lock"


def make_collector(lock: Path) -> Collector:
    return Collector((), lock, 60)


def test_a_reserved_file_never_changes_its_size(lock: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    make_collector(lock).reserve()
    size = lock.stat().st_size

    def truncate(*_: object) -> None:
        pytest.fail("a full disk may have no room for the file again")

    monkeypatch.setattr(os, "ftruncate", truncate)
    for token in ("a-long-token-of-a-first-holder", "short"):
        with make_collector(lock).claimed(token):
            assert lock.stat().st_size == size > 0
        assert make_collector(lock).is_dead(token)
    assert not make_collector(lock).is_dead("a-long-token-of-a-first-holder")


def test_reserving_keeps_the_token_of_an_earlier_version(lock: Path) -> None:
    with make_collector(lock).claimed("before"):
        pass
    lock.write_bytes(lock.read_bytes().rstrip(b" "))
    make_collector(lock).reserve()
    assert make_collector(lock).is_dead("before")


def test_reserving_beside_a_running_collection_changes_nothing(lock: Path) -> None:
    with make_collector(lock).claimed("running"):
        make_collector(lock).reserve()
    assert make_collector(lock).is_dead("running")


def test_reserving_on_a_filesystem_without_locks_does_not_end_the_worker(
    lock: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The thread that gives signs of life and sends lost work again reserves the file."""

    def flock(*_: object) -> None:
        raise OSError(errno.ENOLCK, os.strerror(errno.ENOLCK))

    monkeypatch.setattr(fcntl, "flock", flock)
    make_collector(lock).reserve()
    assert lock.exists()


@pytest.mark.parametrize("setting", ["storage.path", "data_dir"])
def test_a_folder_in_which_pushprune_may_not_write_is_named_with_its_user_and_setting(
    lock: Path, monkeypatch: pytest.MonkeyPatch, setting: str
) -> None:
    def deny(*_: object) -> int:
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))

    monkeypatch.setattr(os, "open", deny)
    monkeypatch.setattr(os, "geteuid", lambda: 4242)
    storage = Storage(lock.parent) if setting == "storage.path" else None
    with pytest.raises(CollectionFailed) as failure, Collector((), lock, 60, storage).claimed("token"):
        pytest.fail("there is no file")
    assert str(failure.value) == (
        f"{lock} cannot be written (Permission denied): let user 4242, as whom pushprune runs, write in its folder, or "
        f"correct {setting}"
    )


def test_a_full_disk_is_named_with_a_way_to_make_room(lock: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def write(*_: object) -> int:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "pwrite", write)
    make_collector(lock).reserve()
    with pytest.raises(CollectionFailed) as failure, make_collector(lock).claimed("token"):
        pytest.fail("the file has no token")
    assert str(failure.value) == (
        f"{lock} cannot be written (No space left on device): make room for it, such as by `pushprune rm`"
    )
