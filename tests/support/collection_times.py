"""Makers for tests of collection times."""

from datetime import UTC, datetime


def shut() -> str:
    """Hours that do not hold now, nor in the next hours."""
    hour = (datetime.now(UTC).hour + 12) % 24
    return f"{hour:02}:00-{hour:02}:30"
