"""Previews: the images that the current policy, or another policy, would delete now. They change nothing."""

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
from service.web.api.api_blueprint import api_blueprint, error_responses
from service.web.api.repository import UNKNOWN, known
from service.web.models import ApiAnswer, ApiRequest
from service.web.problems import InvalidRequest
from service.wiring import Wiring


class RepositoryQuery(ApiRequest):
    """The repositories to preview."""

    repository: tuple[str, ...] = Field(default=(), description="a repository; may be given several times; absent: all")


class PolicyPreviewRequest(ApiRequest):
    """A policy to preview, and the repositories."""

    policy: dict[str, Any] = Field(description="a whole policy, as GET /api/v1/policy/schema describes it")
    repositories: tuple[str, ...] | None = Field(default=None, description="names of the repositories; absent: all")


class GoingTag(ApiAnswer):
    """A tag, or a manifest without a tag, that would be deleted."""

    tag: str = Field(description="name of the tag; empty: the manifest has no tag")
    digest: str = Field(description="digest of the manifest")
    reason: str = Field(description="the reason, in words")
    rule: str | None = Field(description="the rule that decided; null: none")
    size_bytes: int = Field(description="of the image in bytes, as far as the registry reported it")

    @classmethod
    def of(cls, verdict: Verdict) -> "GoingTag":
        tag = verdict.tag
        return cls(tag=tag.name, digest=tag.digest, reason=verdict.reason, rule=verdict.rule, size_bytes=tag.size_bytes)


class RuleShare(ApiAnswer):
    """The part of a preview that one rule decided."""

    rule: str = Field(description="name of the rule, or its number such as #2; empty: no rule decided")
    tags: int = Field(description="number of tags")
    digests: int = Field(description="number of images")
    size_bytes: int = Field(description="size of those images in bytes; shared layers are counted for each image")
    unsized: int = Field(description="number of those images with unknown size, which size_bytes leaves out")


class RepositoryPreview(ApiAnswer):
    """The images that would be deleted from one repository."""

    repository: str = Field(description="name of the repository")
    going: tuple[GoingTag, ...] = Field(description="tags and manifests that would be deleted")
    shares: tuple[RuleShare, ...] = Field(description="the same by rule")
    hold: str | None = Field(description="why the plan would need approval; null: it would not")
    unclear: tuple[str, ...] = Field(
        description="digests that must be fetched from the registry before anything is deleted"
    )
    freed_bytes: int | None = Field(
        description="bytes of layers and configs that a collection would free, each counted once: no kept image in "
        "this repository references them (another repository may); null: no layers of these images are known"
    )
    freed_at_most: bool = Field(
        description="true if freed_bytes is an upper bound: a kept image with unknown layers may need some of them"
    )
    freed_unknown: int = Field(
        description="number of manifests to be deleted whose layers are unknown, which freed_bytes leaves out"
    )

    @classmethod
    def of(cls, preview: Preview) -> "RepositoryPreview":
        return cls(
            repository=preview.repository,
            going=tuple(GoingTag.of(verdict) for verdict in preview.going),
            shares=tuple(
                RuleShare(
                    rule=share.rule,
                    tags=share.tags,
                    digests=share.digests,
                    size_bytes=share.size_bytes,
                    unsized=share.unsized,
                )
                for share in preview.shares
            ),
            hold=preview.hold,
            unclear=preview.unclear,
            freed_bytes=None if preview.freed.is_unknown else preview.freed.size_bytes,
            freed_at_most=preview.freed.at_most,
            freed_unknown=preview.freed.unknown,
        )


class Previews(ApiAnswer):
    """The previews of all requested repositories."""

    dry_run: bool = Field(description="true if the policy is a dry run: nothing is deleted")
    repositories: tuple[RepositoryPreview, ...]


def blueprints(wiring: Wiring, *, documented: bool) -> tuple[APIBlueprint, ...]:
    pages = api_blueprint("previews", wiring, documented)
    answers = {HTTPStatus.OK: Previews, **error_responses([UNKNOWN])}

    @pages.get("/preview", responses=answers)
    def preview(query: RepositoryQuery) -> Response:
        """Preview what the current policy would delete now"""
        names = known(wiring, query.repository) or wiring.inventory.names()
        with trials.turn():
            return _previews(_previewed(wiring, names), wiring.verdicts.is_dry())

    @pages.post("/preview", responses=answers)
    def preview_by_policy(body: PolicyPreviewRequest) -> Response:
        """Preview what another policy would delete now; this changes nothing"""
        trials.check_size(len(to_json(body.policy)))
        trials.check_patterns(body.policy)
        names = wiring.inventory.names() if body.repositories is None else known(wiring, body.repositories)
        with trials.turn():
            policy = _policy(body.policy)
            return _previews(_previewed(wiring, names, policy), policy.dry_run)

    return (pages,)


def _policy(values: dict[str, Any]) -> Policy:
    """Return the policy in these values. Raises InvalidRequest if the policy is invalid."""
    try:
        return Policy.model_validate(values)
    except ValidationError as error:
        raise InvalidRequest.of(error, lambda _: policy_faults(values)) from error


def _previewed(wiring: Wiring, names: Iterable[str], policy: Policy | None = None) -> Iterator[Preview]:
    for name in trials.in_time(names):
        yield from wiring.verdicts.preview([name], policy)


def _previews(previews: Iterable[Preview], dry_run: bool) -> Response:
    return Previews(
        dry_run=dry_run, repositories=tuple(RepositoryPreview.of(preview) for preview in previews)
    ).response()
