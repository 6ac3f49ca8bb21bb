"""Uploads that nobody ended: counted by the last write to them, and nothing else is looked into."""

import os
from pathlib import Path

from service.registry.uploads import Unfinished, unfinished

NOW_S = 1_700_000_000.0
DAY_S = 86_400.0


def upload(root: Path, repository: str, name: str, age_s: float, size: int) -> Path:
    folder = root / "docker/registry/v2/repositories" / repository / "_uploads" / name
    (folder / "hashstates/sha256").mkdir(parents=True)
    for file, content in (("startedat", b"then"), ("data", b"x" * size), ("hashstates/sha256/0", b"")):
        (folder / file).write_bytes(content)
        os.utime(folder / file, (NOW_S - 10 * DAY_S, NOW_S - 10 * DAY_S))
    os.utime(folder / "data", (NOW_S - age_s, NOW_S - age_s))
    return folder


def test_only_what_nobody_wrote_to_for_long_counts(tmp_path: Path) -> None:
    upload(tmp_path, "shop/api", "a", 2 * DAY_S, 1000)
    upload(tmp_path, "deep/er/name", "b", 3 * DAY_S, 500)
    upload(tmp_path, "shop/api", "c", 60, 7000)
    assert unfinished(tmp_path, NOW_S, DAY_S) == Unfinished(2, 1508, 3 * DAY_S)


def test_layers_and_manifests_are_not_entered(tmp_path: Path) -> None:
    upload(tmp_path, "shop/api/_layers", "a", 2 * DAY_S, 1000)
    assert unfinished(tmp_path, NOW_S, DAY_S) == Unfinished()


def test_an_empty_storage_has_none(tmp_path: Path) -> None:
    assert unfinished(tmp_path, NOW_S, DAY_S) == Unfinished()
