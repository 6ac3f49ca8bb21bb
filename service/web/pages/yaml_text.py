"""Policies and settings as YAML."""

from typing import Any

import yaml

from service.web.pages.text import is_seen


def as_yaml(values: Any, *, flow: bool | None = False) -> str:
    """Return plain values as YAML.

    Args:
        values: mappings, lists, texts and numbers.
        flow: True for the style in brackets, False for the block style, None for brackets where they fit on a line.
    """
    # An invisible character could change the direction of the text around it, so a single one has everything escaped.
    text = _dumped(values, flow, allow_unicode=True)
    if all(letter == "\n" or is_seen(letter) for letter in text):
        return text
    return _dumped(values, flow, allow_unicode=False)


def _dumped(values: Any, flow: bool | None, *, allow_unicode: bool) -> str:
    return yaml.safe_dump(values, sort_keys=False, allow_unicode=allow_unicode, default_flow_style=flow, width=110)
