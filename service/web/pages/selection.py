"""Several tags of a repository, selected in its list: confirm what happens, then delete or protect them together."""

import time
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from flask import Blueprint, Response, request

from service.domain.bulk import ItemResult
from service.domain.errors import ConfigurationError
from service.domain.oci.names import is_digest, is_tag
from service.domain.policy.units import spell_count
from service.domain.retention.selector import TagSelector
from service.prune.bulk_deletion import BulkDeletion, BulkDeletions
from service.prune.manual import deletion_progress, not_deleted
from service.prune.protecting import Protection, end_protection, protect
from service.store import Store
from service.web.pages import rendering
from service.wiring import Wiring

_MOST = 1000
_PATIENCE_S = 2.0
_LOOK_S = 0.1
_DAY_S = 86_400
_PERIODS = {days * _DAY_S: f"{days} days" for days in (1, 7, 30, 90, 365)}


@dataclass(frozen=True, slots=True)
class DeletionImpact:
    """The numbers that a user confirms before a deletion.

    Attributes:
        tags: that are deleted.
        images: that are deleted; an image that another tag or an index needs is not.
        size_bytes: of these images, as far as the registry reported it. Images may share layers with others.
        shared: tags whose image is kept, because another tag or an index needs it.
        refused: tags that are kept, each with the reason.
    """

    tags: int
    images: int
    size_bytes: int
    shared: int
    refused: tuple[ItemResult, ...]

    @classmethod
    def of(cls, preview: BulkDeletion) -> "DeletionImpact":
        """Return the numbers of a preview."""
        sizes = {v.tag.digest: v.tag.size_bytes for _, v in preview.deletions if not v.kept_as}
        shared = sum(bool(verdict.kept_as) for _, verdict in preview.deletions)
        refused = tuple(result for result in preview.results if result.error)
        return cls(len(preview.deletions), preview.images, sum(sizes.values()), shared, refused)


def add(pages: Blueprint, wiring: Wiring) -> None:
    store, dispatch, inventory = wiring.store, wiring.dispatch, wiring.inventory
    bulk_deletions = BulkDeletions(store, wiring.registry, wiring.policies, wiring.verdicts, dispatch)

    @pages.post("/selection")
    def selection() -> Response:
        """Show what the action on the selected tags will do. Nothing is changed yet."""
        repository, items = inventory.known(request.form.get("repository", "")), _items()
        values = {"repository": repository, "items": items, "values": request.form.getlist("item")}
        if request.form.get("do") == "protect":
            return rendering.page("selection_protect.html", periods=_PERIODS, **values)
        preview = bulk_deletions.preview(_selectors(repository, items))
        impact = DeletionImpact.of(preview)
        return rendering.page(
            "selection_delete.html", preview=preview, impact=impact, is_dry=wiring.verdicts.is_dry(), **values
        )

    @pages.post("/selection/delete")
    def selection_delete() -> Response:
        repository = inventory.known(request.form.get("repository", ""))
        is_forced = request.form.get("force") == "yes"
        deletion = bulk_deletions.delete(
            _selectors(repository, _items()), rendering.current_visitor().name, force=is_forced
        )
        results = _after(store, deletion)
        counts = Counter(status for _, status in results)
        title = ", ".join(f"{count} {status}" for status, count in sorted(counts.items()))
        return rendering.page("selection_result.html", repository=repository, results=results, title=title)

    @pages.post("/selection/protect")
    def selection_protect() -> Response:
        repository, tags = inventory.known(request.form.get("repository", "")), dict(_items())
        user, period = rendering.current_visitor().name, request.form.get("for", "")
        if period == "end":
            count = end_protection(store, dispatch, repository, tags, by=user)
            ended = f"{repository}: the protection of {spell_count(count, 'image')} has ended"
            return rendering.redirect_back(f"{ended}; from now on the policy decides.")
        if not period.isascii() or not period.isdigit() or int(period) not in _PERIODS:
            raise ConfigurationError("choose for how long the images are protected")
        protection = protect(store, dispatch, repository, tags, int(period), by=user)
        return rendering.redirect_back(_protected(repository, protection), failed=bool(protection.moved))


def _protected(repository: str, protection: Protection) -> str:
    moved = f" These tags now point at another image, which is not protected: {protection.moved}."
    images, tags = spell_count(protection.images, "image"), spell_count(protection.tags, "tag")
    return f"{repository}: {images} of {tags} protected until {protection.until}." + moved * bool(protection.moved)


def _items() -> tuple[tuple[str, str], ...]:
    """Return (tag, digest that the user saw there) of each selected tag.

    Raises:
        ConfigurationError: nothing is selected, or something that is no tag.
    """
    items = [value.partition("@")[::2] for value in dict.fromkeys(request.form.getlist("item"))]
    if not items:
        raise ConfigurationError("no tag is selected: tick at least one")
    if len(items) > _MOST:
        raise ConfigurationError(f"more than {_MOST} tags are selected: use `pushprune rm` with a pattern instead")
    if not all(is_tag(tag) and is_digest(digest) for tag, digest in items):
        raise ConfigurationError("the selection names something that is not a tag: open the repository again")
    return tuple((tag, digest) for tag, digest in items)


def _selectors(repository: str, items: Iterable[tuple[str, str]]) -> Sequence[TagSelector]:
    return [TagSelector(repository, tag, seen=digest) for tag, digest in items]


def _after(store: Store, deletion: BulkDeletion) -> Sequence[tuple[ItemResult, str]]:
    """Return each result with its status in words. Wait a moment for the workers, who delete at once as a rule."""
    end_s = time.monotonic() + _PATIENCE_S
    while (left := deletion_progress(store, deletion.requests).left) and time.monotonic() < end_s:
        time.sleep(_LOOK_S)
    rejected = {verdict.tag.name: reason for _, verdict, reason in not_deleted(store, deletion.requests)}
    results = []
    for result in deletion.results:
        if result.error:
            results.append((result, "kept"))
        elif left:
            results.append((result, "queued"))
        else:
            results.append((result, "kept" if result.tag in rejected else "deleted"))
    return results
