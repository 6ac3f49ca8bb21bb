"""/metrics: figures out of Redis, as Prometheus reads them."""

import json
from pathlib import Path

import fakeredis
import pytest
import redis
from prometheus_client.parser import text_string_to_metric_families

from service import __version__
from service.domain.collection.run import STALE, SWEEPING, CollectionStage, Run
from service.domain.webhooks.event import WebhookEvent
from service.registry.exchange import agent_with
from service.store.webhooks import Look
from tests.conftest import keep_last
from tests.support.edge import Edge, ServeEdge
from tests.support.health import replace_file
from tests.support.makers import blob_event, envelope, event
from tests.support.metrics import fill
from tests.support.problem import problem

GONE = ("0.05", "0.1", "0.15", "0.25", "0.5", "1.0", "2.5", "5.0", "10.0", "60.0", "300.0", "+Inf")


def scrape(edge: Edge) -> dict[str, float]:
    """Every sample, by its name and labels as they are written, without the prefix."""
    response = edge.http.get("/metrics")
    assert response.status_code == 200, response.text
    assert response.mimetype == "text/plain"
    result = {}
    for family in text_string_to_metric_families(response.text):
        assert family.documentation
        for sample in family.samples:
            labels = ",".join(f'{name}="{value}"' for name, value in sample.labels.items())
            name = sample.name.removeprefix("pushprune_")
            assert name != sample.name
            result[f"{name}{{{labels}}}" if labels else name] = sample.value
    return result


def test_an_idle_service_has_every_figure(edge: Edge) -> None:
    assert scrape(edge) == {
        f'build_info{{version="{__version__}"}}': 1,
        'events_total{action="push"}': 0, 'events_total{action="pull"}': 0, 'events_total{action="mount"}': 0,
        'events_total{action="delete"}': 0, "rejected_total": 0, "duplicates_total": 0,
        "own_events_total": 0, "blob_events_total": 0, "untagged_forgotten_total": 0,
        "restored_total": 0, "healed_total": 0, "lost_total": 0,
        'backlog_repositories{queue="due"}': 0, 'backlog_repositories{queue="doomed"}': 0,
        'backlog_repositories{queue="healing"}': 0, "backlog_oldest_seconds": 0, "held_repositories": 0, "workers": 0,
        'queue_oldest_seconds{queue="due"}': 0, 'queue_oldest_seconds{queue="doomed"}': 0,
        'queue_oldest_seconds{queue="healing"}': 0, "restorable": 0, 'gate{state="open"}': 1,
        'gate{state="draining"}': 0, 'gate{state="closed"}': 0,
            'gate{state="claiming"}': 0, 'gate{state="manifests"}': 0, "reconcile_running": 0, "collection_queued": 0,
        'queue_workers{queue="enforce"}': 0, 'queue_workers{queue="delete"}': 0,
        'queue_workers{queue="reconcile"}': 0, "troubles": 1, "repositories": 0,
        "policy_in_force": 0, "policy_invalid": 0,
        'collections_total{result="done"}': 0, 'collections_total{result="failed"}': 0,
        'collections_total{result="postponed"}': 0, 'collections_total{result="dry run"}': 0,
            'collections_total{result="undeletion"}': 0,
        "collected_blobs_total": 0, "collected_bytes_total": 0, "collection_running": 0, "collection_stale_cache": 0,
        'plans_total{result="doomed"}': 0, 'plans_total{result="manual"}': 0, 'plans_total{result="dry_run"}': 0,
        'plans_total{result="held"}': 0, 'plans_total{result="none"}': 0, 'plans_total{result="stale"}': 0,
        'deletes_total{result="deleted"}': 0, 'deletes_total{result="untagged"}': 0,
        'deletes_total{result="spared"}': 0, 'deletes_total{result="vanished"}': 0,
        'failures_total{queue="due"}': 0, 'failures_total{queue="doomed"}': 0,
        **{f'push_to_deletion_seconds_bucket{{le="{end}"}}': 0 for end in GONE}, "push_to_deletion_seconds_count": 0,
        "push_to_deletion_seconds_sum": 0,
    }  # fmt: skip


