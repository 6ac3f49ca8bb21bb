"""The place where a process runs: the proofs that a free pid and a free lock give."""

import os
import subprocess
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from service.process import identity


@pytest.fixture
def ended() -> int:
    """The number of a process that is there no more."""
    process = subprocess.Popen(["true"])
    process.wait()
    return process.pid


@pytest.fixture
def alive() -> Iterator[int]:
    process = subprocess.Popen(["sleep", "600"])
    yield process.pid
    process.kill()
    process.wait()


def test_every_process_has_a_name_of_its_own() -> None:
    names = {str(identity.current()) for _ in range(3)}
    assert len(names) == 3
    assert all(str(os.getpid()) in name and " " not in name for name in names)


def test_a_process_of_this_machine_that_does_not_exist_is_dead(ended: int, alive: int) -> None:
    ours = identity.current()
    assert identity.is_dead(str(replace(ours, pid=ended)))
    assert not identity.is_dead(str(replace(ours, pid=alive)))
    assert not identity.is_dead(str(ours))
    assert not identity.is_dead(str(replace(ours, pid=1)))


@pytest.mark.parametrize("other", [{"pids": "4026530001"}, {"boot": "another"}, {"pids": ""}, {"boot": ""}])
def test_a_free_pid_proves_nothing_of_another_container_or_machine_of_the_same_name(
    ended: int, other: dict[str, str]
) -> None:
    assert not identity.is_dead(str(replace(identity.current(), pid=ended, **other)))


@pytest.mark.parametrize("name", ["", "host:1", "host/boot/1/x/ab", "host/boot/1/2"])
def test_a_name_that_is_none_is_not_dead(name: str) -> None:
    assert not identity.is_dead(name)


@pytest.mark.parametrize(
    ("kind", "is_so"), [("ext4", True), ("overlay", True), ("nfs4", False), ("fuse.sshfs", False), ("cifs", False)]
)
def test_only_a_filesystem_that_no_other_machine_has_mounted_is_of_one_kernel(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str, is_so: bool
) -> None:
    device = tmp_path.stat().st_dev
    mounts = tmp_path / "mounts"
    at = f"{os.major(device)}:{os.minor(device)}"
    mounts.write_text(f"1 1 0:999 / / rw - nfs4 a rw\n2 1 {at} / /x rw shared:1 - {kind} b rw\n")
    monkeypatch.setattr(identity, "_MOUNTS", mounts)
    assert identity.is_of_one_kernel(tmp_path) == is_so
    assert not identity.is_of_one_kernel(tmp_path / "nothing")
    mounts.write_text("")
    assert not identity.is_of_one_kernel(tmp_path)
