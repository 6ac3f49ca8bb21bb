"""The section `gc`: garbage collection."""

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from service.domain.policy.units import Duration, Size
from service.settings.kinds import Address, Command, Cron, Script, Whole, Window
from service.settings.sections import SettingsPart


class GcSettings(SettingsPart):
    """Garbage collection at the registry."""

    command: Command | None = Field(
        default=None,
        description="the command that runs garbage-collect, as one line or a list of words; unset: `collector: "
        "registry` never collects",
    )
    collector: Literal["registry", "online"] = Field(
        default="registry",
        description="who deletes blobs: `gc.command` while all writes wait, or pushprune itself, in the storage, while "
        "clients push",
    )
    grace: Annotated[Duration, Field(ge=1)] = Field(
        default=86_400,
        description="for `collector: online`: the time between the deletion of a blob's links and that of its data, at "
        "least 15m",
    )
    quarantine: Duration = Field(
        default=86_400,
        description="for `collector: online`: how long deleted data is kept in a folder of the storage; 0: data of "
        "configs and layers is deleted at once",
    )
    leftovers: Literal["report", "delete"] = Field(
        default="report",
        description="for `collector: online`: report abandoned uploads, dangling tags, unused layer links and emptied "
        "repositories, or delete them, too",
    )
    uploads_after: Annotated[Duration, Field(ge=86_400)] = Field(
        default=7 * 86_400,
        description="for `collector: online`: an upload without a write for this long is abandoned, at least 1d",
    )
    schedule: Cron | None = Field(default=None, description="a schedule: minute hour day month weekday, in UTC")
    after_deletes: Whole | None = Field(default=None, description="collect after this many deletions; unset: never")
    after_bytes: Annotated[Size, Field(ge=1)] | None = Field(
        default=None, description="collect once this much was deleted, such as 10GB; unset: never"
    )
    window: Window | None = Field(
        default=None, description="the hours in which a collection may begin, in UTC: 22:00-06:00"
    )
    min_interval: Duration = Field(
        default=0, description="the shortest time between the end of a collection and the next one"
    )
    gate: Literal["none", "proxy", "readonly"] = Field(
        default="none", description="the protection of pushes during a collection"
    )
    before: Script | None = Field(
        default=None, description="the command that restarts the registry read-only, for gate: readonly"
    )
    after: Script | None = Field(default=None, description="the command that restarts the registry as it was")
    timeout: Annotated[Duration, Field(ge=1)] = Field(
        default=3600, description="a collection that takes longer is killed"
    )
    settle: Duration = Field(
        default=10,
        description="the pause before a run: after pushprune's last deletion, without a gate after the last push",
    )
    max_wait: Duration = Field(
        default=300, description="how long a run waits for deletions and pushes to end before it is postponed"
    )
    gate_listen: Address = Field(
        default="127.0.0.1:8081", description="HOST:PORT where `pushprune gate` listens for the proxy's requests"
    )
    gate_wait: Annotated[Duration, Field(ge=1, le=600)] = Field(
        default=60, description="how long a write waits at the gate before it gets 503"
    )
    gate_waiting: Whole = Field(
        default=32, le=512, description="the number of writes that may wait in each gate process"
    )
    gate_without_redis: Literal["auto", "closed", "open"] = Field(
        default="auto",
        description="the gate while Redis is away; auto: closed while a collection may be running, else open",
    )
    youth: Annotated[Duration, Field(ge=1)] = Field(
        default=3600,
        description="a blob younger than this is deleted only if a manifest that held it was deleted; with "
        "`collector: online`, for which it is at least 15m, never",
    )

    @model_validator(mode="after")
    def _readonly_can_be_made_and_ended(self) -> Self:
        if self.gate == "readonly" and not (self.before and self.after):
            raise ValueError("gc.gate: readonly needs gc.before and gc.after, which restart the registry")
        return self
