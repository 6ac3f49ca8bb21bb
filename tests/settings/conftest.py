"""Makers for settings: a configuration file from text, settings from it, or the sentence that refuses it."""

from collections.abc import Callable
from pathlib import Path
from textwrap import dedent
from typing import Any

import pytest

from service.domain.errors import ConfigurationError
from service.settings import Settings, load_settings

Write = Callable[..., Path]
Load = Callable[..., Settings]
Refuse = Callable[..., str]


@pytest.fixture
def write(tmp_path: Path) -> Write:
    """Return the function that writes text or bytes to a file of the test's own directory."""

    def write(content: str | bytes, name: str = "pushprune.yaml") -> Path:
        file = tmp_path / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(dedent(content).encode() if isinstance(content, str) else content)
        return file

    return write


@pytest.fixture
def load(write: Write) -> Load:
    """Settings from the text of a file, an environment of its own and overrides."""

    def load(content: str | bytes = "", environ: dict[str, str] | None = None, **overrides: Any) -> Settings:
        return load_settings(write(content), environ or {}, **overrides)

    return load


@pytest.fixture
def refuse(load: Load, tmp_path: Path) -> Refuse:
    """The sentence that refuses them; the directory of the files is left out."""

    def refuse(content: str | bytes = "", environ: dict[str, str] | None = None, **overrides: Any) -> str:
        with pytest.raises(ConfigurationError) as refused:
            load(content, environ, **overrides)
        sentence = str(refused.value)
        assert "\n" not in sentence
        return sentence.replace(f"{tmp_path}/", "")

    return refuse
