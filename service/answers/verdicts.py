"""Verdicts: the decision about one tag or manifest, alone, explained, or as part of a preview or a deletion."""

from collections.abc import Iterable, Sequence
from typing import Literal

from pydantic import Field

from service.answers.base import ApiAnswer, TimeUs
from service.answers.bulk import BulkItem
from service.domain.retention.explanation import Explanation
from service.domain.retention.plan import Verdict
from service.domain.retention.preview import Preview


class VerdictAnswer(ApiAnswer):
    """A tag, or a manifest without a tag, and the decision about it."""

    repository: str = Field(description="name of the repository")
    tag: str | None = Field(description="name of the tag; null: a manifest without a tag")
    digest: str = Field(description="digest of the manifest")
    size_bytes: int | None = Field(
        description="size of the image in bytes: its config and layers, of an index those of its parts; null: not known"
    )
    platforms: tuple[str, ...] | None = Field(
        default=None, description="such as linux/arm64; empty: not in the manifest; null: not requested"
    )
    pushed_at: TimeUs | None = Field(
        description="last push; for a manifest without a tag, when it lost its last tag; null: unknown"
    )
    pulled_at: TimeUs | None = Field(description="last pull; null: no pull was recorded")
    created_at: TimeUs | None = Field(description="creation date in the image; null: the image has none, or not read")
    actor: str = Field(description="the user who pushed the tag; empty: unknown")
    verdict: Literal["keep", "delete", "held"] = Field(
        description="keep; delete: to be deleted; held: to be deleted once its plan is approved"
    )
    reason: str = Field(description="the reason, in words")
    rule: str | None = Field(description="the rule that decided; null: none")
    kept_until: TimeUs | None = Field(
        description="when a kept tag may be deleted by age alone; null: it is not deleted by age"
    )
    kept_as: str | None = Field(
        description="what keeps the image, so that only the tag is deleted; null: nothing, or the tag is kept"
    )
    unknown_age: Literal["tied", "undated"] | None = Field(
        description="set if the tag is kept only because its age is not known. tied: the rule's order cannot "
        "distinguish it from the last image that the rule keeps; undated: no push time and no creation date is known"
    )
    by: str = Field(description="the user who requested the deletion manually; empty: the policy decided")
    held: str | None = Field(description="why the plan that deletes the tag waits for approval; null: no plan waits")

    @classmethod
    def of(
        cls,
        repository: str,
        verdict: Verdict,
        held: str | None = None,
        *,
        platforms: Sequence[str] | None = None,
        **more: object,
    ) -> "VerdictAnswer":
        """Return the answer about a verdict. more: the fields that a subclass adds."""
        tag = verdict.tag
        return cls.model_validate(
            {
                "repository": repository, "tag": tag.name or None, "digest": tag.digest,
                "size_bytes": tag.size_bytes or None, "platforms": platforms, "pushed_at": tag.pushed_us,
                "pulled_at": tag.pulled_us, "created_at": tag.created_us or None, "actor": tag.actor,
                "verdict": "keep" if verdict.kept else "held" if held else "delete", "reason": verdict.reason,
                "rule": verdict.rule, "kept_until": verdict.until_us if verdict.kept else None,
                "kept_as": verdict.kept_as or None, "unknown_age": verdict.unknown_age, "by": verdict.by,
                "held": held, **more,
            }
        )  # fmt: skip


class RuleDecision(ApiAnswer):
    """The decision of one rule that selects the tag. A tag is kept if any rule keeps it."""

    rule: str = Field(description="name of the rule, or its number such as #2")
    keep: bool = Field(description="true if the rule keeps the tag")
    reason: str = Field(description="the reason, in words")
    kept_until: TimeUs | None = Field(
        validation_alias="until_us", description="when the rule stops keeping the tag by age alone; null: never"
    )
    place: int | None = Field(
        description="the tag's rank in the order of `last`, from 1; null: the rule has no `last`, or the rank is far "
        "below and was not counted"
    )
    limit: int | None = Field(description="number of tags that `last` keeps; null: the rule has no `last`")


