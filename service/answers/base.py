"""The base class of all answers, and times as RFC 3339 writes them."""

from datetime import UTC, datetime, timedelta
from typing import Annotated

from pydantic import BaseModel, BeforeValidator, ConfigDict, WithJsonSchema

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
# A forged event can claim any time. RFC 3339 ends with the year 9999.
_LAST_US = (datetime(9999, 12, 31, tzinfo=UTC) - _EPOCH) // timedelta(microseconds=1)
_SCHEMA = WithJsonSchema({"type": "string", "format": "date-time"})


class ApiAnswer(BaseModel):
    """A value that leaves as JSON. Fields are read from the attributes of a domain value, or given by name."""

    model_config = ConfigDict(frozen=True, from_attributes=True, populate_by_name=True)


def rfc3339(at_us: int) -> str:
    """Return a time in µs since the epoch as UTC, such as 2026-11-29T19:17:05.123456Z."""
    at = _EPOCH + timedelta(microseconds=min(at_us, _LAST_US))
    return at.isoformat(timespec="microseconds").replace("+00:00", "Z")


def _from_us(value: object) -> object:
    return rfc3339(value) if isinstance(value, int) else value


def _from_ms(value: object) -> object:
    return rfc3339(value * 1000) if isinstance(value, int) else value


def _known(value: object) -> object:
    return value or None


SizeBytes = Annotated[int | None, BeforeValidator(_known)]
"""The size of an image in bytes, 0 if it is not known. Leaves as null then."""

TimeUs = Annotated[str, BeforeValidator(_from_us), _SCHEMA]
"""A time that is given in µs since the epoch."""

TimeMs = Annotated[str, BeforeValidator(_from_ms), _SCHEMA]
"""A time that is given in ms since the epoch."""