def test_durations_are_reported_as_histograms(edge: Edge) -> None:
    for seconds in (0.12, 0.14, 0.7, 9999.0):
        edge.store.meter.time("push_to_deletion", "", seconds)
    edge.store.meter.time("registry_request", "HEAD 304", 0.003)
    edge.store.meter.time("gate_wait", "refused", 61.0)
    edge.store.meter.count("plans", "stale")
    result = scrape(edge)
    counts = [result[f'push_to_deletion_seconds_bucket{{le="{end}"}}'] for end in GONE]
    assert counts == [0, 0, 2, 2, 2, 3, 3, 3, 3, 3, 3, 4]
    assert (result["push_to_deletion_seconds_count"], result["push_to_deletion_seconds_sum"]) == (4, 9999.96)
    assert result['registry_request_seconds_count{method="HEAD",status="304"}'] == 1
    assert result['registry_request_seconds_bucket{le="0.0025",method="HEAD",status="304"}'] == 0
    assert result['registry_request_seconds_bucket{le="0.005",method="HEAD",status="304"}'] == 1
    assert result['gate_wait_seconds_sum{result="refused"}'] == 61
    assert result['plans_total{result="stale"}'] == 1


def test_reported_events_are_counted(edge: Edge) -> None:
    own = event(useragent=agent_with(edge.store.history.word()), tag="mine")
    edge.http.post(
        "/notifications", data=envelope(event(), event(), event(), blob_event("mount"), event("pull"), own, 5)
    )
    result = scrape(edge)
    assert result['events_total{action="push"}'] == 1
    assert (result['events_total{action="mount"}'], result["blob_events_total"]) == (0, 1)
    assert result['events_total{action="pull"}'] == 1
    assert (result["duplicates_total"], result["own_events_total"], result["rejected_total"]) == (2, 1, 1)
    assert (result["repositories"], result['backlog_repositories{queue="due"}']) == (1, 1)
    assert result["last_event_timestamp_seconds"] > 1_700_000_000
    assert "oldest_event_timestamp_seconds" not in result


def test_the_oldest_event_is_shown_once_older_ones_were_dropped(edge: Edge) -> None:
    edge.http.post("/notifications", data=envelope(event(), event(tag="v2")))
    key = edge.store.connection.keys.of("events")
    edge.redis.xtrim(key, maxlen=1, approximate=False)
    ((identifier, _),) = edge.redis.xrange(key)
    assert scrape(edge)["oldest_event_timestamp_seconds"] == int(identifier.partition("-")[0]) / 1000


def test_waiting_work_and_troubles_are_shown(edge: Edge) -> None:
    edge.store.outbox.sign_of_life("worker-1@host", ("enforce", "delete", "reconcile"))
    edge.store.outbox.note_trouble("due shop/api", "set storage.delete.enabled")
    edge.redis.zadd("pushprune:doomed", {"shop/api": 0, "shop/web": 0})
    edge.redis.zadd("pushprune:healing", {"shop/api": 0})
    edge.redis.hset("pushprune:counters", "deleted", 7)
    result = scrape(edge)
    assert (result["workers"], result['queue_workers{queue="enforce"}']) == (1, 1)
    assert result['deletes_total{result="deleted"}'] == 7
    assert result["troubles"] == 3, "the one noted, and work in two queues that is late"
    assert "registry_up" not in result, "there is none"
    assert result['backlog_repositories{queue="doomed"}'] == 2
    assert result['backlog_repositories{queue="healing"}'] == 1
    assert result["backlog_oldest_seconds"] > 1_700_000_000


