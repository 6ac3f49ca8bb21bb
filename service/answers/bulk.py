"""The results of bulk operations: one for each item that was asked for."""

from collections.abc import Iterable

from pydantic import Field

from service.answers.base import ApiAnswer, TextIfAny
from service.answers.history import RestoredImage
from service.domain.bulk import ItemStatus
from service.restore.bulk_restore import RestoredItem


class BulkItem(ApiAnswer):
    """The result of one item of a bulk operation."""

    repository: str = Field(description="name of the repository, or a glob that matches none")
    tag: TextIfAny = Field(description="the tag, or the glob of tags, as requested; null: a manifest")
    digest: TextIfAny = Field(description="the digest as requested; null: only the tag was named")
    status: ItemStatus = Field(
        description="possible: a dry run, nothing was changed; requested: workers delete it; restored; refused: see "
        "`message`; not tried: an earlier item showed that the registry is away, or the time was up"
    )
    message: str = Field(description="the result in one sentence; for a refused item why, and what to do")


class RestorationItem(BulkItem):
    """The result of one image to restore."""

    restored: RestoredImage | None = Field(description="what was restored; null: nothing")


class RestorationAnswer(ApiAnswer):
    """The results of a request to restore images, in the order of the request."""

    dry_run: bool = Field(description="true if nothing was changed")
    results: tuple[RestorationItem, ...] = Field(description="one result for each image")

    @classmethod
    def of(cls, items: Iterable[RestoredItem], *, dry_run: bool) -> "RestorationAnswer":
        """Return the answer with the result of every item."""
        results = (
            RestorationItem(
                repository=restored.item.repository,
                tag=restored.item.tag,
                digest=restored.item.digest,
                status=restored.item.status,
                message=restored.item.message,
                restored=RestoredImage.model_validate(restored.restored) if restored.restored else None,
            )
            for restored in items
        )
        return cls(dry_run=dry_run, results=tuple(results))
