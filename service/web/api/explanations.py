"""Why each tag stays or goes."""

from http import HTTPStatus

from flask import Response
from flask_openapi.blueprint import APIBlueprint
from pydantic import Field

from service.domain.errors import NoSuchTag
from service.domain.retention.conditions import Opinion
from service.domain.retention.explanation import Explanation, with_hold
from service.web.api.door import door, refusals
from service.web.api.repository import UNKNOWN, RepositoryPath, known
from service.web.models import Answer, Asked
from service.wiring import Wiring


class TagQuery(Asked):
    """Which tags."""

    tag: tuple[str, ...] = Field(default=(), description="a tag; may be given several times; all tags when absent")


class RuleOpinion(Answer):
    """What one rule that selects the tag says of it. One opinion to keep it wins."""

    rule: str = Field(description="its name, or its number such as #2")
    keep: bool = Field(description="whether it keeps the tag")
    reason: str = Field(description="why, in words")
    until_us: int | None = Field(
        description="µs since the epoch at which time alone may turn a keep round; null: never"
    )
    place: int | None = Field(
        description="the tag's place in the order of `last`, from 1; null: the rule has no `last`, or the place is far "
        "beyond it and was not counted"
    )
    limit: int | None = Field(description="how many `last` keeps; null: the rule has no `last`")

    @classmethod
    def of(cls, opinion: Opinion) -> "RuleOpinion":
        return cls(
            rule=opinion.rule,
            keep=opinion.keep,
            reason=opinion.reason,
            until_us=opinion.until_us,
            place=opinion.place,
            limit=opinion.limit,
        )


class SharingTag(Answer):
    """Another tag of the same digest."""

    tag: str = Field(description="its name")
    kept: bool = Field(description="whether it stays")


class ExplainedTag(Answer):
    """One tag, and why it stays or goes."""

    name: str = Field(description="the tag")
    digest: str = Field(description="of the manifest it points at")
    pushed_us: int | None = Field(description="its last push, µs since the epoch; null: nobody saw it")
    pulled_us: int | None = Field(description="its last pull, µs since the epoch; null: none was seen")
    created_us: int | None = Field(
        description="when the image says it was made, µs since the epoch; 0: it does not say; null: nobody has looked"
    )
    actor: str = Field(description="who pushed it; empty: unknown")
    size_bytes: int = Field(description="of the image in bytes, as far as the registry told")
    kept: bool = Field(description="whether it stays")
    reason: str = Field(description="why, in words")
    rule: str | None = Field(description="the rule that decided; null: none did")
    opinions: tuple[RuleOpinion, ...] = Field(description="of each rule that selects it")
    shares: tuple[SharingTag, ...] = Field(description="the other tags of its digest")
    index: str | None = Field(description="the digest of an index that lists it, or null")
    could_go_us: int | None = Field(
        description="the earliest moment at which it could go if nothing more is pushed or pulled, µs since the epoch: "
        "now for one that goes; null: time alone will not do it"
    )
    only_after: str | None = Field(
        description="where time alone will not do it: what has to happen before it could go; null: time does it"
    )
    needs_approval: bool = Field(
        description="whether its deletion waits for an approval: it was there before pushprune or a changed policy"
    )
    held: str | None = Field(description="why the plan that would delete it waits for approval; null: none waits")

    @classmethod
    def of(cls, explained: Explanation) -> "ExplainedTag":
        verdict, tag = explained.verdict, explained.verdict.tag
        return cls(
            name=tag.name,
            digest=tag.digest,
            pushed_us=tag.pushed_us,
            pulled_us=tag.pulled_us,
            created_us=tag.created_us,
            actor=tag.actor,
            size_bytes=tag.size_bytes,
            kept=verdict.kept,
            reason=verdict.reason,
            rule=verdict.rule,
            opinions=tuple(RuleOpinion.of(opinion) for opinion in explained.opinions),
            shares=tuple(SharingTag(tag=other.tag.name, kept=other.kept) for other in explained.shares),
            index=explained.index,
            could_go_us=explained.could_go_us,
            only_after=explained.only_after or None,
            needs_approval=explained.needs_approval,
            held=explained.held,
        )


class Explanations(Answer):
    """The tags of a repository, the newest push first."""

    repository: str = Field(description="its name")
    dry_run: bool = Field(description="whether the policy only shows what would go: nothing is deleted")
    tags: tuple[ExplainedTag, ...]


def blueprints(wiring: Wiring, *, documented: bool) -> tuple[APIBlueprint, ...]:
    pages = door("explanations", wiring, documented)

    @pages.get(
        "/repositories/<path:repository>/explain",
        responses={HTTPStatus.OK: Explanations, **refusals([UNKNOWN])},
    )
    def explain(path: RepositoryPath, query: TagQuery) -> Response:
        """Why each tag stays or goes, by the policy in force"""
        explained = _explained(wiring, path.repository, query.tag)
        tags = tuple(ExplainedTag.of(one) for one in explained)
        return Explanations(repository=path.repository, dry_run=wiring.outlook.is_dry(), tags=tags).response()

    return (pages,)


def _explained(wiring: Wiring, repository: str, names: tuple[str, ...]) -> tuple[Explanation, ...]:
    """The explanations of these tags, of all when none is named. Raises NoSuchRepository or NoSuchTag."""
    explained = wiring.outlook.explain(repository, names or None)
    found = {one.verdict.tag.name for one in explained}
    if not found:
        known(wiring, [repository])
    for name in names:
        if name not in found:
            raise NoSuchTag(f"there is no tag {name!r} in {repository!r}")
    for hold in wiring.history.holds([repository]):
        explained = with_hold(explained, hold.digests, hold.reason)
    return explained
