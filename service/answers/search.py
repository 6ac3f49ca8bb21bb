"""The matches of a search."""

from pydantic import Field

from service.answers.base import ApiAnswer, TextIfAny, TimeUs
from service.domain.history.search import TagState


class MatchedTag(ApiAnswer):
    """A tag or a manifest that matches."""

    repository: str = Field(description="name of the repository")
    tag: TextIfAny = Field(description="name of the tag; null: a manifest without a tag")
    digest: str = Field(description="digest of the manifest; of a part, that of its index; empty: not recorded")
    state: TagState = Field(
        description="live; deleted; earlier: the tag pointed at this digest before; untagged: a manifest without a "
        "tag; part: a part of the index `digest`"
    )
    at: TimeUs | None = Field(
        validation_alias="at_us",
        description="last push of a live tag or an earlier image, or time of the deletion; null: unknown",
    )
    actor: str = Field(description="the user who pushed or deleted; empty: unknown")
    reason: str = Field(description="reason of the deletion; empty: none")
    restorable: bool = Field(description="true if the deletion can be undone")


class MatchedUser(ApiAnswer):
    """A user who matches."""

    name: str = Field(description="name of the user")
    tags: int = Field(description="number of live tags that this user pushed last")


class SearchMatches(ApiAnswer):
    """The best matches of a search. Live and restorable tags are searched first, then the recorded history."""

    repositories: tuple[str, ...] = Field(description="names of repositories, the best match first")
    repository_count: int = Field(description="number of matching repositories; only the best are listed")
    tags: tuple[MatchedTag, ...] = Field(description="tags and manifests, the best match first")
    tag_count: int = Field(description="number of matching tags and manifests; only the best are listed")
    users: tuple[MatchedUser, ...] = Field(description="users, the best match first")
    unsearched: int = Field(description="number of repositories whose tags were not searched, because the time was up")
    history_from: TimeUs | None = Field(
        validation_alias="history_from_us",
        description="earlier deletions were not searched, because the time was up; null: all were searched",
    )
