"""The tokens: made once, kept, and readable by their owner alone."""

import os
import stat
from pathlib import Path

import pytest

from service.domain.errors import ConfigurationError
from service.local.tokens import NAMES, create_tokens, private


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def test_the_first_start_makes_one_token_for_each_purpose(tmp_path: Path) -> None:
    made = create_tokens(tmp_path / "tokens")
    words = {made[name].read_text().strip() for name in NAMES}
    assert len(words) == 3
    assert all(len(word) >= 40 and word.isascii() and " " not in word for word in words)


@pytest.mark.parametrize("umask", [0o000, 0o777])
def test_only_their_owner_can_read_them_whatever_the_umask(tmp_path: Path, umask: int) -> None:
    before = os.umask(umask)
    try:
        made = create_tokens(tmp_path / "tokens")
    finally:
        os.umask(before)
    assert mode(tmp_path / "tokens") == 0o700
    assert {mode(file) for file in made.values()} == {0o600}


def test_the_next_start_uses_the_same(tmp_path: Path) -> None:
    first = {name: file.read_text() for name, file in create_tokens(tmp_path / "tokens").items()}
    again = create_tokens(tmp_path / "tokens")
    assert {name: file.read_text() for name, file in again.items()} == first


def test_rights_that_were_widened_are_narrowed_again(tmp_path: Path) -> None:
    file = create_tokens(tmp_path / "tokens")["admin"]
    file.chmod(0o644)
    (tmp_path / "tokens").chmod(0o755)
    create_tokens(tmp_path / "tokens")
    assert (mode(file), mode(tmp_path / "tokens")) == (0o600, 0o700)


def test_an_empty_file_is_no_token(tmp_path: Path) -> None:
    file = create_tokens(tmp_path / "tokens")["notify"]
    file.write_text("\n")
    create_tokens(tmp_path / "tokens")
    assert file.read_text().strip()


def test_only_the_tokens_asked_for_are_made(tmp_path: Path) -> None:
    assert create_tokens(tmp_path / "tokens", ["read"]).keys() == {"read"}
    assert [file.name for file in (tmp_path / "tokens").iterdir()] == ["read"]


def test_a_place_that_cannot_hold_them_is_refused_with_one_sentence(tmp_path: Path) -> None:
    (tmp_path / "tokens").write_text("a file")
    with pytest.raises(ConfigurationError, match="cannot hold the tokens: File exists"):
        create_tokens(tmp_path / "tokens")


def test_a_private_file_replaces_the_old_one_as_a_whole(tmp_path: Path) -> None:
    file = tmp_path / "secret"
    file.write_text("old")
    file.chmod(0o644)
    private(file, "new")
    assert (file.read_text(), mode(file)) == ("new", 0o600)
    assert [path.name for path in tmp_path.iterdir()] == ["secret"]
