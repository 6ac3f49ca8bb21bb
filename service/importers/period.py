"""Durations of other tools in whole seconds, rounded up so that images are kept longer, never shorter."""

import math
import re

from service.documents.reader import shown
from service.importers.translation import NotImportable

HOUR_S, DAY_S = 3600, 86_400
MONTH_S, YEAR_S = 31 * DAY_S, 366 * DAY_S

_LONGEST_S = 100 * YEAR_S
_UNITS = {
    "ns": 1e-9, "us": 1e-6, "µs": 1e-6, "μs": 1e-6, "ms": 1e-3, "s": 1, "m": 60, "h": HOUR_S, "d": DAY_S,
    "w": 7 * DAY_S,
}  # fmt: skip
_PART = re.compile(r"(\d{1,12}(?:\.\d{0,12})?|\.\d{1,12})(ns|us|µs|μs|ms|s|m|h|d|w)", re.ASCII)


def parse_period(text: str, *, units: str = "") -> int:
    """Return the seconds of "720h", "1h15m", "2d3h6m", "30d" or "2592000s".

    Args:
        units: the units that the tool supports, separated by blanks; "" if it supports all.

    Raises:
        NotImportable: the text is no such duration.
    """
    known = units.split() or list(_UNITS)
    parts = _PART.findall(text)
    if not parts or "".join(number + unit for number, unit in parts) != text:
        raise NotImportable(f"{shown(text)!r} is no duration; write one such as 720h or 30d")
    strange = [unit for _, unit in parts if unit not in known]
    if strange:
        raise NotImportable(
            f"{shown(text)!r}: the unit {shown(strange[0])} is not known there; write {', '.join(known)}"
        )
    return bounded(sum(float(number) * _UNITS[unit] for number, unit in parts), text)


def bounded(period_s: float, written: str) -> int:
    """Return whole seconds, rounded up.

    Raises:
        NotImportable: the period is longer than 100 years.
    """
    if not period_s <= _LONGEST_S:
        raise NotImportable(
            f"{shown(written)} is more than 100 years; write a shorter time, or keep these tags for ever"
        )
    return math.ceil(period_s)
