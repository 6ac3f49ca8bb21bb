"""The results of `pushprune policy check` and `pushprune policy diff`."""

from collections.abc import Sequence

from pydantic import Field

from service.answers.base import ApiAnswer
from service.answers.verdicts import DeletionTotal, VerdictAnswer
from service.domain.retention.total import added
from service.reports.policy_difference import PolicyDifference


class PolicyCheck(ApiAnswer):
    """The result of checking a policy file."""

    file: str = Field(description="the file")
    valid: bool = Field(description="true if the policy could be put in force")
    rules: int | None = Field(description="number of rules; null if the policy is invalid")
    faults: tuple[str, ...] = Field(description="every fault, a sentence each")
    warnings: tuple[str, ...] = Field(description="a sentence for each rule that can never delete a tag")


class RepositoryEffect(ApiAnswer):
    """The effect of a policy on one repository, compared with the policy in force."""

    repository: str = Field(description="name of the repository")
    lost: DeletionTotal = Field(description="kept today, and deleted by the policy")
    saved: DeletionTotal = Field(description="to be deleted today, and kept by the policy")
    deletions: tuple[VerdictAnswer, ...] = Field(description="the tags and manifests in `lost`")
    hold: str | None = Field(description="why its plan would wait for approval; null: it would not")


class PolicyEffect(ApiAnswer):
    """The effect of a policy, compared with the policy in force."""

    lost: DeletionTotal = Field(description="kept today, and deleted by the policy")
    saved: DeletionTotal = Field(description="to be deleted today, and kept by the policy")
    repositories: tuple[RepositoryEffect, ...] = Field(description="the repositories with a difference")

    @classmethod
    def of(cls, differences: Sequence[PolicyDifference]) -> "PolicyEffect":
        """Return the answer for the differences of all repositories."""
        return cls(
            lost=DeletionTotal.model_validate(added("", (each.lost for each in differences))),
            saved=DeletionTotal.model_validate(added("", (each.saved for each in differences))),
            repositories=tuple(
                RepositoryEffect(
                    repository=each.repository,
                    lost=DeletionTotal.model_validate(each.lost),
                    saved=DeletionTotal.model_validate(each.saved),
                    deletions=tuple(VerdictAnswer.of(each.repository, verdict) for verdict in each.gone),
                    hold=each.tried.hold,
                )
                for each in differences
            ),
        )
