"""The list of repositories: searched by name, sorted, and browsed by path."""

from collections.abc import Callable
from typing import get_args

from flask import Blueprint, Response, request

from service.clock import now_us
from service.domain.errors import ConfigurationError
from service.domain.page import Place
from service.domain.retention.selector import search_matcher
from service.reports.inventory import Inventory
from service.reports.repository_listing import RepositoryOrder, RepositoryStatus
from service.reports.usage import current_usage
from service.reports.verdicts import Verdicts
from service.store import Store
from service.web.pages import rendering
from service.web.pages.treemap import treemap

NAME = "Repositories"

_ORDERS: dict[RepositoryOrder, str] = {
    "name": "by name",
    "-name": "by name, backwards",
    "-pushed": "latest push first",
    "pushed": "oldest push first",
    "-tags": "most tags first",
    "tags": "fewest tags first",
    "-size": "largest first",
    "size": "smallest first",
    "-doomed": "most to be deleted first",
    "doomed": "fewest to be deleted first",
    "expires": "next deletion first",
    "-expires": "next deletion last",
}
_STATUSES: dict[RepositoryStatus, str] = {"delete": "with tags to be deleted", "held": "waiting for approval"}
_SOON_US = 60_000_000
_PAGE = 100
_FOLDERS = 200
_LONGEST = 256


def add(pages: Blueprint, store: Store, inventory: Inventory, verdicts: Verdicts) -> None:
    @pages.get("/repositories")
    def repositories() -> Response:
        return rendering.page("repositories.html", asked=rendering.query(*_KEYS), orders=_ORDERS, under=_under())

    @pages.get("/panels/repositories/list")
    def repositories_list() -> Response:
        order, under = _order(), _under()
        matches = _found(under)
        rows = inventory.repositories.page(matches, order, _place(order), _PAGE, status=_status(), under=under)
        asked, usage = rendering.query(*_KEYS), current_usage(store)
        steps = () if "search" in asked else inventory.repositories.folders(under, _FOLDERS)
        values = {"rows": rows, "asked": rendering.without(asked, "at", "after"), "steps": steps}
        return rendering.panel(
            "repositories_list.html",
            "Repositories",
            under=under,
            order=order,
            listing=rendering.listing("pages.repositories", "pages.repositories_list"),
            statuses=_STATUSES,
            place="after" in asked,
            is_dry=verdicts.is_dry(),
            total_bytes=usage.size_bytes if usage else 0,
            # A repository that is due within a minute is planned at once.
            now_us=now_us() + _SOON_US,
            map=treemap(inventory.repositories.largest(matches)) if asked.get("view") == "map" else None,
            **values,
        )


_KEYS = ("search", "order", "status", "under", "view", "at", "after")


def _order() -> RepositoryOrder:
    asked = request.args.get("order", "")
    return next((order for order in get_args(RepositoryOrder) if order == asked), "name")


def _status() -> RepositoryStatus | None:
    asked = request.args.get("status", "")
    return next((status for status in get_args(RepositoryStatus) if status == asked), None)


def _under() -> str:
    """Return the path whose repositories are listed, such as shop/; "" for all."""
    under = request.args.get("under", "")[:_LONGEST]
    return under if under.endswith("/") else ""


def _found(under: str) -> Callable[[str], bool]:
    try:
        matches = search_matcher(request.args.get("search", "").strip())
    except ValueError as error:
        raise ConfigurationError(f"search: {error}") from error
    return (lambda name: name.startswith(under) and matches(name)) if under else matches


def _place(order: RepositoryOrder) -> Place | None:
    return rendering.place(is_text=order.lstrip("-") == "name")
