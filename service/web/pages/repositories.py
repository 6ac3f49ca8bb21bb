"""The list of repositories: searched by name, sorted, and browsed by path."""

from collections.abc import Callable

from flask import Blueprint, Response, request

from service.clock import now_us
from service.reports.inventory import Inventory
from service.reports.repository_listing import RepositoryOrder, RepositoryStatus
from service.reports.usage import current_usage
from service.reports.verdicts import Verdicts
from service.store import Store
from service.web.pages import rendering
from service.web.pages.treemap import treemap

NAME = "Repositories"

_ORDERS: dict[RepositoryOrder, str] = {
    "name": "by name, A to Z",
    "-name": "by name, Z to A",
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
_STATUSES: dict[RepositoryStatus, str] = {"delete": "with tags to be deleted", "held": "needs approval"}
_SOON_US = 60_000_000
_PAGE = 100
_FOLDERS = 200
_LONGEST = 256
_KEYS = ("search", "order", "status", "under", "view", "at", "after")


def add(pages: Blueprint, store: Store, inventory: Inventory, verdicts: Verdicts) -> None:
    @pages.get("/repositories")
    def repositories() -> Response:
        return rendering.page("repositories.html", asked=rendering.query(*_KEYS), orders=_ORDERS, under=_under())

    @pages.get("/panels/repositories/list")
    def repositories_list() -> Response:
        order, under = _order(), _under()
        matches = _matcher(under)
        place = rendering.place(is_text=order.endswith("name"))
        status = rendering.choice("status", _STATUSES, None)
        rows = inventory.repositories.page(matches, order, place, _PAGE, status=status, under=under)
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


def _order() -> RepositoryOrder:
    return rendering.choice("order", _ORDERS, "name")


def _under() -> str:
    """Return the path whose repositories are listed, such as shop/; "" for all."""
    under = request.args.get("under", "")[:_LONGEST]
    return under if under.endswith("/") else ""


def _matcher(under: str) -> Callable[[str], bool]:
    matches = rendering.matcher("search")
    return (lambda name: name.startswith(under) and matches(name)) if under else matches
