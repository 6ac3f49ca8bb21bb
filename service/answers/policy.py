"""The results of `pushprune policy check` and `pushprune policy diff`."""

from collections.abc import Sequence

from pydantic import Field

from service.answers.base import ApiAnswer
from service.answers.verdicts import VerdictAnswer
from service.reports.policy_difference import PolicyDifference, total


class PolicyCheck(ApiAnswer):
    """The result of checking a policy file."""

    file: str = Field(description="the file")
    valid: bool = Field(description="true if the policy could be put in force")
    rules: int | None = Field(description="number of rules; null if the policy is invalid")
    faults: tuple[str, ...] = Field(description="every fault, a sentence each")
    warnings: tuple[str, ...] = Field(description="a sentence for each rule that can never delete a tag")


class EffectTotal(ApiAnswer):
    """A total of tags and images. Shared layers count once per image."""

    tags: int = Field(description="number of tags")
    digests: int = Field(description="number of images")
    size_bytes: int = Field(description="of the images in bytes, as far as sizes are known")
    unsized: int = Field(description="number of images of unknown size")


class RepositoryEffect(ApiAnswer):
    """The effect of a policy on one repository, compared with the policy in force."""

    repository: str = Field(description="name of the repository")
    lost: EffectTotal = Field(description="kept today, and deleted by the policy")
    saved: EffectTotal = Field(description="to be deleted today, and kept by the policy")
    deletions: tuple[VerdictAnswer, ...] = Field(description="the tags and manifests in `lost`")
    hold: str | None = Field(description="why its plan would wait for approval; null: it would not")


class PolicyEffect(ApiAnswer):
    """The effect of a policy, compared with the policy in force."""

    lost: EffectTotal = Field(description="kept today, and deleted by the policy")
    saved: EffectTotal = Field(description="to be deleted today, and kept by the policy")
    repositories: tuple[RepositoryEffect, ...] = Field(description="the repositories with a difference")

    @classmethod
    def of(cls, differences: Sequence[PolicyDifference]) -> "PolicyEffect":
        """Return the answer for the differences of all repositories."""
        return cls(
            lost=EffectTotal.model_validate(total(each.lost for each in differences)),
            saved=EffectTotal.model_validate(total(each.saved for each in differences)),
            repositories=tuple(
                RepositoryEffect(
                    repository=each.repository,
                    lost=EffectTotal.model_validate(each.lost),
                    saved=EffectTotal.model_validate(each.saved),
                    deletions=tuple(VerdictAnswer.of(each.repository, verdict) for verdict in each.gone),
                    hold=each.tried.hold,
                )
                for each in differences
            ),
        )
