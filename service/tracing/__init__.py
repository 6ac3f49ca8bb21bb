"""Traces by OpenTelemetry: a push, the plan that answers it, and the deletions that follow, through all processes.

Off unless the environment has OTEL_EXPORTER_OTLP_ENDPOINT or OTEL_TRACES_EXPORTER. The extra `otel` reads the others.

No message carries a trace. The ids of the span of a push follow from the push, which the history has, so that a plan
knows the span of every push that it answers. An image that is to be deleted carries the context of its plan. So neither
a lost message nor a dead worker breaks a trace. Contexts are texts as in a `traceparent` header (W3C Trace Context).
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from service.tracing import process_tracer

# Imported where they are used: OpenTelemetry may not be installed, and structlog takes long to import.
if TYPE_CHECKING:
    from opentelemetry.trace import SpanContext

MOST_LINKS = 32

# The conventions of OpenTelemetry; any other field gets the prefix `pushprune.`.
_NAMES = {
    "repository": "container.image.name",
    "tags": "container.image.tags",
    "digest": "oci.manifest.digest",
    "method": "http.request.method",
    "url": "url.full",
    "status": "http.response.status_code",
    "error": "error.type",
}


def start() -> None:
    """Begin to trace, and log where spans are sent. Without this call, tracing begins with the first span."""
    process_tracer.process.tracer()


def end() -> None:
    """Send the spans that were not sent yet, within five seconds."""
    process_tracer.process.end()


def is_on() -> bool:
    """Return True if this process makes spans."""
    return process_tracer.process.tracer() is not None


def push_context(repository: str, tag: str, digest: str, pushed_us: int) -> str:
    """Return the context of the span of this push, "" if tracing is off."""
    provider = process_tracer.process.provider()
    if provider is None:
        return ""
    trace_id, span_id = _ids_of(repository, tag, digest, pushed_us)
    decision: Any = provider.sampler.should_sample(None, trace_id, "push").decision
    return f"00-{trace_id:032x}-{span_id:016x}-{int(decision.is_sampled()):02x}"


def received(repository: str, tag: str, digest: str, pushed_us: int, began_ns: int) -> None:
    """Make the span of a push whose notification was recorded. began_ns: when recording began."""
    tracer = process_tracer.process.tracer()
    if tracer is None:
        return
    from opentelemetry.context import Context
    from opentelemetry.trace import SpanKind

    attributes = _attributes({"repository": repository, "tags": (tag,) if tag else (), "digest": digest})
    with process_tracer.ids.given(_ids_of(repository, tag, digest, pushed_us)):
        span = tracer.start_span("push", Context(), SpanKind.CONSUMER, attributes, start_time=began_ns)
    # The time by the registry's clock.
    span.add_event("pushed", timestamp=pushed_us * 1000)
    span.end()


@contextmanager
def span(name: str, parent: str = "", links: Sequence[str] = (), **fields: Any) -> Iterator[None]:
    """Make a span of the block; log lines in it get its ids.

    Args:
        parent: the context of its parent; "": the current span, if there is one.
        links: the contexts of other spans that led to this one.
    """
    tracer = process_tracer.process.tracer()
    if tracer is None:
        yield
        return
    from opentelemetry import trace
    from structlog.contextvars import bound_contextvars

    context = trace.set_span_in_context(trace.NonRecordingSpan(_unpacked(parent))) if parent else None
    linked = [trace.Link(_unpacked(link)) for link in links]
    with tracer.start_as_current_span(name, context, links=linked, attributes=_attributes(fields)) as made:
        ids = made.get_span_context()
        with bound_contextvars(trace_id=f"{ids.trace_id:032x}", span_id=f"{ids.span_id:016x}"):
            yield


@contextmanager
def request(method: str, url: str) -> Iterator[dict[str, str]]:
    """Make a span of a request if it is part of a trace; provide the headers by which the server continues the trace.

    Distribution 3 does so if its own traces are on.
    """
    tracer = process_tracer.process.tracer()
    if tracer is None or not context():
        yield {}
        return
    from opentelemetry.trace import SpanKind

    attributes = _attributes({"method": method, "url": url})
    with tracer.start_as_current_span(method, kind=SpanKind.CLIENT, attributes=attributes):
        yield {"traceparent": context()}


def answered(status: int) -> None:
    """Note the status of the answer in the span of a request."""
    if context():
        note(status=status)
        if status >= 400:
            from opentelemetry.trace import Status, StatusCode, get_current_span

            note(error=str(status))
            get_current_span().set_status(Status(StatusCode.ERROR))


def note(**fields: Any) -> None:
    """Add attributes to the current span."""
    if process_tracer.process.tracer() is not None:
        from opentelemetry.trace import get_current_span

        get_current_span().set_attributes(_attributes(fields))


def context() -> str:
    """Return the context of the current span, "" if there is none."""
    if process_tracer.process.tracer() is None:
        return ""
    from opentelemetry.trace import get_current_span

    ids = get_current_span().get_span_context()
    return f"00-{ids.trace_id:032x}-{ids.span_id:016x}-{ids.trace_flags:02x}" if ids.is_valid else ""


def _unpacked(context: str) -> SpanContext:
    """Return the span of a context; an invalid one, which begins a trace, if the context cannot be read."""
    from opentelemetry.trace import INVALID_SPAN_CONTEXT, SpanContext, TraceFlags

    try:
        _, trace_id, span_id, flags = context.split("-")
        return SpanContext(int(trace_id, 16), int(span_id, 16), is_remote=True, trace_flags=TraceFlags(int(flags, 16)))
    except ValueError:
        return INVALID_SPAN_CONTEXT


def _attributes(fields: dict[str, Any]) -> dict[str, Any]:
    return {
        _NAMES.get(name) or f"pushprune.{name}": value for name, value in fields.items() if value not in (None, "", ())
    }


def _ids_of(*push: str | int) -> tuple[int, int]:
    digest = hashlib.sha256("\0".join(map(str, push)).encode()).digest()
    return int.from_bytes(digest[:16], "big"), int.from_bytes(digest[16:24], "big")
