"""The result of `pushprune policy simulate`."""

from pydantic import Field

from service.answers.base import ApiAnswer, SizeBytes, TimeUs
from service.answers.verdicts import DeletionTotal
from service.domain.simulation.report import Missed, Simulation
from service.domain.timestamps import rfc3339


class SimulatedDeletion(ApiAnswer):
    """An image that the policy would have deleted."""

    repository: str = Field(description="name of the repository")
    digest: str = Field(description="digest of the manifest")
    tags: tuple[str, ...] = Field(description="the tags deleted with it")
    lost_tag: str = Field(description="the last tag of an image without tags; empty: none")
    at: TimeUs = Field(validation_alias="at_us", description="time of the deletion")
    rule: str = Field(description="the rule that decided")
    reason: str = Field(description="the reason, in words")
    size_bytes: SizeBytes = Field(description="size of the image in bytes; null: not known")
    only_tags: bool = Field(description="true if the image is kept and only these tags are deleted")


class SimulatedPull(ApiAnswer):
    """A pull of an image that the policy would have deleted before."""

    at: TimeUs = Field(validation_alias="at_us", description="time of the pull")
    tag: str = Field(description="the pulled tag; empty: pulled by digest")
    digest: str = Field(description="the pulled digest")
    actor: str = Field(description="the user")
    useragent: str = Field(description="the client")
    address: str = Field(description="the network address")


class MissedImage(SimulatedDeletion):
    """An image that would have been deleted, and its later pulls."""

    pulls: tuple[SimulatedPull, ...] = Field(description="the later pulls, the first one first")

    @classmethod
    def of(cls, missed: Missed) -> "MissedImage":
        """Return the answer for an image that would have been missed."""
        deletion = SimulatedDeletion.model_validate(missed.deletion)
        return cls(**dict(deletion), pulls=tuple(map(SimulatedPull.model_validate, missed.pulls)))


class SimulatedHold(ApiAnswer):
    """A time in which the plans of a repository would have waited for approval."""

    repository: str = Field(description="name of the repository")
    since: TimeUs = Field(validation_alias="from_us", description="the start")
    until: TimeUs | None = Field(validation_alias="until_us", description="the end; null: they still wait at the end")
    reason: str = Field(description="why the first plan waits")


class KeptLonger(ApiAnswer):
    """An image that the current policy deleted, and that the simulated policy would have kept longer."""

    repository: str = Field(description="name of the repository")
    digest: str = Field(description="digest of the manifest")
    tag: str = Field(description="the deleted tag")
    at: TimeUs = Field(validation_alias="at_us", description="when the current policy deleted it")
    size_bytes: SizeBytes = Field(description="size of the image in bytes; null: not known")


class SimulationAnswer(ApiAnswer):
    """The images that a policy would have deleted in the past, and their later pulls."""

    started_at: TimeUs = Field(description="start of the simulated time")
    ended_at: TimeUs = Field(description="end of the simulated time")
    missed: tuple[MissedImage, ...] = Field(description="deleted images that were pulled later, most pulled first")
    deleted: DeletionTotal = Field(description="the total of all deletions")
    days: tuple[DeletionTotal, ...] = Field(description="totals per day")
    rules: tuple[DeletionTotal, ...] = Field(description="totals per rule")
    repositories: tuple[DeletionTotal, ...] = Field(description="totals per repository")
    deletions: tuple[SimulatedDeletion, ...] = Field(description="all deletions in the order of time")
    holds: tuple[SimulatedHold, ...] = Field(description="when plans would have waited for approval")
    kept_longer: tuple[KeptLonger, ...] = Field(description="images that the policy would have kept longer")
    unread: dict[str, tuple[str, ...]] = Field(description="repository → digests that would have been read first")
    known_from: dict[str, TimeUs | None] = Field(
        description="repository → start of its recorded history; null: only its current tags are known"
    )
    pulls_known_from: TimeUs | None = Field(description="since when pulls are recorded; null: none is recorded")

    @classmethod
    def of(cls, simulation: Simulation, pulls_from_us: int | None) -> "SimulationAnswer":
        """Return the answer for a simulation. `pulls_from_us`: the time of the first known pull."""
        outcomes = simulation.outcomes
        return cls.model_validate(
            {
                "started_at": rfc3339(simulation.start_us),
                "ended_at": rfc3339(simulation.end_us),
                "missed": tuple(map(MissedImage.of, simulation.missed)),
                "deleted": simulation.total,
                "days": simulation.days,
                "rules": simulation.rules,
                "repositories": simulation.repositories,
                "deletions": simulation.deletions,
                "holds": [wait for outcome in outcomes for wait in outcome.holds],
                "kept_longer": [spared for outcome in outcomes for spared in outcome.spared],
                "unread": {outcome.repository: outcome.unclear for outcome in outcomes if outcome.unclear},
                "known_from": {outcome.repository: outcome.known_from_us for outcome in outcomes},
                "pulls_known_from": pulls_from_us,
            }
        )
