"""Replace a file at once, as an editor does."""

import os
from pathlib import Path


def replace_file(file: Path, text: str) -> None:
    """Replace a file at once, as an editor does."""
    new = file.with_suffix(".new")
    new.write_text(text)
    os.replace(new, file)
