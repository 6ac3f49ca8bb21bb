"""The overview tells what happens, and says so in one sentence where it cannot."""

import fakeredis
import pytest

from service.domain.collection.run import Run
from service.reports.usage import DiskUsage
from service.store import event_counts
from tests.support.edge import Edge, ServeEdge
from tests.support.makers import event
from tests.web.pages.browser import Browser


def test_the_page_is_there_without_a_word_from_redis(serve: ServeEdge, redis_server: fakeredis.FakeServer) -> None:
    edge = serve()
    redis_server.connected = False
    page = Browser(edge).text("/")
    assert 'hx-get="/panels/overview/now"' in page
    panel = Browser(edge).panel("/panels/overview/now")
    assert panel.status_code == 503
    assert "Redis does not answer" in panel.text
    assert "<html" not in panel.text


def test_what_happens_is_counted(edge: Edge) -> None:
    edge.heard(event(), event(tag="v2"), event(repository="shop/web"))
    text = Browser(edge).text("/panels/overview/now")
    assert "<dt>Images pushed</dt><dd>3</dd>" in text
    assert "no worker is running" in text
    edge.store.outbox.sign_of_life("w1", ("enforce", "delete", "reconcile"))
    assert "no worker" not in Browser(edge).text("/panels/overview/now")


@pytest.mark.parametrize(
    ("policy", "sentence"),
    [({"dry_run": True, "rules": []}, "Dry run (<code>dry_run</code>)"), (None, "There is no policy")],
)
def test_a_policy_that_deletes_nothing_is_said(serve: ServeEdge, policy: object, sentence: str) -> None:
    text = Browser(serve(policy=policy)).text("/panels/overview/now")
    assert sentence in text


def test_troubles_are_shown(edge: Edge) -> None:
    edge.store.outbox.note_trouble("doomed shop/api", "the registry refuses <b>")
    assert "the registry refuses &lt;b&gt;" in Browser(edge).text("/panels/overview/now")


def test_what_happened_stands_in_steps(edge: Edge) -> None:
    edge.heard(event(), event(tag="v2"))
    now_ms = edge.store.connection.now_ms()
    edge.store.collections.record(Run(now_ms - 10, now_ms, "done", "by hand", bytes_freed=2_000_000))
    edge.store.collections.record(Run(now_ms - 10, now_ms, "dry run", "by hand", bytes_freed=7_000_000))
    text = Browser(edge).text("/panels/overview/past?period=1h")
    assert text.count("<tr data-at=") in (61, 62)
    assert text.count('data-value="2"') == 1
    assert text.count('data-value="2000000"') == 1
    assert "7.0 MB" not in text


def test_an_unknown_period_is_a_day(edge: Edge) -> None:
    assert Browser(edge).text("/panels/overview/past?period=%3Cscript%3E").count("<tr data-at=") in (49, 50)


def test_a_tally_is_read_in_pieces_and_no_more_than_it_may(edge: Edge, monkeypatch: pytest.MonkeyPatch) -> None:
    edge.heard(*(event(tag=f"v{n}") for n in range(20)))
    monkeypatch.setattr(event_counts, "_AT_ONCE", 5)
    for at_most, counted, is_whole in ((100, 20, True), (10, 10, False)):
        messages = event_counts.EventCounts(edge.store.connection).since(0, 3_600_000, at_most)
        assert sum(of["push"] for of in messages.counts.values()) == counted
        assert messages.is_whole == is_whole


def test_tags_are_counted_and_every_layer_once(edge: Edge) -> None:
    edge.heard(event(tag="v1", blobs={"config": 10, "layer": 1000}), event(tag="v2", blobs={"c2": 20, "layer": 1000}))
    edge.heard(event(repository="shop/web", blobs={"c3": 70, "layer": 1000, "l3": 900}))
    text = Browser(edge).text("/panels/overview/size")
    assert ">2</a></dd>" in text
    assert "<dt>Tags</dt><dd>3</dd>" in text
    assert "<dd>2.0 kB</dd>" in text


def test_it_is_weighed_once_a_minute_and_not_for_long(edge: Edge) -> None:
    edge.heard(*(event(repository=f"r{number}", blobs={"config": 5}) for number in range(4)))
    times = iter([0, 0, 0.5, 1.5, 9, 9, 9, 69, *[69] * 9])
    disk_usage = DiskUsage(edge.wiring.inventory, lambda: next(times))
    first = disk_usage.current()
    assert (first.repositories, first.measured) == (4, 3)
    assert disk_usage.current() is first
    assert disk_usage.current().measured == 4


def test_what_was_counted_is_not_read_again_and_what_is_too_old_goes(edge: Edge) -> None:
    edge.heard(event(tag="v1"), event(tag="v2"))
    tallies, now_ms = edge.store.event_counts, edge.store.connection.now_ms()
    assert sum(of["push"] for of in tallies.since(now_ms - 60_000, 1000).counts.values()) == 2
    edge.redis.xtrim(edge.store.connection.keys.of("events"), maxlen=0, approximate=False)
    edge.heard(event(tag="v3"))
    assert sum(of["push"] for of in tallies.since(now_ms - 60_000, 1000).counts.values()) == 3
    assert tallies.since(now_ms + 60_000, 1000).counts == {}
    assert sum(of["push"] for of in tallies.since(now_ms - 60_000, 1000).counts.values()) == 1
