"""One trace through the processes: the web process, Celery's queue, a worker, the registry."""

import signal

import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.trace.v1.trace_pb2 import Span

from tests.live.conftest import Live, last, wait_until
from tests.support.traces import collector


def spans_of(posted: list[bytes]) -> list[Span]:
    requests = [ExportTraceServiceRequest.FromString(body) for body in posted]
    return [span for sent in requests for of in sent.resource_spans for scope in of.scope_spans for span in scope.spans]


def test_a_push_that_displaces_an_image_is_one_trace_and_is_sent_when_the_processes_end(
    live: Live, monkeypatch: pytest.MonkeyPatch
) -> None:
    with collector() as (url, posted):
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", url)
        # Nothing is sent before the end.
        monkeypatch.setenv("OTEL_BSP_SCHEDULE_DELAY", "600000")
        system = live(policy=last(1))
        worker = system.start_worker()
        system.pusher.push_image("shop/api", "v1")
        wait_until(system.quiet, "the first push is planned")
        system.pusher.push_image("shop/api", "v2")
        wait_until(lambda: system.tags("shop/api") == {"v2"} and system.quiet(), "v1 is deleted")
        assert posted == []
        for process in (worker, system.web):
            process.send_signal(signal.SIGTERM)
            process.wait(300)
        spans = spans_of(posted)
    (push,) = [span for span in spans if span.name == "push" and "v2" in str(span)]
    trace = [span for span in spans if span.trace_id == push.trace_id]
    parents = {span.span_id: span for span in trace}
    (deleted,) = [span for span in trace if span.name == "DELETE"]
    line, span = [deleted.name], deleted
    while span.parent_span_id:
        span = parents[span.parent_span_id]
        line.append(span.name)
    assert line == ["DELETE", "delete image", "delete", "plan", "push"]
