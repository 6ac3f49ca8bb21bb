"""Traces by OpenTelemetry: a push, the plan that answers it, and the deletions that follow, through all processes.

Off unless the environment has OTEL_EXPORTER_OTLP_ENDPOINT or OTEL_TRACES_EXPORTER. The extra `otel` reads the others.

No message carries a trace. The ids of the span of a push follow from the push, which the history has, so that a plan
knows the span of every push that it answers. An image that is to be deleted carries the context of its plan. So neither
a lost message nor a dead worker breaks a trace. Contexts are texts as in a `traceparent` header (W3C Trace Context).
"""

from __future__ import annotations

import atexit
import hashlib
import os
import random
import re
import threading
import uuid
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any

from service import __version__

# Imported where they are used: OpenTelemetry may not be installed, and structlog takes long to import.
if TYPE_CHECKING:
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.trace import SpanContext, Tracer

MOST_LINKS = 32

_ENDPOINTS = ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "OTEL_EXPORTER_OTLP_ENDPOINT")
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
# At the end of a process, for spans that were not sent yet.
_LAST_S = 5.0


def start() -> None:
    """Begin to trace, and log where spans are sent. Without this call, tracing begins with the first span."""
    _process.tracer()


def end() -> None:
    """Send the spans that were not sent yet, within five seconds."""
    _process.end()


def is_on() -> bool:
    """Return True if this process makes spans."""
    return _process.tracer() is not None


def push_context(repository: str, tag: str, digest: str, pushed_us: int) -> str:
    """Return the context of the span of this push, "" if tracing is off."""
    provider = _process.provider()
    if provider is None:
        return ""
    trace_id, span_id = _ids_of(repository, tag, digest, pushed_us)
    decision: Any = provider.sampler.should_sample(None, trace_id, "push").decision
    return f"00-{trace_id:032x}-{span_id:016x}-{int(decision.is_sampled()):02x}"


def received(repository: str, tag: str, digest: str, pushed_us: int, began_ns: int) -> None:
    """Make the span of a push whose notification was recorded. began_ns: when recording began."""
    tracer = _process.tracer()
    if tracer is None:
        return
    from opentelemetry.context import Context
    from opentelemetry.trace import SpanKind

    attributes = _attributes({"repository": repository, "tags": (tag,) if tag else (), "digest": digest})
    with _ids.given(_ids_of(repository, tag, digest, pushed_us)):
        span = tracer.start_span("push", Context(), SpanKind.CONSUMER, attributes, start_time=began_ns)
    # The time by the registry's clock.
    span.add_event("pushed", timestamp=pushed_us * 1000)
    span.end()


@contextmanager
def span(name: str, parent: str = "", links: Sequence[str] = (), **fields: Any) -> Iterator[None]:
    """Make a span of what is done meanwhile; log lines get its ids.

    Args:
        name: of the span.
        parent: the context of its parent; "": the current span, if there is one.
        links: the contexts of other spans that led to this one.
        fields: attributes.
    """
    tracer = _process.tracer()
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
    tracer = _process.tracer()
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
    if _process.tracer() is not None:
        from opentelemetry.trace import get_current_span

        get_current_span().set_attributes(_attributes(fields))


def context() -> str:
    """Return the context of the current span, "" if there is none."""
    if _process.tracer() is None:
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


class _Ids(threading.local):
    """Ids for the spans that a thread makes: random, except those of a push."""

    _given: tuple[int, int] | None = None

    @contextmanager
    def given(self, ids: tuple[int, int]) -> Iterator[None]:
        """Use these ids of a trace and of a span."""
        self._given = ids
        try:
            yield
        finally:
            self._given = None

    def generate_trace_id(self) -> int:
        """Return the id of a new trace."""
        return self._given[0] if self._given else random.getrandbits(128) or 1

    def generate_span_id(self) -> int:
        """Return the id of a new span."""
        return self._given[1] if self._given else random.getrandbits(64) or 1

    def is_trace_id_random(self) -> bool:
        """Return False: those of pushes are not."""
        return False


class _Exporter:
    """Sends spans by another exporter; logs a failure once, until spans are sent again."""

    def __init__(self, exporter: Any) -> None:
        self._exporter, self._fails = exporter, False
        self.shutdown, self.force_flush = exporter.shutdown, exporter.force_flush

    def export(self, spans: Sequence[Any]) -> Any:
        """Send spans."""
        from service.log import log

        result = None
        with suppress(Exception):
            result = self._exporter.export(spans)
        if self._fails != (result is None or result.name != "SUCCESS"):
            self._fails = not self._fails
            if self._fails:
                log.warning("traces are lost: their collector does not take them; all else goes on", to=_address())
            else:
                log.info("traces are sent again", to=_address())
        return result


