"""The history of repositories and tags, and the deleted images that can be restored."""

from typing import Literal

from pydantic import Field

from service.answers.base import ApiAnswer, SizeBytes, TimeUs
from service.domain.history.entry import ACTIONS, Deleted
from service.domain.timestamps import rfc3339

_SIZE = "of the image in bytes: its config and layers, of an index those of its parts; null: not known"


class RecordedEvent(ApiAnswer):
    """A recorded event of a tag or a manifest."""

    id: str = Field(description="id of the event: its arrival in ms since the epoch, a dash, and a number")
    at: TimeUs = Field(validation_alias="at_us", description="time of the event")
    action: str = Field(description="; ".join(f"{action}: {meaning}" for action, meaning in ACTIONS.items()))
    repository: str = Field(description="name of the repository")
    tag: str = Field(description="the tag; empty: the event is about a manifest without a tag")
    digest: str = Field(description="digest of the manifest; empty: not reported by the registry")
    media_type: str = Field(description="media type of the manifest, for pushes and imports; empty: not recorded")
    size_bytes: SizeBytes = Field(description=_SIZE)
    actor: str = Field(description="the user; empty: unknown")
    useragent: str = Field(description="the client; empty: unknown")
    address: str = Field(description="the network address; empty: unknown")
    reason: str = Field(description="the reason, in words; empty: no reason, such as for a push by a user")
    rule: str = Field(description="the rule of the policy that decided; empty: none")


class TagInterval(ApiAnswer):
    """A period during which a tag pointed at one digest."""

    digest: str = Field(description="digest of the manifest")
    media_type: str = Field(description="media type of the manifest; empty: not recorded")
    size_bytes: SizeBytes = Field(description=_SIZE)
    started_at: TimeUs | None = Field(
        validation_alias="from_us", description="start; null: before the recorded history begins"
    )
    ended_at: TimeUs | None = Field(
        validation_alias="to_us", description="end; null: the tag still points there, or the end is unknown"
    )
    action: Literal["push", "adopted", "restored", "healed", ""] = Field(
        validation_alias="how",
        description="how the period began; adopted: imported from the registry; empty: not recorded",
    )
    actor: str = Field(validation_alias="by", description="the user who pushed; empty: unknown")
    useragent: str = Field(description="the client that pushed; empty: unknown")
    pushed_at: TimeUs | None = Field(
        validation_alias="pushed_us", description="last push in this period; null: none is known"
    )
    pushes: int = Field(description="number of recorded pushes in this period")
    end_reason: str = Field(
        validation_alias="ended", description="why the period ended, in words; empty: the tag still points there"
    )
    ended_by: str = Field(description="the user who ended the period; empty: unknown, or no user")
    rule: str = Field(description="the rule of the policy that ended the period; empty: none")
    deleted: bool = Field(description="true if the tag was deleted then; false if it only moved to another digest")


class TagHistory(ApiAnswer):
    """The history of a tag, latest period first."""

    repository: str = Field(description="name of the repository")
    tag: str = Field(description="the tag")
    history: tuple[TagInterval, ...] = Field(description="the periods")


class DeletedImage(ApiAnswer):
    """A deleted tag or manifest that can still be restored."""

    repository: str = Field(description="name of the repository")
    tag: str | None = Field(description="the deleted tag; null: a manifest without a tag")
    digest: str = Field(description="digest of the manifest")
    pushed_at: TimeUs | None = Field(description="last push; null: unknown")
    deleted_at: TimeUs = Field(description="time of the deletion")
    restorable_until: TimeUs = Field(
        description="restorable until this time: its end in the trash, or the scheduled collection that may delete its "
        "blobs; one that is requested manually may come sooner"
    )
    size_bytes: SizeBytes = Field(description=_SIZE)
    reason: str = Field(description="reason of the deletion")

    @classmethod
    def of(cls, repository: str, deleted: Deleted, until_us: int) -> "DeletedImage":
        """Return the answer about a deleted image. until_us: the end of the time in which a restore is possible."""
        return cls(
            repository=repository,
            tag=deleted.tag or None,
            digest=deleted.digest,
            pushed_at=None if deleted.pushed_us is None else rfc3339(deleted.pushed_us),
            deleted_at=rfc3339(deleted.at_us),
            restorable_until=rfc3339(until_us),
            size_bytes=deleted.size_bytes,
            reason=deleted.reason,
        )


class RestoredImage(ApiAnswer):
    """The restored image."""

    repository: str = Field(description="name of the repository")
    digest: str = Field(description="digest of the manifest")
    tags: tuple[str, ...] = Field(description="tags that point at the manifest again")
    parts: int = Field(description="number of parts of an index that were restored with it")
    referrers: tuple[str, ...] = Field(description="tags of referrers, such as signatures, that were restored with it")
    kept_until: TimeUs | None = Field(
        validation_alias="kept_until_us", description="until when no policy deletes it; null: not protected"
    )
