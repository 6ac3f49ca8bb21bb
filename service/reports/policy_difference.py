"""The difference that another policy would make: deletions that only one of two policies makes."""

from dataclasses import dataclass

from service.domain.policy.model import Policy
from service.domain.retention.plan import Verdict
from service.domain.retention.preview import Preview
from service.domain.retention.total import Total, total
from service.reports.verdicts import Verdicts


@dataclass(frozen=True, slots=True)
class PolicyDifference:
    """The difference that another policy would make in one repository.

    Attributes:
        today: the preview by the current policy.
        tried: the preview by the other policy.
        gone: deleted by the other policy only.
        spared: deleted by the current policy only.
    """

    repository: str
    today: Preview
    tried: Preview
    gone: tuple[Verdict, ...]
    spared: tuple[Verdict, ...]

    @property
    def lost(self) -> Total:
        """The total of the images that are kept today and that the other policy would delete."""
        return total(self.repository, self.gone)

    @property
    def saved(self) -> Total:
        """The total of the images that are to be deleted today and that the other policy would keep."""
        return total(self.repository, self.spared)


def policy_difference(verdicts: Verdicts, repository: str, tried: Policy) -> PolicyDifference:
    """Return the difference in one repository. Nothing is changed. Raises StoreUnavailable if Redis is away."""
    (today,), (other,) = verdicts.preview([repository]), verdicts.preview([repository], tried)
    gone, spared = _without(other.deletions, today.deletions), _without(today.deletions, other.deletions)
    return PolicyDifference(repository, today, other, gone, spared)


def _without(these: tuple[Verdict, ...], those: tuple[Verdict, ...]) -> tuple[Verdict, ...]:
    known = {(verdict.tag.name, verdict.tag.digest) for verdict in those}
    return tuple(verdict for verdict in these if (verdict.tag.name, verdict.tag.digest) not in known)
