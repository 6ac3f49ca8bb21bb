"""Explanations: the reason why each tag is kept or deleted."""

from http import HTTPStatus

from flask import Response
from flask_openapi.blueprint import APIBlueprint
from pydantic import Field

from service.domain.errors import NoSuchTag
from service.domain.retention.conditions import RuleResult
from service.domain.retention.explanation import Explanation
from service.web.api.api_blueprint import api_blueprint, error_responses
from service.web.api.repository import UNKNOWN, RepositoryPath, known
from service.web.models import ApiAnswer, ApiRequest
from service.wiring import Wiring


class TagQuery(ApiRequest):
    """The tags to explain."""

    tag: tuple[str, ...] = Field(default=(), description="a tag; may be given several times; all tags when absent")


class RuleDecision(ApiAnswer):
    """The decision of one rule that selects the tag. A tag is kept if any rule keeps it."""

    rule: str = Field(description="name of the rule, or its number such as #2")
    keep: bool = Field(description="true if the rule keeps the tag")
    reason: str = Field(description="the reason, in words")
    until_us: int | None = Field(
        description="when the rule stops keeping the tag by time alone, µs since the epoch; null: never"
    )
    place: int | None = Field(
        description="the tag's rank in the order of `last`, from 1; null: the rule has no `last`, or the rank is far "
        "below and was not counted"
    )
    limit: int | None = Field(description="number of tags that `last` keeps; null: the rule has no `last`")

    @classmethod
    def of(cls, result: RuleResult) -> "RuleDecision":
        return cls(
            rule=result.rule,
            keep=result.keep,
            reason=result.reason,
            until_us=result.until_us,
            place=result.place,
            limit=result.limit,
        )


class SharingTag(ApiAnswer):
    """Another tag that points at the same digest."""

    tag: str = Field(description="name of the tag")
    kept: bool = Field(description="true if the tag is kept")


class ExplainedTag(ApiAnswer):
    """A tag, with the reason why it is kept or deleted."""

    name: str = Field(description="the tag")
    digest: str = Field(description="digest of the manifest that the tag points at")
    pushed_us: int | None = Field(description="last push, µs since the epoch; null: unknown")
    pulled_us: int | None = Field(description="last pull, µs since the epoch; null: no pull was recorded")
    created_us: int | None = Field(
        description="creation date in the image, µs since the epoch; 0: the image has none; null: not read yet"
    )
    actor: str = Field(description="the user who pushed the tag; empty: unknown")
    size_bytes: int = Field(description="of the image in bytes, as far as the registry reported it")
    kept: bool = Field(description="true if the tag is kept")
    reason: str = Field(description="the reason, in words")
    rule: str | None = Field(description="the rule that decided; null: none")
    rule_results: tuple[RuleDecision, ...] = Field(description="the decision of each rule that selects the tag")
    shares: tuple[SharingTag, ...] = Field(description="the other tags that point at its digest")
    index: str | None = Field(description="digest of an index that lists this image; null: none")
    could_go_us: int | None = Field(
        description="earliest time of a deletion if nothing more is pushed or pulled, µs since the epoch: "
        "now for a tag to be deleted; null: the tag does not expire by time alone"
    )
    only_after: str | None = Field(
        description="what must happen before a deletion, if the tag does not expire by time alone; null: it does"
    )
    needs_approval: bool = Field(
        description="true if its deletion needs approval: the tag is older than pushprune or than the current policy"
    )
    held: str | None = Field(description="why the plan that deletes the tag waits for approval; null: no plan waits")

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
            rule_results=tuple(RuleDecision.of(result) for result in explained.rule_results),
            shares=tuple(SharingTag(tag=other.tag.name, kept=other.kept) for other in explained.shares),
            index=explained.index,
            could_go_us=explained.could_go_us,
            only_after=explained.only_after or None,
            needs_approval=explained.needs_approval,
            held=explained.held,
        )


class Explanations(ApiAnswer):
    """The explained tags of a repository, newest push first."""

    repository: str = Field(description="name of the repository")
    dry_run: bool = Field(description="true if the policy is a dry run: nothing is deleted")
    tags: tuple[ExplainedTag, ...]


def blueprints(wiring: Wiring, *, documented: bool) -> tuple[APIBlueprint, ...]:
    pages = api_blueprint("explanations", wiring, documented)

    @pages.get(
        "/repositories/<path:repository>/explain",
        responses={HTTPStatus.OK: Explanations, **error_responses([UNKNOWN])},
    )
    def explain(path: RepositoryPath, query: TagQuery) -> Response:
        """Explain why each tag is kept or deleted by the current policy"""
        explained = _explained(wiring, path.repository, query.tag)
        tags = tuple(ExplainedTag.of(explanation) for explanation in explained)
        return Explanations(repository=path.repository, dry_run=wiring.verdicts.is_dry(), tags=tags).response()

    return (pages,)


def _explained(wiring: Wiring, repository: str, names: tuple[str, ...]) -> tuple[Explanation, ...]:
    """Return the explanations of the named tags, or of all tags if `names` is empty.

    Raises:
        NoSuchRepository: nothing is known about the repository.
        NoSuchTag: a named tag does not exist.
    """
    explained = wiring.verdicts.explain(repository, names or None)
    existing = {explanation.verdict.tag.name for explanation in explained}
    if not existing:
        known(wiring, [repository])
    for name in names:
        if name not in existing:
            raise NoSuchTag(f"there is no tag {name!r} in {repository!r}")
    return explained
