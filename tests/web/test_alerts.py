"""Every alert fires if its trouble happens, as Prometheus itself computes it, and is silent otherwise."""

import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.support import manual
from tests.support.alerts import ALERTS, rules

PROMTOOL = shutil.which("promtool")
COUNT = 60
# The time of the question: samples come every five minutes, for alerts that wait for days every hour.
SHORT, LONG = ("5m", "4h"), ("1h", "60h")
NOW_S = 4 * 3600
# A system that is well: series → values in promtool's notation.
WELL = {
    'up{job="pushprune"}': f"1x{COUNT}",
    'pushprune_queue_workers{queue="enforce"}': f"1x{COUNT}",
    "pushprune_registry_up": f"1x{COUNT}",
    'pushprune_queue_oldest_seconds{queue="enforce"}': f"10x{COUNT}",
    "pushprune_troubles": f"0x{COUNT}",
    "pushprune_policy_invalid": f"0x{COUNT}",
    "pushprune_held_repositories": f"0x{COUNT}",
    "pushprune_rejected_total": f"7x{COUNT}",
    "pushprune_lost_total": f"1x{COUNT}",
    "pushprune_collection_stale_cache": f"0x{COUNT}",
    'pushprune_collections_total{result="failed"}': f"2x{COUNT}",
    'pushprune_collections_total{result="done"}': f"0+1x{COUNT}",
    "pushprune_collection_last_success_timestamp_seconds": f"0+300x{COUNT}",
    "pushprune_collection_queued": f"0 1 0 0x{COUNT}",
    'pushprune_failures_total{queue="due"}': f"0+0.8x{COUNT}",
    'pushprune_webhook_dropped_events_total{webhook="chat"}': f"7x{COUNT}",
    'pushprune_webhook_failing_seconds{webhook="chat"}': f"3000x{COUNT}",
    "pushprune_gate_processes": f"1x{COUNT}",
    # A long online collection: only requests that name a blob which is being deleted wait.
    'pushprune_gate{state="claiming"}': f"1x{COUNT}",
    "pushprune_gate_since_timestamp_seconds": f"{NOW_S - 7200}x{COUNT}",
    "pushprune_reconcile_last_timestamp_seconds": f"0+300x{COUNT}",
    "pushprune_reconcile_last_failed_repositories": f"0x{COUNT}",
}
# Alert → the series that differ when it must fire.
ILL = {
    "PushpruneAway": {'up{job="pushprune"}': f"0x{COUNT}"},
    "PushpruneNotScraped": {'up{job="pushprune"}': "_x1"},
    "PushpruneNoWorker": {'pushprune_queue_workers{queue="enforce"}': f"0x{COUNT}"},
    "PushpruneRegistryAway": {"pushprune_registry_up": f"0x{COUNT}"},
    "PushpruneBehind": {'pushprune_queue_oldest_seconds{queue="enforce"}': f"301x{COUNT}"},
    "PushpruneTrouble": {"pushprune_troubles": f"1x{COUNT}"},
    "PushprunePolicyInvalid": {"pushprune_policy_invalid": f"1x{COUNT}"},
    "PushprunePlanWaits": {"pushprune_held_repositories": f"1x{COUNT}"},
    "PushpruneRejects": {"pushprune_rejected_total": f"0+1x{COUNT}"},
    "PushpruneLostTag": {"pushprune_lost_total": f"0+1x{COUNT}"},
    "PushpruneStaleCache": {"pushprune_collection_stale_cache": f"1x{COUNT}"},
    "PushpruneCollectionFails": {'pushprune_collections_total{result="failed"}': f"0+1x{COUNT}"},
    "PushpruneCollectionOverdue": {
        "pushprune_collection_last_success_timestamp_seconds": f"{NOW_S - 9 * 86400}x{COUNT}"
    },
    "PushpruneCollectionWaits": {"pushprune_collection_queued": f"1x{COUNT}"},
    "PushpruneFailures": {'pushprune_failures_total{queue="due"}': f"0+3.5x{COUNT}"},
    "PushpruneWebhookFails": {'pushprune_webhook_failing_seconds{webhook="chat"}': f"0+300x{COUNT}"},
    "PushpruneWebhookDrops": {'pushprune_webhook_dropped_events_total{webhook="chat"}': f"0+1x{COUNT}"},
    "PushpruneNoGate": {"pushprune_gate_processes": f"0x{COUNT}"},
    "PushpruneGateClosed": {'pushprune_gate{state="claiming"}': f"0x{COUNT}"},
    "PushpruneNotReconciled": {"pushprune_reconcile_last_timestamp_seconds": f"{NOW_S - 4 * 86400}x{COUNT}"},
    "PushpruneReconcileFails": {"pushprune_reconcile_last_failed_repositories": f"1x{COUNT}"},
}


