"""The overview shows the state of the system, or says in one sentence why it cannot."""

import re

import fakeredis
import pytest

from service.domain.collection.run import Run
from service.domain.finding import error
from service.domain.usage import Usage
from service.store import event_counts
from tests.support.edge import Edge, ServeEdge
from tests.support.makers import event
from tests.web.pages.browser import Browser

ALL = ("enforce", "delete", "reconcile")


def needs(text: str) -> list[tuple[str, str, str]]:
    """Return (kind, component, link) of each thing that needs an operator."""
    return re.findall(r'<li><span class="status (\w+)">(\w+)</span>.*?href="([^"]+)"', text)


def test_the_page_is_there_without_a_word_from_redis(serve: ServeEdge, redis_server: fakeredis.FakeServer) -> None:
    edge = serve()
    redis_server.connected = False
    page = Browser(edge).text("/")
    assert 'hx-get="/panels/overview/now"' in page
    panel = Browser(edge).panel("/panels/overview/now")
    assert panel.status_code == 503
    assert needs(panel.text) == [("fail", "Redis", "/health")]
    assert "Redis does not answer" in panel.text
    assert "<html" not in panel.text


def test_a_line_says_that_all_is_good_or_what_needs_an_operator(serve: ServeEdge) -> None:
    edge = serve(registry={"url": "http://127.0.0.1:1"})
    outbox = edge.store.outbox
    outbox.sign_of_life("w1", ALL)
    text = Browser(edge).text("/panels/overview/now")
    assert "All good" in text
    assert needs(text) == []
    edge.heard({"id": "x", "action": "push"})
    outbox.note_trouble("slow answers", "9 of 10 answers took more than 2 s")
    outbox.note_trouble("registry", "the registry cannot be reached")
    outbox.note_trouble("lost shop/api:v1", "deleted although it was pushed")
    outbox.note_trouble("doomed shop/web", "the registry refuses <b>")
    text = Browser(edge).text("/panels/overview/now")
    assert "All good" not in text
    assert "5 things need your attention" in text
    assert "the registry refuses &lt;b&gt;" in text
    assert needs(text) == [
        ("fail", "Registry", "/health"),
        ("fail", "Deletions", "/repository/shop/web"),
        ("fail", "Deletions", "/tag/shop/api:v1"),
        ("warn", "Registry", "/health"),
        ("warn", "Notifications", "/activity#rejected"),
    ]


def test_tags_found_by_a_comparison_are_no_event_of_the_registry(edge: Edge) -> None:
    edge.store.outbox.sign_of_life("w1", ALL)
    edge.redis.xadd("pushprune:events", {"repository": "shop/api", "action": "adopted", "tag": "v1"})
    browser = Browser(edge)
    assert "no events received yet" in browser.text("/panels/overview/now")
    edge.heard(event())
    assert "last event" in browser.text("/panels/overview/now")


def test_an_error_of_the_last_check_needs_an_operator_and_a_missing_worker_does_too(edge: Edge) -> None:
    findings = (error("deletes", "the registry has deletes disabled", "storage: {delete: {enabled: true}}"),)
    edge.store.doctor_reports.keep(findings, "alice")
    text = Browser(edge).text("/panels/overview/now")
    assert needs(text) == [("fail", "Workers", "/health"), ("fail", "Registry", "/health#diagnostics")]
    assert "the last check found: the registry has deletes disabled" in text


def test_the_overview_shows_five_figures(edge: Edge) -> None:
    edge.heard(event(), event(tag="v2"), event(repository="shop/web"))
    now_ms = edge.store.connection.now_ms()
    day_ms = 86_400_000
    for ended_ms, freed in ((now_ms, 2_000_000), (now_ms - 8 * day_ms, 9_000_000)):
        edge.store.collection_runs.record(Run(ended_ms - 10, ended_ms, "done", "by hand", bytes_freed=freed))
    for at_ms, size in ((now_ms - 2 * day_ms, 3000), (now_ms, 5000)):
        fields = {"size": size, "shared": 0, "other": 0, "unknown": 0, "repositories": 2, "prefix shop": size}
        edge.redis.xadd("pushprune:usage", fields, id=f"{at_ms}-0")
    edge.store.usage.note(Usage(now_ms + 1, 5000, {"shop": 5000}, repositories=2), hourly=False)
    text = re.sub(r"<[^>]+>", " ", Browser(edge).text("/panels/overview/figures"))
    sentence = (
        "Storage used 5.0 kB +2.0 kB in 2d Freed in 7 days 2.0 MB by garbage collection Deleted in 24 h 0 3 pushed "
        "Tags 3 in 2 repositories Next collection – no schedule"
    )
    assert " ".join(text.split()) == sentence