class _Process:
    """The tracer of this process. A forked process makes its own: the thread that sends spans is not in it."""

    def __init__(self) -> None:
        self._is_logged = False
        self._forget()
        os.register_at_fork(after_in_child=self._forget)

    def _forget(self) -> None:
        self._lock, self._is_open = threading.Lock(), False
        self._provider: TracerProvider | None = None
        self._tracer: Tracer | None = None

    def tracer(self) -> Tracer | None:
        """Return the tracer; None if the environment does not ask for traces."""
        if not self._is_open:
            self._open()
        return self._tracer

    def provider(self) -> TracerProvider | None:
        """Return the provider of the tracer."""
        return self._provider if self.tracer() else None

    def end(self) -> None:
        """Send what was not sent yet. An unreachable collector holds up the end of the process for five seconds."""
        if self._provider is not None:
            last = threading.Thread(target=self._provider.shutdown, name="last spans", daemon=True)
            last.start()
            last.join(_LAST_S)

    def _open(self) -> None:
        with self._lock:
            if self._is_open:
                return
            if _is_wanted():
                self._begin()
            self._is_open = True

    def _begin(self) -> None:
        try:
            self._provider = _provider()
        except ImportError:
            sentence = "OTEL_… is set, but OpenTelemetry is not installed; install pushprune[otel], or unset it"
        except Exception as error:  # noqa: BLE001 - no setting for traces may stop pushprune
            sentence = f"{error}; correct the environment variables OTEL_…"
        else:
            sentence = ""
            self._tracer = self._provider.get_tracer("pushprune", __version__)
            atexit.register(self.end)
        if not self._is_logged:
            from service.log import log

            self._is_logged = True
            log.warning(f"no traces are sent: {sentence}") if sentence else log.info("traces are sent", to=_address())


_ids = _Ids()
_process = _Process()


def _is_wanted() -> bool:
    """True if the standard environment of OpenTelemetry asks for traces."""
    if os.environ.get("OTEL_SDK_DISABLED", "").lower() == "true":
        return False
    exporter = os.environ.get("OTEL_TRACES_EXPORTER") or ("otlp" if any(map(os.environ.get, _ENDPOINTS)) else "none")
    return exporter != "none"


def _exporter() -> Any:
    exporter = os.environ.get("OTEL_TRACES_EXPORTER") or "otlp"
    protocol = os.environ.get("OTEL_EXPORTER_OTLP_TRACES_PROTOCOL") or os.environ.get("OTEL_EXPORTER_OTLP_PROTOCOL")
    if exporter == "console":
        from opentelemetry.sdk.trace.export import ConsoleSpanExporter

        return ConsoleSpanExporter()
    if exporter != "otlp":
        raise ValueError(f"OTEL_TRACES_EXPORTER is {exporter}, which is not otlp, console or none")
    if protocol not in (None, "", "http/protobuf"):
        raise ValueError(f"OTEL_EXPORTER_OTLP_PROTOCOL is {protocol}, and only http/protobuf is supported (port 4318)")
    from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter

    return OTLPSpanExporter()


def _provider() -> TracerProvider:
    import logging

    from opentelemetry.sdk.resources import OTELResourceDetector, Resource
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.sdk.trace.export import BatchSpanProcessor

    # They log each batch that an unreachable collector does not take.
    for name in ("opentelemetry.exporter", "opentelemetry.sdk._shared_internal"):
        logging.getLogger(name).setLevel(logging.CRITICAL)
    ours = {"service.name": "pushprune", "service.version": __version__, "service.instance.id": str(uuid.uuid4())}
    resource = Resource.create().merge(Resource(ours)).merge(OTELResourceDetector().detect())
    ids: Any = _ids
    provider = TracerProvider(resource=resource, id_generator=ids, shutdown_on_exit=False)
    exporter: Any = _Exporter(_exporter())
    provider.add_span_processor(BatchSpanProcessor(exporter))
    return provider


def _address() -> str:
    if os.environ.get("OTEL_TRACES_EXPORTER") == "console":
        return "standard output"
    address = next(filter(None, map(os.environ.get, _ENDPOINTS)), "http://localhost:4318")
    return re.sub(r"//[^/@]*@", "//", address)
