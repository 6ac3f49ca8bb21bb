"""A simulation: what a policy would have deleted in a period of the past, and what of it was pulled afterwards."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import UTC, datetime

from service.domain.retention.state import Tag
from service.domain.simulation.timeline import Happening


@dataclass(frozen=True, slots=True)
class Deletion:
    """One digest that would have been deleted at at_us (µs); only_tags: it stays, and only these tags of it go.

    tags: those that go with it; lost_tag: where there are none, the tag it had last, or "". size_bytes: of the image,
    as far as the registry told.
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
    """An image that would have been deleted, and its pulls after that, in the order of time."""

    deletion: Deletion
    pulls: tuple[Happening, ...]


@dataclass(frozen=True, slots=True)
class Wait:
    """Plans that would have waited for approval from from_us on (µs); until_us: None = to the end. reason: why."""

    repository: str
    from_us: int
    until_us: int | None
    reason: str


@dataclass(frozen=True, slots=True)
class Spared:
    """An image that today's policy pruned at at_us (µs), and that the simulated one would have kept longer."""

    repository: str
    digest: str
    tag: str
    at_us: int
    size_bytes: int


@dataclass(frozen=True, slots=True)
class Outcome:
    """What would have become of one repository.

    known_from_us: when its record begins, None when there is none. left: the tags at the end, by name. unclear: digests
    that the workers would have looked at first: indexes whose parts, and images whose creation, nobody has looked up.
    """

    repository: str
    known_from_us: int | None
    deletions: tuple[Deletion, ...]
    missed: tuple[Missed, ...]
    waits: tuple[Wait, ...]
    spared: tuple[Spared, ...]
    left: tuple[Tag, ...]
    unclear: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Total:
    """What would have gone together. size_bytes: layers that images share are counted for each."""

    name: str
    tags: int
    digests: int
    size_bytes: int


@dataclass(frozen=True, slots=True)
class Simulation:
    """What a policy would have done from start_us to end_us (µs), repository by repository."""

    start_us: int
    end_us: int
    outcomes: tuple[Outcome, ...]

    @property
    def deletions(self) -> tuple[Deletion, ...]:
        """In the order of time."""
        every = (deletion for outcome in self.outcomes for deletion in outcome.deletions)
        return tuple(sorted(every, key=lambda one: (one.at_us, one.repository)))

    @property
    def missed(self) -> tuple[Missed, ...]:
        """The number that decides is how many these are. Those pulled most often first."""
        every = (missed for outcome in self.outcomes for missed in outcome.missed)
        return tuple(sorted(every, key=lambda one: (-len(one.pulls), one.deletion.at_us, one.deletion.repository)))

    @property
    def days(self) -> tuple[Total, ...]:
        """Per day (UTC) on which anything would have gone, by date."""
        return _totals(
            self.deletions, lambda one: datetime.fromtimestamp(one.at_us / 1_000_000, UTC).date().isoformat()
        )

    @property
    def rules(self) -> tuple[Total, ...]:
        return _totals(self.deletions, lambda one: one.rule)

    @property
    def repositories(self) -> tuple[Total, ...]:
        return _totals(self.deletions, lambda one: one.repository)

    @property
    def total(self) -> Total:
        return total("", self.deletions)


def total(name: str, deletions: Iterable[Deletion]) -> Total:
    """What these take together; a digest that goes twice is counted twice."""
    deletions = tuple(deletions)
    tags, size_bytes = sum(len(one.tags) for one in deletions), sum(one.size_bytes for one in deletions)
    return Total(name, tags, sum(not one.only_tags for one in deletions), size_bytes)


def _totals(deletions: Iterable[Deletion], name_of: Callable[[Deletion], str]) -> tuple[Total, ...]:
    named: dict[str, list[Deletion]] = {}
    for deletion in deletions:
        named.setdefault(name_of(deletion), []).append(deletion)
    return tuple(total(name, named[name]) for name in sorted(named))
