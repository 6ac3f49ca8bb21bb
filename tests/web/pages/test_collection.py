"""The collection page: the running collection, past ones, and the request for another."""

import gzip
import re
import time
from pathlib import Path

import pytest

from service.domain.collection.garbage import Garbage, GarbageStage, GarbageStep, RepositoryGarbage
from service.domain.collection.leftovers import Leftover, LeftoverKind
from service.domain.collection.run import SWEEPING, UNPROTECTED, CollectionStage, Rehearsal, Run
from tests.support.edge import Edge, ServeEdge
from tests.support.makers import digest_of
from tests.web.pages.browser import Browser


@pytest.fixture
def edge(serve: ServeEdge) -> Edge:
    return serve(gc={"command": "registry garbage-collect config.yml"})


@pytest.mark.parametrize(("form", "asked"), [({}, "requested manually (dashboard)"), ({"dry_run": "yes"}, None)])
def test_a_collection_is_requested_and_names_the_user(edge: Edge, form: dict[str, str], asked: str | None) -> None:
    browser = Browser(edge)
    answer = browser.said(browser.post("/collection", back="/collection", **form))
    assert "requested manually (dashboard)" in answer
    assert edge.sent == [("collect",)]
    assert edge.store.collections.requested() == asked
    assert (edge.store.collections.rehearsal_requested() is None) == (asked is not None)
    assert "ueued</span>: <bdi>" in browser.text("/panels/collection/now")


def test_the_queued_one_says_what_it_makes_permanent_and_can_be_cancelled(edge: Edge) -> None:
    browser = Browser(edge)
    edge.store.collections.request("requested manually (alice)")
    text = browser.text("/panels/collection/now")
    assert "<strong>no deletion becomes permanent</strong> when it deletes blobs." in text
    assert "Cancel the collection" in text
    answer = browser.said(browser.post("/collection/cancel", back="/collection"))
    assert "Cancelled: requested manually (alice)" in answer
    assert edge.store.collections.requested() is None
    assert "no collection is queued" in browser.said(browser.post("/collection/cancel", back="/collection"))


def test_the_page_has_no_button_if_no_collection_can_run(serve: ServeEdge) -> None:
    browser = Browser(serve())
    assert "<form" not in browser.text("/collection").split("<main")[1]
    assert "gc.command is not set" in browser.said(browser.post("/collection"))


def test_an_online_collection_makes_only_old_deletions_permanent(serve: ServeEdge, tmp_path: Path) -> None:
    registry = {"url": "http://127.0.0.1:1", "debug_url": "http://127.0.0.1:1"}
    edge = serve(gc={"collector": "online", "gate": "proxy"}, storage={"path": tmp_path}, registry=registry)
    connection = edge.store.connection
    connection.client.zadd(connection.keys.of("trashed"), {"a sha256:1": connection.now_us()})
    browser = Browser(edge)
    assert "When it deletes blobs, no deletion becomes permanent." in browser.text("/collection")
    assert "Restorable" not in browser.text("/panels/collection/now")


def test_the_one_under_way_is_shown(edge: Edge) -> None:
    edge.store.collections.publish_progress(CollectionStage(SWEEPING, 1, 1, "schedule"))
    edge.store.collections.request("schedule")
    text = Browser(edge).text("/panels/collection/now")
    assert "Running</span>: <strong><bdi>deleting blobs</bdi></strong>, begun" in text
    assert "Cancel" not in text, "it deletes already"
    assert '<a href="/collection"><bdi>deleting blobs</bdi></a>' in Browser(edge).text("/panels/overview/figures")


def test_data_in_quarantine_is_shown_with_the_way_back(edge: Edge) -> None:
    edge.store.collection_runs.record(
        Run(1, 5, "done", "x", quarantined=3, quarantined_bytes=5_000_000, quarantined_until_ms=1_800_000_000_000)
    )
    edge.store.collection_runs.record(Run(6, 9, "undeletion", "an undeletion", note="sha256:aa came back"))
    assert "In quarantine" not in Browser(edge).text("/panels/collection/now"), "the last run left nothing there"
    edge.store.collection_runs.record(
        Run(10, 11, "done", "x", quarantined=3, quarantined_bytes=5_000_000, quarantined_until_ms=1_800_000_000_000)
    )
    text = Browser(edge).text("/panels/collection/now")
    assert re.search(r"In quarantine</dt>\s*<dd[^>]*>5\.0 MB", text)
    assert 'until <time datetime="2027-01-15T08:00:00' in text
    assert "to undelete: pushprune gc --undelete" in text
    assert "undeletion" in Browser(edge).text("/panels/collection/runs")


def test_past_collections_are_shown_with_their_figures(edge: Edge) -> None:
    edge.store.collection_runs.record(
        Run(1000, 3500, "failed", "schedule", message="exit 1", blobs=1234, bytes_freed=5_000)
    )
    text = Browser(edge).text("/panels/collection/runs")
    for item in ("2.5 s", "1\u202f234 blobs", "5.0 kB", "<bdi>exit 1</bdi>", "1 failed"):
        assert item in text


def test_the_result_of_a_dry_run_is_shown(edge: Edge) -> None:
    edge.store.collections.note_rehearsal(Rehearsal(1000, ((digest_of("a"), 7_000), (digest_of("b"), None))))
    text = Browser(edge).text("/panels/collection/rehearsal")
    assert "2 blobs would be deleted, 7.0 kB and 1 of unknown size" in text
    assert digest_of("a") in text


