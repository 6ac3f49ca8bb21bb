"""The result of each item of a bulk operation: several deletions or restores that a user asked for together."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from service.domain.errors import PushpruneError

ItemStatus = Literal["possible", "requested", "restored", "refused", "not tried"]


@dataclass(frozen=True, slots=True)
class ItemResult:
    """The result of one item.

    Attributes:
        tag: as the user named it, "" if a digest was named.
        digest: as the user named it, "" if only a tag was named.
        status: possible (a dry run: nothing was changed), requested (workers delete), restored, refused, or not tried.
        message: one sentence for the user.
        error: why the item was refused or not tried, None if it was not.
    """

    repository: str
    tag: str
    digest: str
    status: ItemStatus
    message: str
    error: PushpruneError | None = None

    @property
    def name(self) -> str:
        """The item as the command line writes it."""
        return f"{self.repository}:{self.tag}" if self.tag else f"{self.repository}@{self.digest}"


def raise_if_refused(results: Sequence[ItemResult]) -> None:
    """Raise the first error if every item was refused."""
    errors = [result.error for result in results if result.error]
    if errors and len(errors) == len(results):
        raise errors[0]