SLOW = ("PushprunePlanWaits", "PushpruneCollectionWaits")


def firing(series: dict[str, str], alerts: tuple[str, ...], period: tuple[str, str]) -> dict[str, Any]:
    """A test of promtool: exactly these alerts fire at the end."""
    samples = [{"labels": f'{{alertname="{name}"}}', "value": 1} for name in alerts]
    question = {
        "expr": 'count by (alertname) (ALERTS{alertstate="firing"})',
        "eval_time": period[1],
        "exp_samples": samples,
    }
    values = [{"series": name, "values": values} for name, values in series.items()]
    return {"interval": period[0], "input_series": values, "promql_expr_test": [question]}


def judged(folder: Path, period: tuple[str, str], cases: dict[tuple[str, ...], dict[str, str]]) -> str:
    """Return the complaints of promtool if not exactly these alerts fire with these series, "" if it has none."""
    return complaints(folder, period[0], [firing(series, alerts, period) for alerts, series in cases.items()])


def complaints(folder: Path, interval: str, tests: list[dict[str, Any]]) -> str:
    file = folder / "tests.yml"
    # A rule sees no sample that is older than five minutes, so each sample is evaluated.
    file.write_text(yaml.safe_dump({"rule_files": [str(ALERTS)], "evaluation_interval": interval, "tests": tests}))
    assert PROMTOOL, "promtool is missing; `make test` installs it as root on Debian (package prometheus)"
    done = subprocess.run([PROMTOOL, "test", "rules", str(file)], capture_output=True, text=True, check=False)
    return done.stdout + done.stderr if done.returncode else ""


@pytest.mark.live
@pytest.mark.parametrize("period", [SHORT, LONG])
def test_each_alert_fires_alone_for_its_problem_and_none_while_all_is_well(
    tmp_path: Path, period: tuple[str, str]
) -> None:
    names = [name for name in ILL if (name in SLOW) == (period == LONG)]
    assert judged(tmp_path, period, {(): WELL} | {(name,): {**WELL, **ILL[name]} for name in names}) == ""


@pytest.mark.live
@pytest.mark.parametrize(
    ("labels", "folder"),
    [({}, "docs"), ({"pushprune_manual": "https://git.example.com/docs"}, "https://git.example.com/docs")],
)
def test_the_links_to_the_runbooks_begin_with_the_external_label(
    tmp_path: Path, labels: dict[str, str], folder: str
) -> None:
    rule = next(rule for rule in rules() if rule["alert"] == "PushprunePolicyInvalid")
    annotations = {**rule["annotations"], "runbook_url": f"{folder}/alerts.md#pushprunepolicyinvalid"}
    alert = {"exp_labels": {"severity": "warning"}, "exp_annotations": annotations}
    test = {
        "interval": "1m",
        "external_labels": labels,
        "input_series": [{"series": "pushprune_policy_invalid", "values": "1x10"}],
        "alert_rule_test": [{"alertname": "PushprunePolicyInvalid", "eval_time": "9m", "exp_alerts": [alert]}],
    }
    assert complaints(tmp_path, "1m", [test]) == ""


def test_every_alert_is_tried_and_has_a_runbook() -> None:
    names = [rule["alert"] for rule in rules()]
    assert sorted(ILL) == sorted(names)
    text = manual.page("alerts")
    sections = [line.removeprefix("## ") for line in text.splitlines() if line.startswith("## ")]
    assert [name for name in names if name not in sections] == []
    for rule in rules():
        folder, _, anchor = rule["annotations"]["runbook_url"].partition("/alerts.md#")
        assert (folder, anchor) == ('{{ or $externalLabels.pushprune_manual "docs" }}', rule["alert"].lower())