def test_the_storage_is_drawn_by_prefix_from_the_second_record_on(edge: Edge) -> None:
    assert "Not measured yet" in Browser(edge).text("/panels/overview/storage")
    now_ms = edge.store.connection.now_ms()
    edge.store.usage.note(Usage(now_ms, 5000, {"shop": 4000, "<b>": 1000}), hourly=False)
    text = Browser(edge).text("/panels/overview/storage")
    assert "<path" not in text
    assert "&lt;b&gt;</bdi> <strong>1.0 kB" in text
    fields = {"size": 5000, "shared": 0, "other": 0, "unknown": 0, "repositories": 2, "prefix shop": 5000}
    edge.redis.xadd("pushprune:usage", fields, id=f"{now_ms - 7_200_000}-0")
    text = Browser(edge).text("/panels/overview/storage")
    assert text.count("<path class=") == 2


@pytest.mark.parametrize(
    ("policy", "sentence"),
    [({"dry_run": True, "rules": []}, "Dry run (<code>dry_run</code>)"), (None, "There is no policy")],
)
def test_a_policy_that_deletes_nothing_is_reported(serve: ServeEdge, policy: object, sentence: str) -> None:
    text = Browser(serve(policy=policy)).text("/panels/overview/now")
    assert sentence in text


def test_no_deletion_is_expected_without_a_policy(serve: ServeEdge) -> None:
    assert "There is no policy." in Browser(serve(policy=None)).text("/panels/overview/next")


def rows(text: str) -> list[list[str]]:
    """Return the cells of the table beside the chart, without its times."""
    return [re.findall(r'<td class="number">([^<]*)</td>', row) for row in text.split("<tbody>")[1].split("</tr>")[:-1]]


def test_pushes_and_deletions_are_drawn_in_steps_and_listed_in_a_table(edge: Edge) -> None:
    assert "Nothing happened in this period" in Browser(edge).text("/panels/overview/past")
    edge.heard(event(), event(tag="v2"))
    now_ms = edge.store.connection.now_ms()
    edge.store.collection_runs.record(Run(now_ms - 10, now_ms, "done", "by hand", bytes_freed=2_000_000))
    edge.store.collection_runs.record(Run(now_ms - 10, now_ms, "failed", "by hand", message="exit 1"))
    edge.store.collection_runs.record(Run(now_ms - 10, now_ms, "dry run", "by hand", bytes_freed=7_000_000))
    text = Browser(edge).text("/panels/overview/past?period=24h")
    assert rows(text)[0] == ["2", "0", "2, 1 failed", "2.0 MB"]
    assert len(rows(text)) == 48
    assert text.count('<rect class="series-1"') == 2  # the bar, and its key in the legend
    assert text.count('class="mark fail"') == 1
    assert "7.0 MB" not in text


def test_a_chart_says_if_events_of_its_period_were_dropped(edge: Edge) -> None:
    notice = "The chart shows only the most recent events"
    edge.heard(event(tag="v1"), event(tag="v2"), event(tag="v3"))
    assert notice not in Browser(edge).text("/panels/overview/past")
    key = edge.store.connection.keys.of("events")
    edge.redis.xtrim(key, maxlen=2, approximate=False)
    assert notice in Browser(edge).text("/panels/overview/past")
    edge.redis.delete(key)
    now_ms = edge.store.connection.now_ms()
    for at_ms in (1, now_ms - 2 * 86_400_000, now_ms):
        edge.redis.xadd(key, {"action": "push"}, id=f"{at_ms}-0")
    edge.redis.xtrim(key, maxlen=2, approximate=False)
    assert notice not in Browser(edge).text("/panels/overview/past"), "that was before the day"
    assert notice in Browser(edge).text("/panels/overview/past?period=7d")


def test_an_unknown_period_is_a_day(edge: Edge) -> None:
    edge.heard(event())
    assert len(rows(Browser(edge).text("/panels/overview/past?period=%3Cscript%3E"))) == 48


def test_a_tally_is_read_in_pieces_and_no_more_than_it_may(edge: Edge, monkeypatch: pytest.MonkeyPatch) -> None:
    edge.heard(*(event(tag=f"v{n}") for n in range(20)))
    monkeypatch.setattr(event_counts, "_AT_ONCE", 5)
    for at_most, counted, is_whole in ((100, 20, True), (10, 10, False)):
        messages = event_counts.EventCounts(edge.store.connection).since(0, 3_600_000, at_most)
        assert sum(of["push"] for of in messages.counts.values()) == counted
        assert messages.is_whole == is_whole


def test_counted_events_are_not_read_again_and_old_counts_are_dropped(edge: Edge) -> None:
    edge.heard(event(tag="v1"), event(tag="v2"))
    tallies, now_ms = edge.store.event_counts, edge.store.connection.now_ms()
    assert sum(of["push"] for of in tallies.since(now_ms - 60_000, 1000).counts.values()) == 2
    edge.redis.xtrim(edge.store.connection.keys.of("events"), maxlen=0, approximate=False)
    edge.heard(event(tag="v3"))
    assert sum(of["push"] for of in tallies.since(now_ms - 60_000, 1000).counts.values()) == 3
    assert tallies.since(now_ms + 60_000, 1000).counts == {}
    assert sum(of["push"] for of in tallies.since(now_ms - 60_000, 1000).counts.values()) == 1
