"""The activity page: events, decisions, deletions with their reasons, failures, and rejected events."""

import csv
import io
import json
import re
from collections.abc import Callable
from dataclasses import asdict, dataclass, fields
from typing import Any

from flask import Blueprint, Response, request

from service.answers.history import RecordedEvent
from service.doctor.health import recorded_troubles
from service.domain.errors import ConfigurationError
from service.domain.history.entry import Entry
from service.domain.oci.names import digest_prefix
from service.reports.activity import ACTIONS
from service.reports.inventory import Inventory
from service.store import Store
from service.web.pages import rendering

NAME = "Activity"

_PAGE = 100
_EXPORTED = 20_000
_REJECTED = 50
_TROUBLES = 100
_LONGEST = 256
_ID = re.compile(r"\d{1,19}-\d{1,19}", re.ASCII)
# A spreadsheet runs a cell that begins with one of these as a formula (OWASP, CSV injection). Some spreadsheets skip
# leading blanks and read full-width letters as the ASCII ones.
_FORMULA = ("=", "+", "-", "@", "\uff1d", "\uff0b", "\uff0d", "\uff20", "\t", "\r", "\n")
_SPLIT_BEFORE_A_FORMULA = re.compile(rf"[;,|\t](?= *[{''.join(map(re.escape, _FORMULA))}])")


@dataclass(frozen=True, slots=True)
class Filters:
    """Filters of the listing; "" matches everything.

    Attributes:
        before: the id of an entry; only older entries are listed.
    """

    repository: str
    tag: str
    digest: str
    action: str
    who: str
    before: str


def add(pages: Blueprint, store: Store, inventory: Inventory) -> None:
    @pages.get("/activity")
    def activity() -> Response:
        return rendering.page("activity.html", filters=_filters(), asked=_asked(), actions=ACTIONS)

    @pages.get("/panels/activity/entries")
    def activity_entries() -> Response:
        filters = _filters()
        listed = inventory.entries(*_wanted(inventory, filters), filters.before or None, _PAGE)
        asked = {name: value for name, value in _asked().items() if name != "before"}
        values = {"history": listed, "asked": asked, "actions": ACTIONS, "filters": filters}
        return rendering.panel("activity_entries.html", "Events", **values)

    @pages.get("/panels/activity/rejected")
    def activity_rejected() -> Response:
        rejected = inventory.rejected(_REJECTED)
        return rendering.panel("activity_rejected.html", "Rejected events", rejected=rejected)

    @pages.get("/panels/activity/troubles")
    def activity_troubles() -> Response:
        values = {"troubles": recorded_troubles(store), "most": _TROUBLES}
        return rendering.panel("activity_troubles.html", "Open problems", **values)

    @pages.get("/activity.csv")
    def activity_csv() -> Response:
        text = io.StringIO()
        rows = csv.writer(text)
        rows.writerow(RecordedEvent.model_fields)
        rows.writerows([_harmless(str(value)) for value in event.values()] for event in _exported(inventory))
        return _file(text.getvalue(), "text/csv", "activity.csv")

    @pages.get("/activity.json")
    def activity_json() -> Response:
        text = json.dumps(_exported(inventory))
        return _file(text, "application/json", "activity.json")


def _filters() -> Filters:
    asked = {field.name: request.args.get(field.name, "").strip()[:_LONGEST] for field in fields(Filters)}
    if not _ID.fullmatch(asked["before"]):
        asked["before"] = ""
    return Filters(**asked)


def _asked() -> dict[str, str]:
    return {name: value for name, value in asdict(_filters()).items() if value}


def _wanted(inventory: Inventory, filters: Filters) -> tuple[str | None, Callable[[Entry], bool]]:
    """Return the repository whose history is read (None: all repositories), and the predicate for its entries."""
    matches = rendering.matcher("repository")
    digest = digest_prefix(filters.digest)
    if filters.digest and not digest:
        raise ConfigurationError("digest: write at least its first 8 characters, such as sha256:ab12cd34")
    is_known = bool(filters.repository) and inventory.is_known(filters.repository)
    repository = filters.repository if is_known else None

    def wanted(entry: Entry) -> bool:
        return (
            (repository is not None or matches(entry.repository))
            and filters.tag in ("", entry.tag)
            and entry.digest.startswith(digest)
            and filters.action in ("", entry.action)
            and (filters.who in entry.actor or filters.who in entry.useragent or filters.who in entry.address)
        )

    return repository, wanted


def _exported(inventory: Inventory) -> list[dict[str, Any]]:
    filters = _filters()
    entries = inventory.entries(*_wanted(inventory, filters), filters.before or None, _EXPORTED).entries
    return [RecordedEvent.model_validate(entry).model_dump(mode="json") for entry in entries]


def _harmless(cell: str) -> str:
    """Return the cell with an apostrophe before each part that a spreadsheet could run as a formula."""
    # In many countries a spreadsheet also splits lines at semicolons or tabs, so one cell may become several.
    cell = _SPLIT_BEFORE_A_FORMULA.sub(r"\g<0>'", cell)
    return f"'{cell}" if cell.lstrip(" ").startswith(_FORMULA) else cell


def _file(text: str, kind: str, name: str) -> Response:
    response = Response(text, mimetype=kind)
    response.headers["Content-Disposition"] = f"attachment; filename={name}"
    return response