def test_a_registry_that_is_away_is_shown(serve: ServeEdge) -> None:
    edge = serve(registry={"url": "http://127.0.0.1:1"})
    edge.store.outbox.sign_of_life("worker-1@host")
    assert scrape(edge)["registry_up"] == 1
    edge.store.outbox.note_trouble("registry", "it cannot be reached")
    assert scrape(edge)["registry_up"] == 0


def test_collections_are_counted_by_their_result(edge: Edge) -> None:
    runs = edge.store.collection_runs
    runs.record(
        Run(1000, 3500, "done", "scheduled", blobs=4, bytes_freed=900, unlinked=7, held_ms=250, quarantined_bytes=800)
    )
    runs.record(Run(4000, 5000, "failed", "scheduled", message="boom"))
    for _ in range(3):
        runs.record(Run(4000, 5000, "postponed", "scheduled", message="not now"), once=True)
    results = scrape(edge)
    counts = [results[f'collections_total{{result="{result}"}}'] for result in ("done", "failed", "postponed")]
    assert counts == [1, 1, 1], "what was said before is no new attempt"
    assert (results["collected_blobs_total"], results["collected_bytes_total"]) == (4, 900)
    assert (results["collection_last_success_timestamp_seconds"], results["collection_last_seconds"]) == (3.5, 2.5)
    names = ("collection_last_unlinked_blobs", "collection_last_hold_seconds", "collection_quarantine_bytes")
    assert [results[name] for name in names] == [7, 0.25, 800]


def test_a_collection_under_way_and_a_stale_cache_are_shown(edge: Edge) -> None:
    edge.store.collections.publish_progress(CollectionStage(SWEEPING, 1, 1, "scheduled"))
    edge.store.outbox.note_trouble(STALE, "the registry still claims …")
    result = scrape(edge)
    assert (result["collection_running"], result["collection_stale_cache"]) == (1, 1)


def test_a_plan_that_waits_is_counted(serve_over_valkey: ServeEdge) -> None:
    edge = serve_over_valkey(policy=keep_last(1, hold_over=10, hold_min=1))
    edge.heard(*(event(tag=f"v{number}", at=number) for number in (1, 2, 3)))
    history = edge.store.history
    assert history.commit(history.snapshot("shop/api"), edge.wiring.verdicts.plan("shop/api"), "held")
    assert scrape(edge)["held_repositories"] == 1


def test_every_web_process_reports_the_same_figures(serve: ServeEdge) -> None:
    first, other = serve(), serve()
    first.http.post("/notifications", data=envelope(event()))
    result, same = scrape(first), scrape(other)
    assert result['events_total{action="push"}'] == 1
    assert result | {"backlog_oldest_seconds": 0} == same | {"backlog_oldest_seconds": 0}


def test_the_policy_in_force_and_one_that_cannot_be_obeyed(serve: ServeEdge, tmp_path: Path) -> None:
    file = tmp_path / "policy.yaml"
    file.write_text("rules: [{keep: {last: 10}}]\n")
    edge = serve(policy=file)
    in_force = f'policy_info{{digest="{edge.wiring.policies.digest}"}}'
    result = scrape(edge)
    assert (result["policy_in_force"], result["policy_invalid"], result[in_force]) == (1, 0, 1)

    replace_file(file, "rules: 5\n")
    result = scrape(edge)
    assert (result["policy_in_force"], result["policy_invalid"], result[in_force]) == (1, 1, 1)


@pytest.mark.parametrize(
    "accept", ["", "text/plain; version=x", "application/openmetrics-text; version=a.b; escaping=<", "text/html", "é"]
)
def test_the_format_is_the_same_for_every_accept_header(edge: Edge, accept: str) -> None:
    response = edge.http.get("/metrics", headers={"Accept": accept})
    assert (response.status_code, response.content_type) == (200, "text/plain; version=0.0.4; charset=utf-8")


def test_without_redis_there_is_no_figure(serve: ServeEdge, no_redis: redis.Redis) -> None:
    assert problem(serve(client=no_redis).http.get("/metrics"))[0] == 503


