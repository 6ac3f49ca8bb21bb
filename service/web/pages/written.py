"""Policies and settings as people write them."""

from typing import Any

import yaml

from service.web.pages.text import is_seen


def written(said: Any, *, flow: bool | None = False) -> str:
    """YAML of plain values. flow: whether it stands in brackets; None: where it fits on a line.

    What cannot be seen is escaped, and what stands beside it: it could turn the direction of what is read.
    """
    text = _dumped(said, flow, allow_unicode=True)
    if all(letter == "\n" or is_seen(letter) for letter in text):
        return text
    return _dumped(said, flow, allow_unicode=False)


def _dumped(said: Any, flow: bool | None, *, allow_unicode: bool) -> str:
    return yaml.safe_dump(said, sort_keys=False, allow_unicode=allow_unicode, default_flow_style=flow, width=110)
