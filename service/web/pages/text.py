"""Formats of times, bytes, digests and YAML, and the safe display of untrusted text."""

import unicodedata
from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Any

import yaml
from flask import Flask
from markupsafe import Markup, escape

from service.domain.policy.units import spell_duration, spell_size
from service.web.pages.rendering import here
from service.web.session import csrf

# Control characters, format characters (among them those that change the writing direction), surrogates, line and
# paragraph separators.
_UNSEEN = frozenset({"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"})


def register(app: Flask) -> None:
    """Register the filters and functions for the templates."""
    env = app.jinja_env
    env.filters.update(shown=shown, plain=plain, lines=lines, size=spell_size, span=span, number=number)
    env.filters.update(when_us=when_us, when_ms=when_ms, at_us=at_us, at_ms=at_ms, tick=tick)
    env.globals.update(csrf=csrf, here=here)


def plain(value: object) -> str:
    """Return text for an attribute, with invisible characters escaped."""
    text = str(value)
    if _is_plain(text):
        return text
    return "".join(letter if is_seen(letter) else f"\\u{{{ord(letter):x}}}" for letter in text)


def shown(value: object) -> Markup:
    """Return isolated text with invisible characters escaped.

    The isolation (<bdi>) keeps the text from changing the writing direction around it.
    """
    text = str(value)
    if _is_plain(text):
        return Markup("<bdi>{}</bdi>").format(text)
    parts = (
        escape(letter) if is_seen(letter) else Markup('<span class="unseen">U+{:04X}</span>').format(ord(letter))
        for letter in text
    )
    return Markup("<bdi>{}</bdi>").format(Markup("").join(parts))


def when_us(at_us: int | None) -> Markup:
    """Return a time, given in µs since the epoch, in UTC.

    The browser shows its age or its date in the zone of the reader, and both on hover.
    """
    return when_ms(at_us // 1000 if at_us else None)


def lines(printed: Iterable[str]) -> Markup:
    """Return printed lines, each isolated from the others."""
    return Markup("\n").join(shown(line) for line in printed)


def at_us(moment_us: int) -> str:
    """Return the same as `when_us` as plain text."""
    return when_us(moment_us).striptags()


def at_ms(moment_ms: int) -> str:
    return when_ms(moment_ms).striptags()


def when_ms(at_ms: int | None) -> Markup:
    if not at_ms:
        return Markup("unknown")
    try:
        at = datetime.fromtimestamp(at_ms / 1000, UTC)
    except (ValueError, OverflowError, OSError):
        return Markup("unknown")
    return Markup('<time datetime="{}">{}</time>').format(
        at.isoformat(timespec="milliseconds"), at.strftime("%Y-%m-%d %H:%M:%S UTC")
    )


def tick(at_ms: int, unit: str) -> Markup:
    """Return a label for the time axis of a chart, in UTC until the browser shows it in the zone of the reader.

    Args:
        unit: "time" for hours and minutes, "day" for the date.
    """
    at = datetime.fromtimestamp(at_ms / 1000, UTC)
    return Markup('<time datetime="{}" data-as="{}">{}</time>').format(
        at.isoformat(timespec="milliseconds"), unit, at.strftime("%H:%M" if unit == "time" else "%Y-%m-%d")
    )


def span(seconds: float) -> str:
    """Return a duration: 12.3 s below a minute, above in the largest whole unit."""
    if seconds < 60:
        return f"{seconds:.1f} s"
    return spell_duration(round(seconds / 60) * 60 if seconds < 86_400 else round(seconds / 3600) * 3600)


def number(count: int) -> str:
    """Return a number with a narrow space before every three digits."""
    return f"{count:,}".replace(",", "\N{NARROW NO-BREAK SPACE}")


def _is_plain(text: str) -> bool:
    """True if every letter is visible ASCII, which is the usual case and needs no look at each letter."""
    return text.isascii() and text.isprintable()


def is_seen(letter: str) -> bool:
    """True if a letter is visible and does not change the writing direction."""
    return (letter.isascii() and letter.isprintable()) or unicodedata.category(letter) not in _UNSEEN


def as_yaml(values: Any, *, flow: bool | None = False) -> str:
    """Return plain values as YAML.

    Args:
        flow: True for the style in brackets, False for the block style, None for brackets where they fit on a line.
    """
    # An invisible character could change the direction of the text around it, so a single one has everything escaped.
    text = _dumped(values, flow, allow_unicode=True)
    if all(letter == "\n" or is_seen(letter) for letter in text):
        return text
    return _dumped(values, flow, allow_unicode=False)


def _dumped(values: Any, flow: bool | None, *, allow_unicode: bool) -> str:
    return yaml.safe_dump(values, sort_keys=False, allow_unicode=allow_unicode, default_flow_style=flow, width=110)
