"""The map in service/__init__.py and the folder agree."""

import re
from pathlib import Path

import service

FOLDER = Path(service.__file__).parent
# The package itself, and how `python -m service` starts it.
ENTRIES = {"__init__.py", "__main__.py", "__pycache__", "README.md"}


def test_the_map_names_every_module_and_folder_and_no_other() -> None:
    named = set(re.findall(r"^    ([a-z_]+(?:/|\.py))  ", service.__doc__ or "", re.MULTILINE))
    there = {path.name + "/" * path.is_dir() for path in FOLDER.iterdir() if path.name not in ENTRIES}
    assert named == there
