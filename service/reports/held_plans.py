"""List the plans that wait for approval, and show their images."""

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass

from service.domain.retention.freed import Freed
from service.domain.retention.plan import Rejection, Verdict
from service.reports.verdicts import Verdicts
from service.store import Store
from service.store.approvals import Hold


@dataclass(frozen=True, slots=True)
class Waiting:
    """A plan that waits for approval.

    Attributes:
        hold: the plan and the reason of its hold.
        rejection: who rejected the plan, None if it was not rejected. A rejected plan still waits.
    """

    hold: Hold
    rejection: Rejection | None


def waiting(store: Store, repositories: Iterable[str] | None = None) -> tuple[Waiting, ...]:
    """Return the waiting plans of these repositories, or of all. Raises StoreUnavailable if Redis does not answer."""
    holds = store.approvals.holds(repositories)
    refused = store.approvals.rejections(hold.repository for hold in holds)
    rejections = (refused.get(hold.repository) for hold in holds)
    return tuple(
        Waiting(hold, rejection if rejection and rejection.plan == hold.plan else None)
        for hold, rejection in zip(holds, rejections, strict=True)
    )


def undecided(store: Store) -> tuple[Hold, ...]:
    """Return the waiting plans that were not rejected: an operator should look at them. Raises as `waiting`."""
    return tuple(entry.hold for entry in waiting(store) if entry.rejection is None)


def unplanned(store: Store) -> int:
    """Return the number of repositories that are still to be planned: their plans may wait. Raises as `waiting`."""
    return store.stats.read().waiting["due"]


def joint_name(holds: Iterable[Hold]) -> str:
    """Return one name for several plans. The name changes as soon as any of them is replaced."""
    plans = sorted(f"{hold.repository} {hold.plan}" for hold in holds)
    return hashlib.sha256("\n".join(plans).encode()).hexdigest()[:32]


@dataclass(frozen=True, slots=True)
class HeldImages:
    """A waiting plan and its images.

    Attributes:
        deletions: a verdict on each tag, and on each manifest without a tag, that the plan would delete.
        freed: the disk space that is free after the collection that follows.
        is_changing: True if a plan of this moment would delete other images. It replaces the waiting plan soon.
    """

    waiting: Waiting
    deletions: tuple[Verdict, ...]
    freed: Freed
    is_changing: bool

    @property
    def tags(self) -> int:
        """The number of tags that the plan would delete."""
        return sum(1 for verdict in self.deletions if verdict.tag.name)

    @property
    def size_bytes(self) -> int:
        """The size of the images, as far as it is known. Layers that images share count once for each."""
        return sum({verdict.tag.digest: verdict.tag.size_bytes for verdict in self.deletions}.values())

    @property
    def pulled_us(self) -> int | None:
        """The last recorded pull of one of the images (µs); None if no pull was recorded."""
        return max((verdict.tag.pulled_us or 0 for verdict in self.deletions), default=0) or None

    @property
    def never_pulled(self) -> int:
        """The number of images of which no pull was recorded."""
        pulled = {verdict.tag.digest for verdict in self.deletions if verdict.tag.pulled_us}
        return len({verdict.tag.digest for verdict in self.deletions} - pulled)


def held_images(verdicts: Verdicts, waiting: Waiting) -> HeldImages:
    """Return the images of a waiting plan. Raises StoreUnavailable if Redis does not answer."""
    (preview,) = verdicts.preview([waiting.hold.repository])
    held = set(waiting.hold.digests)
    deletions = tuple(verdict for verdict in preview.deletions if verdict.tag.digest in held)
    is_changing = held != {verdict.tag.digest for verdict in preview.deletions}
    return HeldImages(waiting, deletions, preview.freed, is_changing)
