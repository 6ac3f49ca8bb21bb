"""Traces: off by default, never in the way, and right in forked processes."""

import json
import os
import re
import subprocess
import sys
import time
from typing import Any

import pytest

from service import tracing
from tests.support.traces import Traces, collector, ids, traces

__all__ = ["traces"]

ENVIRONMENT = {name: value for name, value in os.environ.items() if not name.startswith("OTEL_")}
JSON_LOG = "from service import log, tracing; log.configure('json')\n"


def run(code: str, **environment: str) -> tuple[list[dict[str, Any]], float]:
    """Run Python code with this environment; return its log lines, and the seconds that its end took."""
    began_s = time.monotonic()
    done = subprocess.run(
        [sys.executable, "-c", JSON_LOG + code],
        env=ENVIRONMENT | environment,
        capture_output=True,
        text=True,
        check=True,
    )
    return [json.loads(line) for line in done.stderr.splitlines()], time.monotonic() - began_s


@pytest.mark.parametrize(
    "environment",
    [
        {},
        {"OTEL_TRACES_EXPORTER": "none", "OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:9"},
        {"OTEL_SDK_DISABLED": "true", "OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:9"},
    ],
)
@pytest.mark.slow
def test_without_the_environment_nothing_is_traced_and_nothing_imported(environment: dict[str, str]) -> None:
    code = """
import sys
with tracing.span("plan", tracing.push_context("r", "t", "d", 1)), tracing.request("GET", "http://r/") as headers:
    tracing.note(result="done")
assert headers == {} and tracing.context() == "" and not tracing.is_on()
assert not [name for name in sys.modules if name.startswith("opentelemetry")]
"""
    assert run(code, **environment)[0] == []


@pytest.mark.parametrize(
    ("environment", "sentence"),
    [
        ({"OTEL_TRACES_EXPORTER": "zipkin"}, "OTEL_TRACES_EXPORTER is zipkin, which is not otlp, console or none"),
        (
            {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://c:4317", "OTEL_EXPORTER_OTLP_PROTOCOL": "grpc"},
            "OTEL_EXPORTER_OTLP_PROTOCOL is grpc, and only http/protobuf is supported",
        ),
        (
            {"OTEL_TRACES_EXPORTER": "otlp", "OTEL_SPAN_ATTRIBUTE_COUNT_LIMIT": "-1"},
            "correct the environment variables",
        ),
    ],
)
@pytest.mark.slow
def test_a_wrong_environment_is_one_sentence_and_stops_nothing(environment: dict[str, str], sentence: str) -> None:
    (line,), _ = run("tracing.start()\nwith tracing.span('plan'): pass", **environment)
    assert line["level"] == "warning"
    assert sentence in line["event"]


def test_a_missing_extra_is_one_sentence_and_stops_nothing() -> None:
    code = "import sys; sys.modules['opentelemetry'] = None\nfor _ in range(3):\n  with tracing.span('plan'): pass"
    (line,), _ = run(code, OTEL_EXPORTER_OTLP_ENDPOINT="http://127.0.0.1:9")
    assert "install pushprune[otel]" in line["event"]


@pytest.mark.slow
def test_a_collector_that_is_away_is_logged_once_and_holds_up_nothing() -> None:
    code = """
import time
tracing.start()
began_s = time.monotonic()
for _ in range(3):
    for _ in range(1000):
        with tracing.span("plan"): pass
    time.sleep(0.7)
assert time.monotonic() - began_s < 60
"""
    environment = {"OTEL_EXPORTER_OTLP_TIMEOUT": "0.2", "OTEL_BSP_SCHEDULE_DELAY": "100"}
    lines, took_s = run(code, OTEL_EXPORTER_OTLP_ENDPOINT="http://user:pass@127.0.0.1:9", **environment)
    assert [line["event"].partition(":")[0] for line in lines] == ["traces are sent", "traces are lost"]
    assert {line["to"] for line in lines} == {"http://127.0.0.1:9"}
    assert took_s < 60


@pytest.mark.slow
def test_a_forked_process_sends_its_own_spans_at_its_end() -> None:
    code = """
import os
tracing.start()
with tracing.span("of the parent"): pass
if os.fork() == 0:
    with tracing.span("of the child"): pass
    tracing.end()
    os._exit(0)
os.wait()
"""
    with collector() as (url, posted):
        lines, _ = run(code, OTEL_EXPORTER_OTLP_ENDPOINT=url)
    assert [line["event"] for line in lines] == ["traces are sent"]
    assert sorted(name for name in (b"of the parent", b"of the child") for body in posted if name in body) == [
        b"of the child",
        b"of the parent",
    ]
    # Each has a connection to the collector of its own, and is an instance of its own.
    assert len({match for body in posted for match in re.findall(rb"[0-9a-f]{8}-[0-9a-f-]{27}", body)}) == 2


def test_log_lines_within_a_span_have_its_ids(traces: Traces) -> None:
    import structlog

    with tracing.span("plan"):
        bound = structlog.contextvars.get_contextvars()
    (plan,) = traces.named("plan")
    assert bound == {"trace_id": f"{ids(plan)[0]:032x}", "span_id": f"{ids(plan)[1]:016x}"}
    assert structlog.contextvars.get_contextvars() == {}


@pytest.mark.parametrize("context", ["", "00-zz-1-01", "nonsense", f"00-{1 << 200:x}-1-01"])
def test_a_context_that_cannot_be_read_begins_a_trace_and_stops_nothing(traces: Traces, context: str) -> None:
    """Redis holds contexts: no deletion may fail because of one."""
    with tracing.span("delete", context, (context,) if context else ()):
        pass
    (delete,) = traces.named("delete")
    assert delete.parent is None


def test_sampling_decides_alike_about_a_push_and_its_plan(traces: Traces, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each process decides by itself: a push and its plan are made by two of them."""
    monkeypatch.setenv("OTEL_TRACES_SAMPLER", "parentbased_traceidratio")
    monkeypatch.setenv("OTEL_TRACES_SAMPLER_ARG", "0.5")
    for number in range(60):
        push = ("shop/api", f"v{number}", "sha256:a", number + 1)
        tracing.received(*push, began_ns=time.time_ns())
        with tracing.span("plan", tracing.push_context(*push)):
            pass
    pushes, plans = ({ids(span)[0] for span in traces.named(name)} for name in ("push", "plan"))
    assert 10 < len(pushes) < 50
    assert pushes == plans


def test_the_service_can_be_named_by_the_environment(traces: Traces, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OTEL_SERVICE_NAME", "registry-janitor")
    with tracing.span("plan"):
        pass
    (plan,) = traces.named("plan")
    assert plan.resource.attributes["service.name"] == "registry-janitor"
