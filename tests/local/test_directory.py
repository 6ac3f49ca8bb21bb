"""The data directory: one `up` at a time, and no new one while anything of the last is still at work."""

import os
import stat
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from service.domain.errors import ConfigurationError
from service.local.directory import DataDirectory, DirectoryInUse


def test_only_its_owner_can_read_the_data_directory(tmp_path: Path) -> None:
    with DataDirectory(tmp_path / "a" / "b") as directory:
        assert stat.S_IMODE(directory.path.stat().st_mode) == 0o700


def test_a_second_claim_is_refused_with_one_sentence_that_names_the_first(tmp_path: Path) -> None:
    with DataDirectory(tmp_path), pytest.raises(DirectoryInUse) as refusal:
        DataDirectory(tmp_path)
    assert str(refusal.value) == (
        f"{tmp_path} is in use by another `pushprune up` (process {os.getpid()}): "
        "stop that one, or choose another directory with --data"
    )


def test_the_directory_is_free_again_once_released(tmp_path: Path) -> None:
    for _ in range(3):
        with DataDirectory(tmp_path):
            pass


def test_a_claim_waits_until_the_last_descendant_of_the_former_one_is_gone(tmp_path: Path) -> None:
    with DataDirectory(tmp_path) as directory:
        script = "import os, sys; os.fork() and os._exit(0); sys.stdin.read()"  # the child goes, the grandchild stays
        child = subprocess.Popen(
            [sys.executable, "-c", script], stdin=subprocess.PIPE, pass_fds=(directory.children_fd,)
        )
        assert child.wait() == 0
    with pytest.raises(DirectoryInUse, match="processes of an earlier"):
        DataDirectory(tmp_path, patience_s=0.1)
    claimed: list[DataDirectory] = []
    waiting = threading.Thread(target=lambda: claimed.append(DataDirectory(tmp_path)))
    waiting.start()
    assert not claimed
    assert child.stdin is not None
    child.stdin.close()
    waiting.join(240)
    assert claimed
    claimed[0].release()


def test_a_refused_claim_lets_go_of_what_it_had(tmp_path: Path) -> None:
    with DataDirectory(tmp_path) as directory:
        kept = os.dup(directory.children_fd)
    with pytest.raises(DirectoryInUse):
        DataDirectory(tmp_path, patience_s=0.0)
    os.close(kept)
    with DataDirectory(tmp_path, patience_s=0.0):
        pass


def test_a_place_that_is_no_directory_is_refused_with_one_sentence(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(ConfigurationError, match="cannot be used as the data directory: File exists"):
        DataDirectory(tmp_path / "file")