class ExplainedTag(VerdictAnswer):
    """A tag, with the reason why it is kept or deleted."""

    rule_results: tuple[RuleDecision, ...] = Field(description="the decision of each rule that selects the tag")
    shares: tuple[VerdictAnswer, ...] = Field(description="the other tags that point at its digest")
    index: str | None = Field(description="digest of an index that lists this image; null: none")
    earliest_deletion: TimeUs | None = Field(
        description="earliest time of a deletion if nothing more is pushed or pulled: now for a tag to be deleted; "
        "null: the tag is not deleted by age alone"
    )
    only_after: str | None = Field(
        description="what must happen before a deletion, if the tag is not deleted by age alone; null: it is"
    )
    needs_approval: bool = Field(
        description="true if its deletion needs approval: the tag is older than pushprune or than the current policy"
    )

    @classmethod
    def explained(cls, repository: str, explanation: Explanation) -> "VerdictAnswer":
        """Return the answer for a verdict with the result of every rule."""
        return cls.of(
            repository,
            explanation.verdict,
            explanation.held,
            rule_results=explanation.rule_results,
            shares=[VerdictAnswer.of(repository, verdict) for verdict in explanation.shares],
            index=explanation.index,
            earliest_deletion=explanation.earliest_deletion_us,
            only_after=explanation.only_after or None,
            needs_approval=explanation.needs_approval,
        )


class DeletionTotal(ApiAnswer):
    """A total of deletions. Shared layers count once per image."""

    name: str = Field(
        description="the rule or its number such as #2, the repository or the day (UTC); empty: all of them, or among "
        "totals by rule: those that no rule decided"
    )
    tags: int = Field(description="number of tags")
    digests: int = Field(description="number of images")
    size_bytes: int = Field(description="size of the images in bytes, without those of unknown size")
    unsized: int = Field(description="number of images of unknown size")


class RepositoryPreview(ApiAnswer):
    """The images that would be deleted from one repository."""

    repository: str = Field(description="name of the repository")
    deletions: tuple[VerdictAnswer, ...] = Field(description="tags and manifests that would be deleted")
    of_unknown_age: tuple[VerdictAnswer, ...] = Field(description="tags kept only because their age is not known")
    rules: tuple[DeletionTotal, ...] = Field(description="totals of the deletions by rule")
    hold: str | None = Field(description="why the plan would need approval; null: it would not")
    unread: tuple[str, ...] = Field(
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
        """Return the answer for the preview of one repository."""
        return cls(
            repository=preview.repository,
            deletions=_rows(preview.repository, preview.deletions),
            of_unknown_age=_rows(preview.repository, preview.of_unknown_age),
            rules=tuple(map(DeletionTotal.model_validate, preview.rules)),
            hold=preview.hold,
            unread=preview.unclear,
            freed_bytes=None if preview.freed.is_unknown else preview.freed.size_bytes,
            freed_at_most=preview.freed.at_most,
            freed_unknown=preview.freed.unknown,
        )


class Previews(ApiAnswer):
    """The previews of all requested repositories."""

    dry_run: bool = Field(description="true if the policy is a dry run: nothing is deleted")
    repositories: tuple[RepositoryPreview, ...] = Field(description="one preview for each repository")

    @classmethod
    def of(cls, previews: Iterable[Preview], *, dry_run: bool) -> "Previews":
        """Return the answer for the previews of several repositories."""
        return cls(dry_run=dry_run, repositories=tuple(map(RepositoryPreview.of, previews)))


class ManualDeletionAnswer(ApiAnswer):
    """Tags and manifests that a manual deletion deletes, and those that it keeps."""

    requested: bool = Field(description="true if workers delete these images; images pushed meanwhile are kept")
    done: bool = Field(description="true if the deletions are complete; false if they are only requested or previewed")
    deletions: tuple[VerdictAnswer, ...] = Field(description="tags and manifests that are deleted")
    kept: tuple[VerdictAnswer, ...] = Field(description="tags and manifests that are kept, each with the reason")
    results: tuple[BulkItem, ...] = Field(
        default=(), description="the result of each name in the request; empty on the command line"
    )


def _rows(repository: str, verdicts: Iterable[Verdict]) -> tuple[VerdictAnswer, ...]:
    return tuple(VerdictAnswer.of(repository, verdict) for verdict in verdicts)
