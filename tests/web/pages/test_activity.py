"""Activity: recorded events, filtered by the address, and downloaded as a file."""

import csv
import io
import json
import re

import pytest

from service.answers.history import RecordedEvent
from service.domain.history.entry import ACTIONS
from tests.support.edge import Edge
from tests.support.makers import event
from tests.web.pages.browser import Browser


@pytest.fixture
def busy(edge: Edge) -> Edge:
    edge.heard(
        event(tag="v1", actor="alice", at=1),
        event(tag="v2", actor="=cmd()", at=2),
        event(repository="shop/web", tag="v1", useragent="skopeo/1", at=3),
        event("delete", tag="v1", actor="bob", at=4),
    )
    return edge


@pytest.mark.parametrize(
    ("query", "count"),
    [
        ("", 4), ("repository=shop/web", 1), ("repository=shop", 4), ("repository=shop/*", 4), ("repository=x", 0),
        ("action=delete", 1), ("tag=v1", 3), ("who=skopeo", 1), ("who=bob&action=push", 0), ("before=0-1", 0),
        ("before=nonsense", 4),
    ],
)  # fmt: skip
def test_the_filters_stand_in_the_address(busy: Edge, query: str, count: int) -> None:
    text = Browser(busy).text(f"/panels/activity/entries?{query}")
    assert text.count("<tr>") == (count + 1 if count else 0)


def test_the_oldest_page_says_that_older_events_were_dropped(busy: Edge) -> None:
    assert "were dropped" not in Browser(busy).text("/panels/activity/entries")
    busy.redis.xtrim(busy.store.connection.keys.of("events"), maxlen=2, approximate=False)
    assert "Older events were dropped: history.events keeps" in Browser(busy).text("/panels/activity/entries")


def test_the_page_hands_its_filters_on(busy: Edge) -> None:
    page = Browser(busy).text("/activity?repository=shop%2Fweb&action=push&nonsense=1")
    assert 'hx-get="/panels/activity/entries?repository=shop/web&amp;action=push"' in page
    assert 'href="/activity.csv?repository=shop/web&amp;action=push"' in page
    assert '<option value="push" selected>' in page


def test_a_wrong_filter_is_refused_in_one_sentence(busy: Edge) -> None:
    assert "is no glob" in Browser(busy).panel("/panels/activity/entries?repository=!x*").text


def test_older_entries_follow_page_by_page(edge: Edge) -> None:
    edge.heard(*(event(tag=f"t{number:03}", at=number) for number in range(150)))
    browser = Browser(edge)
    first = browser.text("/panels/activity/entries?action=push")
    assert first.count("<tr>") == 101
    older = first.split('<a class="button" href="/activity')[1].split('"')[0].replace("&amp;", "&")
    assert "action=push" in older
    rest = browser.text(f"/panels/activity/entries{older}")
    assert rest.count("<tr>") == 51
    assert "Older events</a>" not in rest


def test_all_matching_events_are_downloaded_as_json(busy: Edge) -> None:
    entries = json.loads(Browser(busy).get("/activity.json?action=push").data)
    assert [entry["tag"] for entry in entries] == ["v1", "v2", "v1"]
    assert entries[0].keys() == RecordedEvent.model_fields.keys()


def test_no_cell_of_the_csv_is_a_formula(busy: Edge) -> None:
    response = Browser(busy).get("/activity.csv?tag=v2")
    (row,) = csv.DictReader(io.StringIO(response.text))
    assert row["actor"] == "'=cmd()"
    assert response.headers["Content-Disposition"] == "attachment; filename=activity.csv"


@pytest.mark.parametrize("actor", ["@x", "+1", "\n=x()", " =x()", "\uff1dx()", "\tx"])
def test_however_a_formula_begins_it_is_none(edge: Edge, actor: str) -> None:
    edge.heard(event(actor=actor))
    (row,) = csv.DictReader(io.StringIO(Browser(edge).get("/activity.csv").data.decode(), newline=""))
    assert row["actor"] == f"'{actor}"


@pytest.mark.parametrize(
    ("actor", "shown"),
    [("x;=1+1", "x;'=1+1"), ("x, @a", "x,' @a"), ("x|-1", "x|'-1"), ("x\t\t=a", "x\t'\t'=a"), ("x;y-1", "x;y-1")],
)
def test_a_spreadsheet_that_splits_cells_elsewhere_finds_no_formula(edge: Edge, actor: str, shown: str) -> None:
    edge.heard(event(actor=actor))
    (row,) = csv.DictReader(io.StringIO(Browser(edge).get("/activity.csv").data.decode(), newline=""))
    assert row["actor"] == shown


def test_failures_that_still_wait_for_an_operator_are_shown(edge: Edge) -> None:
    browser = Browser(edge)
    assert "No open problems" in browser.text("/panels/activity/troubles")
    edge.store.outbox.note_trouble("doomed shop/api", "the registry refuses <b>")
    text = browser.text("/panels/activity/troubles")
    assert "<bdi>doomed shop/api</bdi>" in text
    assert "the registry refuses &lt;b&gt;" in text
    assert 'hx-get="/panels/activity/troubles"' in browser.text("/activity")


def test_a_rejected_event_is_shown_with_the_reason(edge: Edge) -> None:
    edge.heard({"id": "1", "action": "push", "target": {"repository": "<b>"}})
    text = Browser(edge).text("/panels/activity/rejected")
    assert "&lt;b&gt;" in text
    assert text.count("<tr>") == 2


def test_every_documented_action_can_be_chosen(edge: Edge) -> None:
    offered = re.findall(r'<option value="([^"]+)"', Browser(edge).text("/activity"))
    assert set(offered) == set(ACTIONS)
    field = RecordedEvent.model_fields["action"].description or ""
    assert [action for action, meaning in ACTIONS.items() if f"{action}: {meaning}" not in field] == []
