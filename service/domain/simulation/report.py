"""The result of a simulation: the images that a policy would have deleted, and their later pulls."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import UTC, datetime

from service.domain.retention.state import Tag
from service.domain.retention.total import Total
from service.domain.simulation.timeline import TimelineEvent


@dataclass(frozen=True, slots=True)
class Deletion:
    """One digest that would have been deleted at at_us (µs).

    Attributes:
        tags: the tags deleted with it.
        lost_tag: the last tag of a digest without tags, or "".
        size_bytes: size of the image; 0 if it is not known.
        only_tags: True if the digest is kept and only these tags are deleted.
    """

    repository: str
    digest: str
    tags: tuple[str, ...]
    lost_tag: str
    at_us: int
    rule: str
    reason: str
    size_bytes: int
    only_tags: bool = False


@dataclass(frozen=True, slots=True)
class Missed:
    """An image that would have been deleted, and its later pulls in the order of time."""

    deletion: Deletion
    pulls: tuple[TimelineEvent, ...]


@dataclass(frozen=True, slots=True)
class HoldPeriod:
    """A time in which the plans of a repository would have waited for approval.

    Attributes:
        from_us: the start in µs.
        until_us: the end in µs; None if they still wait at the end of the simulation.
        reason: why the first plan waits.
    """

    repository: str
    from_us: int
    until_us: int | None
    reason: str


@dataclass(frozen=True, slots=True)
class Spared:
    """An image that the current policy pruned at at_us (µs), and that the simulated policy would have kept longer."""

    repository: str
    digest: str
    tag: str
    at_us: int
    size_bytes: int


@dataclass(frozen=True, slots=True)
class RepositoryOutcome:
    """The result of the simulation for one repository.

    Attributes:
        known_from_us: the start of its recorded history; None if there is none.
        missed: images that would have been deleted and were pulled afterwards.
        holds: when its plans would have waited for approval.
        spared: images that the current policy pruned and the simulated policy keeps.
        left: the tags at the end, sorted by name.
        unclear: digests that a worker would have read first: indexes of unknown parts, and images of unknown creation
            time.
    """

    repository: str
    known_from_us: int | None
    deletions: tuple[Deletion, ...]
    missed: tuple[Missed, ...]
    holds: tuple[HoldPeriod, ...]
    spared: tuple[Spared, ...]
    left: tuple[Tag, ...]
    unclear: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Simulation:
    """The result of a simulation from start_us to end_us (µs), by repository."""

    start_us: int
    end_us: int
    outcomes: tuple[RepositoryOutcome, ...]

    @property
    def deletions(self) -> tuple[Deletion, ...]:
        """All deletions in the order of time."""
        deletions = (deletion for outcome in self.outcomes for deletion in outcome.deletions)
        return tuple(sorted(deletions, key=lambda deletion: (deletion.at_us, deletion.repository)))

    @property
    def missed(self) -> tuple[Missed, ...]:
        """All missed images, the most often pulled first. Their number shows whether the policy is too strict."""
        missed = (image for outcome in self.outcomes for image in outcome.missed)
        return tuple(
            sorted(missed, key=lambda image: (-len(image.pulls), image.deletion.at_us, image.deletion.repository))
        )

    @property
    def days(self) -> tuple[Total, ...]:
        """The total per day (UTC) with a deletion, sorted by date."""
        return _totals(
            self.deletions,
            lambda deletion: datetime.fromtimestamp(deletion.at_us / 1_000_000, UTC).date().isoformat(),
        )

    @property
    def rules(self) -> tuple[Total, ...]:
        """The total per rule."""
        return _totals(self.deletions, lambda deletion: deletion.rule)

    @property
    def repositories(self) -> tuple[Total, ...]:
        """The total per repository."""
        return _totals(self.deletions, lambda deletion: deletion.repository)

    @property
    def total(self) -> Total:
        """The total of all deletions."""
        return _total("", self.deletions)


def _total(name: str, deletions: Iterable[Deletion]) -> Total:
    """Return the total of these deletions. A digest that is deleted twice counts twice."""
    deletions = tuple(deletions)
    tags = sum(len(deletion.tags) for deletion in deletions)
    size_bytes = sum(deletion.size_bytes for deletion in deletions)
    unsized = sum(not (deletion.only_tags or deletion.size_bytes) for deletion in deletions)
    return Total(name, tags, sum(not deletion.only_tags for deletion in deletions), size_bytes, unsized)


def _totals(deletions: Iterable[Deletion], name_of: Callable[[Deletion], str]) -> tuple[Total, ...]:
    named: dict[str, list[Deletion]] = {}
    for deletion in deletions:
        named.setdefault(name_of(deletion), []).append(deletion)
    return tuple(_total(name, named[name]) for name in sorted(named))
