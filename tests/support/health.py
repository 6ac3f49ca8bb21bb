"""Makers for tests of health."""

import os
from pathlib import Path


def replace_file(file: Path, text: str) -> None:
    """As an editor does it: the new file takes the place of the old one."""
    new = file.with_suffix(".new")
    new.write_text(text)
    os.replace(new, file)
