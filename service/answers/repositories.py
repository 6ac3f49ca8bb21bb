"""Repositories, and the plans that wait for approval."""

from collections.abc import Sequence

from pydantic import Field

from service.answers.base import ApiAnswer, TimeMs, TimeUs
from service.domain.retention.plan import Rejection
from service.domain.timestamps import rfc3339
from service.reports.held_plans import Waiting, joint_name
from service.store.approvals import Hold


class Repository(ApiAnswer):
    """The summary of a repository."""

    repository: str = Field(description="name of the repository")
    tags: int = Field(description="number of tags")
    pushed_at: TimeUs | None = Field(validation_alias="pushed_us", description="last push; null: no push was recorded")
    doomed: int = Field(description="images and tags that are to be deleted next")
    next_deletion_at: TimeUs | None = Field(
        validation_alias="next_us",
        description="when the repository is planned again, the earliest time of a further deletion by age; null: only "
        "after a push",
    )
    held: str | None = Field(description="why its plan waits for approval; null: no plan waits")
    unannounced: int = Field(description="number of tags kept only because the events of their pushes were lost")
    size_bytes: int | None = Field(
        description="storage used by its configs and layers, each counted once; other repositories may share some of "
        "them; null: not measured yet"
    )
    unsized: int = Field(description="number of tags whose size is not known, which size_bytes leaves out")
    growth_bytes: int | None = Field(description="change of the size within seven days; null: not known")
    measured_at: TimeMs | None = Field(
        validation_alias="measured_ms",
        description="when the size was measured: within seconds of a change, later if there is much to measure; "
        "null: never",
    )


class HeldPlan(ApiAnswer):
    """A plan that waits for approval."""

    repository: str = Field(description="name of the repository")
    reason: str = Field(description="why the plan needs approval, in words")
    since: TimeUs = Field(description="since when the plan waits")
    digests: tuple[str, ...] = Field(description="digests of the images that the plan would delete")
    plan: str = Field(description="name of the plan; it changes whenever the images to be deleted change")
    rejected_by: str | None = Field(description="the user who rejected this plan; null: not rejected")

    @classmethod
    def of(cls, hold: Hold, rejection: Rejection | None = None) -> "HeldPlan":
        """Return the answer for a hold, and for its rejection if there is one."""
        return cls(
            repository=hold.repository,
            reason=hold.reason,
            since=rfc3339(hold.at_us),
            digests=hold.digests,
            plan=hold.plan,
            rejected_by=rejection.by if rejection else None,
        )


class Holds(ApiAnswer):
    """The plans that wait for approval, by repository."""

    next: str | None = Field(default=None, description="cursor of the next page; null: this is the last page")
    total: int = Field(description="total number of waiting plans on all pages")
    holds: tuple[HeldPlan, ...] = Field(description="the plans")
    plans: str | None = Field(
        description="common name of all plans that were not rejected, to approve them together; null: no plan waits"
    )

    @classmethod
    def of(
        cls, waiting: Sequence[Waiting], listed: Sequence[Waiting] | None = None, cursor: str | None = None
    ) -> "Holds":
        """Return the answer for all plans that wait.

        Args:
            listed: the plans of one page; None: all.
            cursor: of the next page.
        """
        undecided = [held.hold for held in waiting if held.rejection is None]
        return cls(
            next=cursor,
            total=len(waiting),
            holds=tuple(HeldPlan.of(held.hold, held.rejection) for held in (waiting if listed is None else listed)),
            plans=joint_name(undecided) if undecided else None,
        )


class ApprovalOfAll(ApiAnswer):
    """The plans that were approved together. The approval is valid for one day."""

    repositories: int = Field(description="repositories whose plan is approved")
    approved: int = Field(description="images whose deletion is approved")
