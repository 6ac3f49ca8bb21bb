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


def lines_of(spans: list[Span]) -> list[list[str]]:
    """For each DELETE, the names of the spans that led to it, up to the first that is known."""
    by_id = {span.span_id: span for span in spans}
    lines = []
    for deleted in spans:
        line, span = [deleted.name], deleted
        while span.parent_span_id in by_id:
            span = by_id[span.parent_span_id]
            line.append(span.name)
        lines += [line] if deleted.name == "DELETE" else []
    return lines


def test_a_push_that_displaces_an_image_is_one_trace_and_is_sent_when_the_processes_end(
    live: Live, monkeypatch: pytest.MonkeyPatch
) -> None:
    with collector() as (url, posted):
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", url)
        # Nothing is sent before the end.
        monkeypatch.setenv("OTEL_BSP_SCHEDULE_DELAY", "600000")
        system = live(policy=last(1))
        system.pusher.push_image("shop/api", "v0")
        # A machine that stands still for five seconds at the end loses the last spans, or work is sent again without
        # its trace.
        for number in range(1, 6):
            worker = system.start_worker()
            wait_until(system.quiet, "the push before is planned")
            system.pusher.push_image("shop/api", f"v{number}")
            wait_until(lambda number=number: system.tags("shop/api") == {f"v{number}"}, "one remains")  # type: ignore[misc]
            wait_until(system.quiet, "the deletion is recorded")
            assert posted == [] or number > 1
            for process in (worker, system.web):
                process.send_signal(signal.SIGTERM)
                process.wait(300)
            lines = lines_of(spans_of(posted))
            if ["DELETE", "delete image", "delete", "plan", "push"] in lines:
                return
            system.web = system.start("web", "web")
        pytest.fail(f"no deletion belongs to the trace of a push: {lines}")
