"""What would go now, by the policy in force or by another. Asking changes nothing."""

from collections.abc import Iterable, Iterator
from http import HTTPStatus
from typing import Any

from flask import Response
from flask_openapi.blueprint import APIBlueprint
from pydantic import Field, ValidationError
from pydantic_core import to_json

from service.domain.policy.model import Policy
from service.domain.retention.plan import Verdict
from service.domain.retention.preview import Preview
from service.settings import policy_faults
from service.web import trials
from service.web.api.door import door, refusals
from service.web.api.repository import UNKNOWN, known
from service.web.models import Answer, Asked
from service.web.problems import Faulty
from service.wiring import Wiring


class RepositoryQuery(Asked):
    """Which repositories."""

    repository: tuple[str, ...] = Field(
        default=(), description="a repository; may be given several times; all when absent"
    )


class Question(Asked):
    """What would go by this policy."""

    policy: dict[str, Any] = Field(description="a whole policy, as GET /api/v1/policy/schema describes it")
    repositories: tuple[str, ...] | None = Field(default=None, description="their names; all when absent")


class GoingTag(Answer):
    """A tag, or a manifest without one, that would go."""

    tag: str = Field(description="its name; empty: the manifest has no tag")
    digest: str = Field(description="of the manifest")
    reason: str = Field(description="why, in words")
    rule: str | None = Field(description="the rule that decided; null: none did")
    size_bytes: int = Field(description="of the image in bytes, as far as the registry told")

    @classmethod
    def of(cls, verdict: Verdict) -> "GoingTag":
        tag = verdict.tag
        return cls(tag=tag.name, digest=tag.digest, reason=verdict.reason, rule=verdict.rule, size_bytes=tag.size_bytes)


class RuleShare(Answer):
    """What would go by one rule."""

    rule: str = Field(description="its name, or its number such as #2; empty: none decided")
    tags: int = Field(description="how many tags")
    digests: int = Field(description="how many images")
    size_bytes: int = Field(description="of those images in bytes; layers that they share count each time")
    unsized: int = Field(description="of how many of those images the size is not known; size_bytes leaves them out")


class RepositoryPreview(Answer):
    """What would go from one repository."""

    repository: str = Field(description="its name")
    going: tuple[GoingTag, ...] = Field(description="what would go")
    shares: tuple[RuleShare, ...] = Field(description="how much of it by which rule")
    hold: str | None = Field(description="why the plan would wait for approval; null: it would not")
    unclear: tuple[str, ...] = Field(description="digests that must be looked at before anything goes")
    freed_bytes: int | None = Field(
        description="layers and configs that go for good once collected, in bytes, each counted once: nothing that "
        "stays in this repository references them (another one may); null: no layers of what goes are known"
    )
    freed_at_most: bool = Field(
        description="something that stays may hold some of these bytes: its layers are not known"
    )
    freed_unknown: int = Field(
        description="of how many manifests that go the layers are not known; freed_bytes leaves them out"
    )

    @classmethod
    def of(cls, preview: Preview) -> "RepositoryPreview":
        return cls(
            repository=preview.repository,
            going=tuple(GoingTag.of(verdict) for verdict in preview.going),
            shares=tuple(
                RuleShare(rule=of.rule, tags=of.tags, digests=of.digests, size_bytes=of.size_bytes, unsized=of.unsized)
                for of in preview.shares
            ),
            hold=preview.hold,
            unclear=preview.unclear,
            freed_bytes=None if preview.freed.is_unknown else preview.freed.size_bytes,
            freed_at_most=preview.freed.at_most,
            freed_unknown=preview.freed.unknown,
        )


class Previews(Answer):
    """What would go, repository by repository."""

    dry_run: bool = Field(description="whether the policy only shows what would go: nothing is deleted")
    repositories: tuple[RepositoryPreview, ...]


def blueprints(wiring: Wiring, *, documented: bool) -> tuple[APIBlueprint, ...]:
    pages = door("previews", wiring, documented)
    answers = {HTTPStatus.OK: Previews, **refusals([UNKNOWN])}

    @pages.get("/preview", responses=answers)
    def preview(query: RepositoryQuery) -> Response:
        """What would go now, by the policy in force"""
        names = known(wiring, query.repository) or wiring.history.repositories()
        with trials.turn():
            return _previews(_previewed(wiring, names), wiring.outlook.is_dry())

    @pages.post("/preview", responses=answers)
    def preview_by_policy(body: Question) -> Response:
        """What would go now by another policy; it changes nothing"""
        trials.check_size(len(to_json(body.policy)))
        trials.check_patterns(body.policy)
        names = wiring.history.repositories() if body.repositories is None else known(wiring, body.repositories)
        with trials.turn():
            policy = _policy(body.policy)
            return _previews(_previewed(wiring, names, policy), policy.dry_run)

    return (pages,)


def _policy(values: dict[str, Any]) -> Policy:
    """The policy in these values; Faulty when it cannot be obeyed."""
    try:
        return Policy.model_validate(values)
    except ValidationError as error:
        raise Faulty.of(error, lambda _: policy_faults(values)) from error


def _previewed(wiring: Wiring, names: Iterable[str], policy: Policy | None = None) -> Iterator[Preview]:
    for name in trials.in_time(names):
        yield from wiring.outlook.preview([name], policy)


def _previews(previews: Iterable[Preview], dry_run: bool) -> Response:
    return Previews(dry_run=dry_run, repositories=tuple(RepositoryPreview.of(one) for one in previews)).response()
