"""Logging: one event per line, readable on a terminal and JSON elsewhere."""

import logging
import sys
from typing import Any, Literal

import structlog


def configure(form: Literal["auto", "console", "json"] = "auto", level: str = "info") -> None:
    """Configure structlog and the standard library's loggers, once per process."""
    number = logging.getLevelNamesMapping()[level.upper()]
    readable = form == "console" or (form == "auto" and sys.stderr.isatty())
    # The default exception formatter prints local variables, which may contain a token or a password.
    renderer: Any = structlog.dev.ConsoleRenderer(colors=sys.stderr.isatty(), exception_formatter=_brief)
    stamp = structlog.processors.TimeStamper(fmt="%H:%M:%S" if readable else "iso", utc=not readable)
    rendering = [
        *([] if readable else [_tracebacks()]),
        renderer if readable else structlog.processors.JSONRenderer(),
    ]
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            stamp,
            structlog.processors.StackInfoRenderer(),
            *rendering,
        ],
        wrapper_class=structlog.make_filtering_bound_logger(number),
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
        cache_logger_on_first_use=True,
    )
    logging.getLogger("celery.worker.consumer.consumer").addFilter(_without_traceback)
    logging.getLogger("urllib3").setLevel(logging.ERROR)
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=[structlog.stdlib.add_log_level, stamp, _one_line],
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, *rendering],
        )
    )
    logging.basicConfig(handlers=[handler], level=logging.WARNING)


def _without_traceback(record: logging.LogRecord) -> bool:
    """Remove the traceback that Celery logs when it loses Redis: its next line says the same in one sentence."""
    record.exc_info = None
    return True


def _one_line(logger: Any, method: str, entry: Any) -> Any:
    """Put the message of a library on one line, such as the two of Celery about a lost connection."""
    entry["event"] = " ".join(str(entry["event"]).split())
    return entry


def _tracebacks() -> Any:
    """Return a renderer of tracebacks without local variables, which may contain a token or a password."""
    transform = structlog.tracebacks.ExceptionDictTransformer(show_locals=False)
    return structlog.processors.ExceptionRenderer(transform)


def _brief(stream: Any, error: Any) -> None:
    structlog.dev.plain_traceback(stream, error)


# Valid until `configure` is called, which a verb does late. Standard output is reserved for the answer of a verb.
structlog.configure(logger_factory=lambda *_: structlog.PrintLogger(sys.stderr))
log: Any = structlog.get_logger()
