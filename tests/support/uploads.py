"""Makers for tests of uploads."""

import os
from pathlib import Path

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
