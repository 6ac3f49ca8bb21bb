"""The storage that images use, now and over time."""

from collections.abc import Sequence

from pydantic import Field

from service.answers.base import ApiAnswer, TimeMs
from service.domain.timestamps import rfc3339
from service.domain.usage import Usage


class UsagePoint(ApiAnswer):
    """The storage used at one time, in bytes. Each config and layer counts once."""

    at: TimeMs = Field(validation_alias="at_ms", description="the time")
    size_bytes: int = Field(description="the total: the sum of prefixes, other_bytes and shared_bytes")
    prefixes: dict[str, int] = Field(
        description="first part of repository names, such as shop of shop/api, to the bytes that only its repositories "
        "use; the largest ones"
    )
    other_bytes: int = Field(description="the same of all other prefixes together")
    shared_bytes: int = Field(description="configs and layers that repositories of several prefixes use")
    unsized: int = Field(validation_alias="unknown", description="number of tags whose size is not known and left out")
    repositories: int = Field(description="number of repositories")


class StorageUsage(ApiAnswer):
    """The storage used, now and over time."""

    size_bytes: int | None = Field(description="storage used; null: not measured yet")
    unsized: int = Field(description="number of tags whose size is not known and left out")
    measured_at: TimeMs | None = Field(
        description="when this was measured: within a minute of a change, later if measuring takes long; null: never"
    )
    change_bytes: int | None = Field(description="change since the first point; null: there are less than two points")
    points: tuple[UsagePoint, ...] = Field(
        description="the records of the period, the oldest first; the last one is the current usage"
    )

    @classmethod
    def of(cls, records: Sequence[Usage]) -> "StorageUsage":
        """Return the answer for records of the storage used, the oldest first."""
        last = records[-1] if records else None
        return cls(
            size_bytes=last.size_bytes if last else None,
            unsized=last.unknown if last else 0,
            measured_at=rfc3339(last.at_ms * 1000) if last else None,
            change_bytes=last.size_bytes - records[0].size_bytes if last and len(records) > 1 else None,
            points=tuple(map(UsagePoint.model_validate, records)),
        )
