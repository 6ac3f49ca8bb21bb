"""The matches of a search."""

from pydantic import Field

from service.answers.base import ApiAnswer, TimeUs
from service.domain.history.search import TagMatch, TagState
from service.domain.timestamps import rfc3339
from service.reports.search import SearchResult


class MatchedTag(ApiAnswer):
    """A tag or a manifest that matches."""

    repository: str = Field(description="name of the repository")
    tag: str | None = Field(description="name of the tag; null: a manifest without a tag")
    digest: str = Field(description="digest of the manifest; of a part, that of its index; empty: not recorded")
    state: TagState = Field(
        description="live; deleted; earlier: the tag pointed at this digest before; untagged: a manifest without a "
        "tag; part: a part of the index `digest`"
    )
    at: TimeUs | None = Field(
        description="last push of a live tag or an earlier image, or time of the deletion; null: unknown"
    )
    actor: str = Field(description="the user who pushed or deleted; empty: unknown")
    reason: str = Field(description="reason of the deletion; empty: none")
    restorable: bool = Field(description="true if the deletion can be undone")

    @classmethod
    def of(cls, match: TagMatch) -> "MatchedTag":
        """Return the answer about a tag or a manifest."""
        return cls(
            repository=match.repository,
            tag=match.tag or None,
            digest=match.digest,
            state=match.state,
            at=None if match.at_us is None else rfc3339(match.at_us),
            actor=match.actor,
            reason=match.reason,
            restorable=match.restorable,
        )


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
        description="earlier deletions were not searched, because the time was up; null: all were searched"
    )

    @classmethod
    def of(cls, result: SearchResult) -> "SearchMatches":
        """Return the answer about a search."""
        return cls(
            repositories=result.repositories,
            repository_count=result.repository_count,
            tags=tuple(map(MatchedTag.of, result.tags)),
            tag_count=result.tag_count,
            users=tuple(map(MatchedUser.model_validate, result.users)),
            unsearched=result.unsearched,
            history_from=None if result.history_from_us is None else rfc3339(result.history_from_us),
        )
