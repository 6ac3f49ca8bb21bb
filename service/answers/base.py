"""The base class of all answers, and the kinds of their values."""

from typing import Annotated

from pydantic import BaseModel, BeforeValidator, ConfigDict, WithJsonSchema

from service.domain.timestamps import rfc3339

_SCHEMA = WithJsonSchema({"type": "string", "format": "date-time"})


class ApiAnswer(BaseModel):
    """A value that leaves as JSON. Fields are read from the attributes of a domain value, or given by name."""

    model_config = ConfigDict(frozen=True, from_attributes=True, populate_by_name=True)


def _from_us(value: object) -> object:
    return rfc3339(value) if isinstance(value, int) else value


def _from_ms(value: object) -> object:
    return rfc3339(value * 1000) if isinstance(value, int) else value


def _known(value: object) -> object:
    return value or None


SizeBytes = Annotated[int | None, BeforeValidator(_known)]
"""The size of an image in bytes, 0 if it is not known. Leaves as null then."""

TextIfAny = Annotated[str | None, BeforeValidator(_known)]
"""A text that is empty if there is none. Leaves as null then."""

TimeUs = Annotated[str, BeforeValidator(_from_us), _SCHEMA]
"""A time that is given in µs since the epoch."""

TimeMs = Annotated[str, BeforeValidator(_from_ms), _SCHEMA]
"""A time that is given in ms since the epoch."""