def test_the_share_of_the_running_stage_is_shown(edge: Edge) -> None:
    stage = CollectionStage(SWEEPING, 1, 1, "scheduled", 250, 1000, 7_000_000, 28_000_000)
    edge.store.collections.publish_progress(stage)
    text = Browser(edge).text("/panels/collection/now")
    for item in (
        '<progress aria-label="deleting blobs" value="25" max="100">',
        "250 of 1\u202f000",
        "7.0 MB of 28.0 MB",
    ):
        assert item in text


def test_garbage_is_shown_by_age_and_by_repository(edge: Edge) -> None:
    shares = (RepositoryGarbage("shop/api", 3, 7_000_000), RepositoryGarbage("", 1, 900))
    hour_ms, now_ms = 3_600_000, time.time_ns() // 1_000_000
    steps = (
        GarbageStep(GarbageStage.UNLINKED, now_ms - 2 * hour_ms, 2, 6_000_000),
        GarbageStep(GarbageStage.QUARANTINED, now_ms - hour_ms, 2, 1_000_900),
    )
    assert "A dry run finds" in Browser(edge).text("/panels/collection/garbage")
    leftovers = (
        Leftover(LeftoverKind.UPLOAD, "shop/web", 3, 12_000_000, now_ms - 200 * hour_ms),
        Leftover(LeftoverKind.LINK, "shop/old", 4),
    )
    edge.store.garbage.note(Garbage(now_ms, shares, steps, leftovers))
    text = Browser(edge).text("/panels/collection/garbage")
    for item in ("shop/api", "a deleted repository", "7.0 MB", "unlinked", "in quarantine", "series-3", "series-4"):
        assert item in text
    for item in ("abandoned upload", "shop/web", "12.0 MB", "unused layer link", "shop/old"):
        assert item in text


def test_a_run_has_a_page_with_its_figures_and_what_was_printed(edge: Edge) -> None:
    past = edge.store.collection_runs
    for number in range(25):
        past.record(Run(number, number + 3000, "done", "schedule", 0, 5, 3, note="all is well"))
        past.keep_log(number, gzip.compress(f"of {number}\nerror: <no> luck\n".encode()))
    browser = Browser(edge)
    assert 'href="/collection/run/24"' in browser.text("/panels/collection/runs")
    assert 'hx-get="/panels/collection/run/24"' in browser.text("/collection/run/24")
    text = browser.text("/panels/collection/run/24")
    assert "<bdi>of 24</bdi>\n<bdi>error: &lt;no&gt; luck</bdi></pre>" in text
    assert text.count("error: &lt;no&gt; luck") == 2, "errors stand above the log"
    assert "3 blobs" in text
    assert "of 5</bdi>" in browser.text("/panels/collection/run/5")
    assert "the log was deleted" in browser.text("/panels/collection/run/4")
    assert browser.panel("/panels/collection/run/99").status_code == 404


@pytest.mark.parametrize("accepted", ["gzip", "identity"])
def test_the_whole_log_of_a_run_is_a_file(edge: Edge, accepted: str) -> None:
    edge.store.collection_runs.record(Run(1000, 3000, "done", "schedule"))
    edge.store.collection_runs.keep_log(1000, gzip.compress(b"one\ntwo\n"))
    response = edge.http.get("/collection/run/1000/log", headers={"Accept-Encoding": accepted})
    assert response.headers.get("Content-Encoding") == ("gzip" if accepted == "gzip" else None)
    assert (gzip.decompress(response.data) if accepted == "gzip" else response.data) == b"one\ntwo\n"
    assert 'attachment; filename="collection-1970-01-01T000001Z.log"' in response.headers["Content-Disposition"]
    assert edge.http.get("/collection/run/99/log").status_code == 404


def test_the_bytes_that_each_run_freed_are_drawn_and_a_missing_gate_is_reported_once(edge: Edge) -> None:
    browser = Browser(edge)
    for number, freed in enumerate((1_000_000, 4_000_000, None), 1):
        result = "done" if freed else "failed"
        note = f"{UNPROTECTED}; requested at night"
        edge.store.collection_runs.record(
            Run(number * 1000, number * 1000 + 9, result, "schedule", bytes_freed=freed, gate="none", note=note)
        )
    text = browser.text("/panels/collection/runs")
    heights = re.findall(r'<rect class="series-(\w+)"[^>]* height="([\d.]+)%"', text)
    assert heights == [("3", "25.0"), ("3", "100.0")]
    assert text.count('class="mark fail"') == 1
    assert "<span>4.0 MB</span>" in text
    assert text.count("requested at night") == 3
    assert "not blocked" not in text
    assert browser.text("/collection").count("not blocked during a collection") == 1


@pytest.mark.parametrize(
    ("gate", "is_kept", "is_named"), [("none", False, False), ("none", True, True), ("proxy", False, True)]
)
def test_a_gate_that_no_proxy_asks_is_named_only_if_a_problem_keeps_it_closed(
    serve: ServeEdge, gate: str, is_kept: bool, is_named: bool
) -> None:
    edge = serve(gc={"gate": gate})
    edge.store.gate.drain("t1", 1, "requested manually")
    if is_kept:
        edge.store.gate.close("t1")
        edge.store.gate.keep("t1", "the registry has a cache")
    assert ("The write gate is" in Browser(edge).text("/panels/collection/now")) == is_named
