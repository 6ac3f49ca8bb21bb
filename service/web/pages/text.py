"""How times, bytes and digests look, and how text that strangers sent is shown: as text, whatever it holds."""

import unicodedata
from datetime import UTC, datetime

from flask import Flask
from markupsafe import Markup, escape

from service.domain.policy.size import size
from service.domain.policy.units import spell_duration
from service.web.pages.frame import here
from service.web.session import csrf

# Controls, formats (those that turn the direction of writing among them), surrogates, line and paragraph separators.
_UNSEEN = frozenset({"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"})


def register(app: Flask) -> None:
    """Makes them known to the templates."""
    env = app.jinja_env
    env.filters.update(shown=shown, plain=plain, lines=lines, size=size, span=span, number=number)
    env.filters.update(when_us=when_us, when_ms=when_ms, at_us=at_us, at_ms=at_ms)
    env.globals.update(csrf=csrf, here=here)


def plain(value: object) -> str:
    """Text for an attribute: what cannot be seen is named."""
    return "".join(letter if is_seen(letter) else f"\\u{{{ord(letter):x}}}" for letter in str(value))


def shown(value: object) -> Markup:
    """Text on its own, so that it turns nothing around it: what cannot be seen is named."""
    parts = (
        escape(letter) if is_seen(letter) else Markup('<span class="unseen">U+{:04X}</span>').format(ord(letter))
        for letter in str(value)
    )
    return Markup("<bdi>{}</bdi>").format(Markup("").join(parts))


def when_us(at_us: int | None) -> Markup:
    """A moment, in µs since the epoch, in UTC; a browser shows how long ago it is."""
    return when_ms(at_us // 1000 if at_us else None)


def lines(value: str) -> Markup:
    """Lines as they were printed, each on its own."""
    return Markup("\n").join(shown(line) for line in value.split("\n"))


def at_us(moment_us: int) -> str:
    """The same where only text can stand."""
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


def span(seconds: float) -> str:
    """A length of time for people: 12.3 s below a minute, the largest whole unit above."""
    if seconds < 60:
        return f"{seconds:.1f} s"
    return spell_duration(round(seconds / 60) * 60 if seconds < 86_400 else round(seconds / 3600) * 3600)


def number(count: int) -> str:
    """With a thin gap before every three digits."""
    return f"{count:,}".replace(",", "\N{NARROW NO-BREAK SPACE}")


def is_seen(letter: str) -> bool:
    """Whether a letter can be seen, and turns no other."""
    return (letter.isascii() and letter.isprintable()) or unicodedata.category(letter) not in _UNSEEN
