"""The tracer of this process: the ids of its spans, and where they are sent."""

from __future__ import annotations

import atexit
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
    from opentelemetry.trace import Tracer

_ENDPOINTS = ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "OTEL_EXPORTER_OTLP_ENDPOINT")
# At the end of a process, for spans that were not sent yet.
_LAST_S = 5.0


class Ids(threading.local):
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
        """Return False: the ids of pushes are not random."""
        return False


class _Exporter:
    """An exporter that sends spans by another one, and logs a failure once, until spans are sent again."""

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
                log.warning("traces are lost: the collector does not accept them; nothing else fails", to=_address())
            else:
                log.info("traces are sent again", to=_address())
        return result


class ProcessTracer:
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


ids = Ids()
process = ProcessTracer()


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
    generator: Any = ids
    provider = TracerProvider(resource=resource, id_generator=generator, shutdown_on_exit=False)
    exporter: Any = _Exporter(_exporter())
    provider.add_span_processor(BatchSpanProcessor(exporter))
    return provider


def _address() -> str:
    if os.environ.get("OTEL_TRACES_EXPORTER") == "console":
        return "standard output"
    address = next(filter(None, map(os.environ.get, _ENDPOINTS)), "http://localhost:4318")
    return re.sub(r"//[^/@]*@", "//", address)
