"""`celery -A workers.app`: the worker, with its tick and its watch over the registry."""

import sys
import threading
from importlib import import_module
from typing import Any

from celery import Celery
from celery.signals import worker_process_shutdown, worker_ready, worker_shutting_down

from service import tracing
from service.domain.errors import ConfigurationError, SchemaTooNew
from service.settings import load_settings
from service.usage.measuring import measure
from service.wiring import wire_service
from workers import tasks
from workers.reachability import watch_registry
from workers.tick import Tick
from workers.webhooks import start_webhooks


def build() -> Celery:
    """Return the Celery application with its tasks. One sentence ends a process that cannot start."""
    try:
        wiring = wire_service(load_settings())
    except (ConfigurationError, SchemaTooNew) as error:
        sys.exit(f"pushprune: {error}")
    application = wiring.dispatch.app
    tasks.register(application, wiring)
    stopping = threading.Event()
    tracing.start()

    def start(sender: Any = None, **_: Any) -> None:
        consumed = tuple(str(queue) for queue in application.amqp.queues.consume_from)
        tick = Tick(wiring, getattr(sender, "hostname", "worker"), consumed)
        threading.Thread(target=tick.run, args=(stopping,), name="tick", daemon=True).start()
        measured = (wiring.store, wiring.registry, wiring.settings.reconcile.rate, stopping)
        threading.Thread(target=measure, args=measured, name="measure", daemon=True).start()
        start_webhooks(wiring.store, wiring.settings, stopping)
        if wiring.registry.is_configured:
            watched = (wiring.store, wiring.registry, stopping)
            threading.Thread(target=watch_registry, args=watched, name="registry", daemon=True).start()

    worker_ready.connect(start, weak=False)
    # At a stop, Celery writes plain text among the lines of JSON. The tick logs the stop instead.
    vars(import_module("celery.apps.worker"))["safe_say"] = lambda *_: None
    # A child of Celery's pool `prefork` ends without the functions of atexit.
    worker_process_shutdown.connect(lambda **_: tracing.end(), weak=False)
    worker_shutting_down.connect(lambda **_: stopping.set(), weak=False)
    return application


app = build()
