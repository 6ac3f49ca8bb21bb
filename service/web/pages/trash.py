"""The trash page: deleted images of all repositories; restore one, or several with one confirmation."""

from collections.abc import Sequence
from typing import get_args

from flask import Blueprint, Response, request

from service.collect.garbage import restorable_until
from service.collect.status import next_ms
from service.domain.errors import ConfigurationError
from service.domain.oci.names import is_digest, is_repository, is_tag
from service.registry import Registry
from service.restore.bulk_restore import RestoreTarget, restore_each
from service.restore.restore import Restore
from service.restore.trash_listing import TrashedImage, TrashOrder, list_trash
from service.settings import Settings
from service.store import Store
from service.web.pages import rendering

NAME = "Trash"

_KEYS = ("repository", "reason", "order", "at", "after", "select")
_ORDERS: tuple[TrashOrder, ...] = get_args(TrashOrder)
_PAGE = 100
_MOST = 1000
# Only a preview: what could not be checked in this time is restored, or refused, nevertheless.
_PREVIEW_S = 5.0


def add(pages: Blueprint, store: Store, restore: Restore, registry: Registry, settings: Settings) -> None:
    """Add the page, its panel and its forms."""

    @pages.get("/trash")
    def trash() -> Response:
        return rendering.page("trash.html", asked=rendering.query(*_KEYS))

    @pages.get("/panels/trash/list")
    def trash_list() -> Response:
        asked = rendering.query(*_KEYS)
        order: TrashOrder = rendering.choice("order", _ORDERS, "-deleted")
        place = rendering.place(is_text=order.endswith("repository"))
        listing = list_trash(store, rendering.matcher("repository"), asked.get("reason", ""), order, place, _PAGE)
        images = [(row.repository, row.image.digest, row.image.at_us) for row in listing.page.rows]
        ends_us = restorable_until(store, settings.gc, settings.history.trash, images)
        return rendering.panel(
            "trash_list.html",
            "Trash",
            listing=listing,
            rows=[(_item(row), row, end_us) for row, end_us in zip(listing.page.rows, ends_us, strict=True)],
            order=order,
            asked=rendering.without(asked, "at", "after", "select"),
            place={key: asked[key] for key in ("at", "after") if key in asked},
            is_selected="select" in asked,
            is_online=settings.gc.collector == "online",
            next_ms=next_ms(registry, settings.gc),
        )

    @pages.post("/trash/confirm")
    def trash_confirm() -> Response:
        """Show which of the selected images can be restored. Nothing is changed yet."""
        user = rendering.current_visitor().name
        checked = restore_each(restore, _targets(), user, dry_run=True, patience_s=_PREVIEW_S)
        return rendering.page(
            "trash_confirm.html",
            results=[entry.item for entry in checked],
            refused=sum(entry.item.status == "refused" for entry in checked),
            items=_items(),
        )

    @pages.post("/trash/restore")
    def trash_restore() -> Response:
        restored = restore_each(restore, _targets(), rendering.current_visitor().name)
        count = sum(entry.restored is not None for entry in restored)
        return rendering.page("trash_result.html", results=restored, count=count)


def _item(row: TrashedImage) -> str:
    """Return the value of an image in a form. No name of a repository or a tag has a space."""
    return f"{row.repository} {row.image.digest} {row.image.tag}"


def _items() -> Sequence[str]:
    """Return the image whose button was used, or the selected images.

    Raises:
        ConfigurationError: nothing is selected.
    """
    items = list(dict.fromkeys(request.form.getlist("only") or request.form.getlist("item")))
    if not items:
        raise ConfigurationError("no image is selected: tick at least one")
    if len(items) > _MOST:
        raise ConfigurationError(f"more than {_MOST} images are selected: restore fewer at once")
    return items


def _targets() -> Sequence[RestoreTarget]:
    targets = []
    for item in _items():
        repository, digest, tag = (*item.split(" "), "", "")[:3]
        if not is_repository(repository) or not is_digest(digest) or (tag and not is_tag(tag)):
            raise ConfigurationError("the selection names something that is no image: open the trash again")
        targets.append(RestoreTarget(repository, tag, digest))
    return targets