def test_while_redis_is_full_there_is_no_figure_but_what_to_do(serve_over_valkey: ServeEdge) -> None:
    edge = serve_over_valkey()
    edge.redis.config_set("maxmemory", "1")
    try:
        status, detail = problem(edge.http.get("/metrics"))
    finally:
        edge.redis.config_set("maxmemory", "0")
    assert status == 503
    assert "its memory is full: raise its maxmemory" in detail


def test_metrics_are_served_again_once_redis_answers(edge: Edge, redis_server: fakeredis.FakeServer) -> None:
    redis_server.connected = False
    assert problem(edge.http.get("/metrics"))[0] == 503
    redis_server.connected = True
    assert scrape(edge)["repositories"] == 0


def test_deletions_are_counted_by_rule_and_as_manual(edge: Edge) -> None:
    edge.redis.hset(edge.store.connection.keys.of("counters"), mapping={"rule last": 4, "rule ": 2})
    result = scrape(edge)
    assert result['pruned_total{rule="last"}'] == 4
    assert result['pruned_total{rule="(manual)"}'] == 2


def test_the_gate_and_since_when_it_is_not_open(edge: Edge) -> None:
    message = {"state": "closed", "token": "t", "fence": 1, "since_ms": 1_700_000_000_000, "reason": "a collection"}
    edge.redis.hset(edge.store.connection.keys.of("gate"), mapping=message)
    result = scrape(edge)
    assert (result['gate{state="open"}'], result['gate{state="closed"}']) == (0, 1)
    assert result["gate_since_timestamp_seconds"] == 1_700_000_000


def test_the_last_comparison_and_its_drift(edge: Edge) -> None:
    fill(edge)
    result = scrape(edge)
    assert result["reconcile_last_timestamp_seconds"] == 1_700_000_000
    assert (result["reconcile_last_seconds"], result["reconcile_last_drift_tags"]) == (2, 3)
    assert result["reconcile_last_failed_repositories"] == 1


def test_webhooks_have_their_figures(serve: ServeEdge) -> None:
    edge = serve(webhooks=[{"name": "chat", "url": "http://127.0.0.1:1"}])
    store = edge.store.webhooks
    event = WebhookEvent("id", "plan.held", "shop/api", 1, {})
    store.queue("chat", store.state("chat"), Look("0", "0", {}), [event, event])
    store.failed("chat", "answers 500", 0, 0)
    store.succeeded("chat", [store.next("chat", 1)[0][0]], 0)
    figures = scrape(edge)
    assert 0 <= figures.pop('webhook_oldest_seconds{webhook="chat"}') < 60
    assert figures.pop('webhook_waiting_events{webhook="chat"}') == 1
    assert figures.pop('webhook_failing_seconds{webhook="chat"}') == 0
    assert {name: value for name, value in figures.items() if name.startswith("webhook")} == {
        'webhook_sent_events_total{webhook="chat"}': 1, 'webhook_dropped_events_total{webhook="chat"}': 0,
        'webhook_failures_total{webhook="chat"}': 1,
    }  # fmt: skip


def test_a_webhook_fails_since_its_first_failed_attempt_or_since_its_files_cannot_be_read(serve: ServeEdge) -> None:
    edge = serve(webhooks=[{"name": name, "url": "http://127.0.0.1:1"} for name in ("away", "unread")])
    now_ms = edge.store.connection.now_ms()
    for before_ms in (7_200_000, 0):
        edge.store.webhooks.failed("away", "answers 500", 0, now_ms - before_ms)
    trouble = json.dumps({"message": "no worker can read it", "at_ms": now_ms - 3_600_000})
    edge.redis.hset(edge.store.connection.keys.of("troubles"), "webhook unread", trouble)
    figures = scrape(edge)
    assert round(figures['webhook_failing_seconds{webhook="away"}'] / 3600) == 2
    assert round(figures['webhook_failing_seconds{webhook="unread"}'] / 3600) == 1
