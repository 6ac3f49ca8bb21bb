"""Several restores as one operation, with a result for each image."""

import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from service.domain.bulk import ItemResult, ItemStatus
from service.domain.errors import LeaseLost, NotRestorable, PushpruneError, RegistryRefused, RegistryUnavailable
from service.restore.restore import Restore
from service.restore.restoring import LEASE_S, RestoreResult

# A restore asks the registry for every layer of the image, so many restores can take minutes.
_PATIENCE_S = 20.0


@dataclass(frozen=True, slots=True)
class RestoreTarget:
    """An image to restore.

    Attributes:
        tag: the deleted tag; "" to restore the manifest `digest` with all tags that were deleted with it.
        digest: of the image; "" for the latest deletion of the tag.
        as_tag: restore under this tag instead; "": under its own.
    """

    repository: str
    tag: str = ""
    digest: str = ""
    as_tag: str = ""


@dataclass(frozen=True, slots=True)
class RestoredItem:
    """The result of one image. restored: None if nothing was restored, also in a dry run."""

    item: ItemResult
    restored: RestoreResult | None = None


def restore_each(
    restore: Restore,
    targets: Iterable[RestoreTarget],
    by: str,
    *,
    force: bool = False,
    lease_s: int = LEASE_S,
    dry_run: bool = False,
    patience_s: float = _PATIENCE_S,
) -> tuple[RestoredItem, ...]:
    """Restore each of these images. An image that cannot be restored does not stop the others.

    Args:
        force: also tags that were pushed again since.
        lease_s: seconds for which no policy deletes the images again.
        patience_s: begin no other restore after this time. The remaining images are reported as not tried.
    """
    results: list[RestoredItem] = []
    end = time.monotonic() + patience_s
    away: PushpruneError | None = None
    for target in dict.fromkeys(targets):
        if away is None and time.monotonic() > end:
            away = RegistryUnavailable(f"not tried within {patience_s:.0f} s: restore the remaining images again")
        if away:
            results.append(_failed(target, away, is_tried=False))
            continue
        try:
            restored = _restored(restore, target, by, force=force, lease_s=lease_s, dry_run=dry_run)
        except (RegistryUnavailable, RegistryRefused) as error:
            # The next image would wait for the same registry.
            away = error
            results.append(_failed(target, error))
        except (NotRestorable, LeaseLost) as error:
            results.append(_failed(target, error))
        else:
            results.append(restored)
    return tuple(results)


def _restored(
    restore: Restore, target: RestoreTarget, by: str, *, force: bool, lease_s: int, dry_run: bool
) -> RestoredItem:
    tag, digest, as_tag = target.tag or None, target.digest or None, target.as_tag or None
    if dry_run:
        tags = restore.check(target.repository, tag=tag, digest=digest, as_tag=as_tag, force=force)
        item = ItemResult(target.repository, target.tag, target.digest, "possible", f"can be restored{_as_tags(tags)}")
        return RestoredItem(item)
    result = restore.restore(
        target.repository, tag=tag, digest=digest, as_tag=as_tag, force=force, lease_s=lease_s, by=by
    )
    message = f"restored{_as_tags(result.tags)}"
    return RestoredItem(ItemResult(target.repository, target.tag, target.digest, "restored", message), result)


def _as_tags(tags: Sequence[str]) -> str:
    return f" as {', '.join(tags)}" if tags else ""


def _failed(target: RestoreTarget, error: PushpruneError, *, is_tried: bool = True) -> RestoredItem:
    status: ItemStatus = "refused" if is_tried else "not tried"
    return RestoredItem(ItemResult(target.repository, target.tag, target.digest, status, str(error), error))
