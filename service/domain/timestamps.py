"""Times as RFC 3339 writes them."""

from datetime import UTC, datetime, timedelta

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
# A forged event can claim any time. RFC 3339 ends with the year 9999.
_LAST_US = (datetime(9999, 12, 31, tzinfo=UTC) - _EPOCH) // timedelta(microseconds=1)


def rfc3339(at_us: int) -> str:
    """Return a time in µs since the epoch as UTC, such as 2026-11-29T19:17:05.123456Z."""
    at = _EPOCH + timedelta(microseconds=min(at_us, _LAST_US))
    return at.isoformat(timespec="microseconds").replace("+00:00", "Z")
