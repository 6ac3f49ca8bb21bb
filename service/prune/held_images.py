"""The images that a waiting plan would delete, with what an approver must know about them."""

from dataclasses import dataclass

from service.domain.retention.freed import Freed
from service.domain.retention.plan import Verdict
from service.prune.approvals import Waiting
from service.reports.verdicts import Verdicts


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
