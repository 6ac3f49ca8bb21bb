"""config/prometheus and config/grafana are valid and ask only for metrics that exist."""

import json
import re
from pathlib import Path
from typing import Any

import pytest
import yaml
from prometheus_client.parser import text_string_to_metric_families

from tests.conftest import documented, keep_last
from tests.support import manual
from tests.support.alerts import ALERTS, rules
from tests.support.edge import ServeEdge
from tests.support.metrics import fill

CONFIG = Path(__file__).parents[2] / "config"
DASHBOARD: dict[str, Any] = json.loads((CONFIG / "grafana/dashboards/pushprune.json").read_text())
TARGETS = [(panel, target) for panel in DASHBOARD["panels"] for target in panel.get("targets", ())]


@pytest.fixture
def metrics(serve: ServeEdge) -> set[str]:
    """The names of all samples at /metrics."""
    webhooks = [{"name": "chat", "url": "http://127.0.0.1:1"}]
    edge = serve(registry={"url": "http://127.0.0.1:1"}, policy=keep_last(1), gc={"gate": "proxy"}, webhooks=webhooks)
    fill(edge)
    edge.store.meter.time("registry_request", "HEAD 304", 0.003)
    edge.store.meter.time("gate_wait", "refused", 61.0)
    edge.store.outbox.sign_of_life("worker@host", ("enforce",))
    message = {"state": "closed", "token": "t", "fence": 1, "since_ms": 1_700_000_000_000, "reason": "a collection"}
    edge.redis.hset(edge.store.connection.keys.of("gate"), mapping=message)
    text = edge.http.get("/metrics").text
    return {sample.name for family in text_string_to_metric_families(text) for sample in family.samples}


def named(expression: str) -> set[str]:
    return set(re.findall(r"\bpushprune_\w+", expression))


def test_every_alert_says_what_it_is_and_what_to_do() -> None:
    names = [rule["alert"] for rule in rules()]
    assert len(names) == len(set(names)) >= 10
    for rule in rules():
        assert rule["labels"]["severity"] in ("info", "warning", "critical")
        assert rule["annotations"]["summary"]
        assert rule["annotations"]["description"]
        # Without it, sides with different labels never match, and the alert never fires.
        assert not re.search(r"\b(and|or|unless) (?!on|ignoring)", rule["expr"])


def test_every_metric_that_an_alert_asks_for_is_there(metrics: set[str]) -> None:
    asked = {name for rule in rules() for name in named(rule["expr"])}
    assert len(asked) >= 10
    assert asked <= metrics


def test_prometheus_asks_the_web_with_the_read_token_and_knows_the_alerts() -> None:
    config = yaml.safe_load((CONFIG / "prometheus/prometheus.yml").read_text())
    assert [CONFIG / "prometheus" / name for name in config["rule_files"]] == [ALERTS]
    (job,) = config["scrape_configs"]
    assert job["authorization"] == {"credentials_file": "/run/secrets/read_token"}
    assert job["static_configs"] == [{"targets": ["web:8080"]}]
    assert {match for rule in rules() for match in re.findall(r'job="(\w+)"', rule["expr"])} == {job["job_name"]}


def test_every_metric_of_the_dashboard_is_there(metrics: set[str]) -> None:
    asked = {name for _, target in TARGETS for name in named(target.get("expr", ""))}
    assert len(asked) >= 10
    assert asked <= metrics


def test_every_key_of_the_dashboard_is_in_the_schema() -> None:
    keys = [target["keyName"] for _, target in TARGETS if "keyName" in target]
    assert {"pushprune:events", "pushprune:pulls", "pushprune:gc:runs"} <= set(keys)
    assert [key for key in keys if not documented(key.removeprefix("pushprune:"))] == []


def test_the_dashboard_takes_its_sources_from_variables_so_that_it_can_be_imported_anywhere() -> None:
    text = (CONFIG / "grafana/provisioning/datasources/pushprune.yml").read_text()
    provisioned = {source["type"] for source in yaml.safe_load(text)["datasources"]}
    variables = {variable["name"]: variable["query"] for variable in DASHBOARD["templating"]["list"]}
    used = {(of["datasource"]["type"], of["datasource"]["uid"]) for pair in TARGETS for of in pair}
    assert used == {(kind, f"${{{name}}}") for name, kind in variables.items()}
    assert set(variables.values()) == provisioned


def test_the_first_row_needs_no_plugin() -> None:
    rows = [number for number, panel in enumerate(DASHBOARD["panels"]) if panel["type"] == "row"]
    first, rest = DASHBOARD["panels"][: rows[1]], DASHBOARD["panels"][rows[1] :]
    assert {panel["type"] for panel in first} == {"row", "stat", "timeseries"}
    assert {panel["datasource"]["type"] for panel in first[1:]} == {"prometheus"}
    assert {panel["datasource"]["type"] for panel in rest[1:]} == {"redis-datasource"}


def test_every_panel_says_what_it_shows() -> None:
    described = [panel for panel in DASHBOARD["panels"] if panel["type"] != "row"]
    assert [panel["title"] for panel in described if not panel.get("description", "").endswith(".")] == []


def test_a_panel_that_has_nothing_to_show_on_a_fresh_system_says_when_it_is_empty(serve: ServeEdge) -> None:
    text = serve(registry={"url": "http://127.0.0.1:1"}, policy=keep_last(1)).http.get("/metrics").text
    there = {sample.name for family in text_string_to_metric_families(text) for sample in family.samples}
    empty = {panel["title"]: panel for panel, target in TARGETS if not named(target.get("expr", "")) <= there}
    assert len(empty) >= 5
    assert [title for title, panel in empty.items() if " Empty " not in panel["description"]] == []


def test_every_histogram_is_shown_by_its_quantiles(metrics: set[str]) -> None:
    shown = {name for _, target in TARGETS if "quantile" in target.get("expr", "") for name in named(target["expr"])}
    assert shown == {name for name in metrics if name.endswith("_bucket")}


def test_a_second_web_process_doubles_no_figure() -> None:
    """Each reports the figures of the whole system."""
    expressions = [target["expr"] for _, target in TARGETS if "expr" in target]
    assert [text for text in expressions if not re.match(r"(histogram_quantile\([\d.]+, )?max( by \(|\()", text)] == []


def test_every_panel_has_a_place_of_its_own() -> None:
    ids = [panel["id"] for panel in DASHBOARD["panels"]]
    assert len(ids) == len(set(ids))
    places = [
        (x, y)
        for panel in DASHBOARD["panels"]
        for x in range(panel["gridPos"]["x"], panel["gridPos"]["x"] + panel["gridPos"]["w"])
        for y in range(panel["gridPos"]["y"], panel["gridPos"]["y"] + panel["gridPos"]["h"])
    ]
    assert len(places) == len(set(places))
    assert max(x for x, _ in places) < 24


def test_every_metric_is_in_the_manual(metrics: set[str]) -> None:
    table = manual.page("api").partition("| metric |")[2]
    cells = [row.split("|")[1] for row in table.splitlines() if row.startswith("| `")]
    named = {f"pushprune_{name}" for cell in cells for name in re.findall(r"`(\w+)", cell)}
    assert named == {re.sub(r"_(bucket|sum|count)$", "", name) for name in metrics}
