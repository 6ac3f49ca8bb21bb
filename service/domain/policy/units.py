"""Durations, sizes and percentages as users write them."""

import re
from functools import lru_cache
from typing import Annotated, Any

from pydantic import BeforeValidator, ByteSize, PlainSerializer, TypeAdapter, WithJsonSchema

_UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86_400, "w": 604_800}
_DURATION = re.compile(r"(\d{1,9})\s*([smhdw]?)", re.ASCII)
# ByteSize ignores any text after the unit, so "10GB per day" must be refused here.
_SIZE = re.compile(r"\s*\d{1,15}\s*([kmgt]?i?b)?\s*", re.ASCII | re.IGNORECASE)
_BYTES = TypeAdapter(ByteSize)
_WHOLE = {"type": "integer", "minimum": 0}
LONGEST_S = 36_500 * 86_400


def parse_duration(value: Any) -> int:
    """Return the seconds of "90m", "24h", "7d" or a number of seconds.

    Raises:
        ValueError: the value is no duration; the message is one sentence.
    """
    match = _DURATION.fullmatch(value.strip()) if isinstance(value, str) else None
    if match:
        duration_s = int(match[1]) * _UNITS[match[2] or "s"]
    elif isinstance(value, int) and not isinstance(value, bool) and value >= 0:
        duration_s = value
    else:
        raise ValueError(f"{value!r} is no duration; write a number and a unit, such as 30s, 90m, 24h or 7d")
    if duration_s > LONGEST_S:
        raise ValueError(f"{value!r} is too long; a hundred years (36500d) is the most")
    return duration_s


def parse_span(value: Any) -> int:
    """Return the seconds of "90m", "24h", "7d" or 0.

    Raises:
        ValueError: the value is no duration, or a number without a unit; the message is one sentence.
    """
    duration_s = parse_duration(value)
    number = str(value).strip()
    # `pushed_within: 30` was probably meant as days, and YAML reads `1:30` as 90.
    if duration_s and number.isdigit():
        raise ValueError(
            f"the unit of {number} is missing: write {number}w, {number}d, {number}h, {number}m or {number}s"
        )
    return duration_s


@lru_cache(maxsize=1024)
def spell_duration(duration_s: int) -> str:
    """Return a duration in its largest whole unit up to days, as it is written in a policy: 86400 is "1d"."""
    for unit in ("d", "h", "m"):
        if duration_s and duration_s % _UNITS[unit] == 0:
            return f"{duration_s // _UNITS[unit]}{unit}"
    return f"{duration_s}s"


def parse_size(value: Any) -> int:
    """Return the bytes of "500MB", "10GB", "1GiB" or a number of bytes.

    Raises:
        ValueError: the value is no size; the message is one sentence.
    """
    text = str(value) if isinstance(value, int) and not isinstance(value, bool) else value
    if not isinstance(text, str) or not _SIZE.fullmatch(text):
        raise ValueError(f"{value!r} is no size; write a number and a unit, such as 500MB, 10GB or 1GiB")
    return int(_BYTES.validate_python(text))


def spell_count(count: int, noun: str) -> str:
    """Return a count with its noun, such as "2 tags" or "1,000 repositories"."""
    plural = f"{noun[:-1]}ies" if noun.endswith("ry") else f"{noun}s"
    return f"{count:,} {noun if count == 1 else plural}"


def spell_size(count: int | None) -> str:
    """Return a number of bytes in the largest fitting unit, such as "1.5 MB"; "unknown" for None."""
    if count is None:
        return "unknown"
    value, unit = float(count), "B"
    for unit in ("B", "kB", "MB", "GB", "TB"):
        if value < 1000 or unit == "TB":
            break
        value /= 1000
    return f"{value:.0f} {unit}" if unit == "B" else f"{value:.1f} {unit}"


def spell_change(count: int | None) -> str:
    """Return a change of a size with its sign, such as "+1.5 MB"; "unchanged" for 0 and "unknown" for None."""
    if not count:
        return "unknown" if count is None else "unchanged"
    return f"{'+' if count > 0 else '-'}{spell_size(abs(count))}"


def parse_percent(value: Any) -> int:
    """Return 0 to 100 for "50%" or 50.

    Raises:
        ValueError: the value is no percentage; the message is one sentence.
    """
    digits = value.strip().removesuffix("%") if isinstance(value, str) else value
    try:
        percent = int(digits)
    except (TypeError, ValueError, OverflowError):
        percent = -1
    if isinstance(value, bool | float) or not 0 <= percent <= 100:
        raise ValueError(f"{value!r} is no percentage; write one from 0% to 100%, such as 50%")
    return percent


DURATION_SCHEMA = {
    "anyOf": [_WHOLE | {"maximum": LONGEST_S}, {"type": "string", "pattern": r"^ *\d{1,9} *[smhdw]? *$"}]
}
SPAN_SCHEMA = {
    "anyOf": [{"type": "integer", "const": 0}, {"type": "string", "pattern": r"^ *(0{1,9}|\d{1,9} *[smhdw]) *$"}]
}
_PERCENT_SCHEMA = {"anyOf": [_WHOLE | {"maximum": 100}, {"type": "string", "pattern": r"^ *(100|\d{1,2}) *%? *$"}]}

Size = Annotated[int, BeforeValidator(parse_size)]
Duration = Annotated[int, BeforeValidator(parse_duration), WithJsonSchema(DURATION_SCHEMA)]
Span = Annotated[
    int,
    BeforeValidator(parse_span),
    PlainSerializer(spell_duration, return_type=str, when_used="json"),
    WithJsonSchema(SPAN_SCHEMA),
]
Percent = Annotated[int, BeforeValidator(parse_percent), WithJsonSchema(_PERCENT_SCHEMA)]
