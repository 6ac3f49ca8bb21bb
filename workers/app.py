"""`celery -A workers.app`: the worker, and the tick that makes any worker the sweeper."""

import sys
import threading
from typing import Any

from celery import Celery
from celery.signals import worker_ready, worker_shutting_down

from service.dispatch import celery_app
from service.domain.errors import ConfigurationError, PushpruneError
from service.log import log
from service.settings import load_settings
from service.wiring import redis_url

TICK_S = 0.5


def _application() -> Celery:
    """The Celery application; a configuration that cannot be obeyed ends the process with one sentence."""
    try:
        settings = load_settings()
        application = celery_app(redis_url(settings), settings.redis.prefix)
    except ConfigurationError as error:
        sys.exit(f"pushprune: {error}")
    application.conf.imports = ("workers.tasks",)
    return application


app = _application()
_stopping = threading.Event()


@worker_ready.connect
def _start_tick(sender: Any = None, **_: Any) -> None:
    name = getattr(sender, "hostname", "worker")
    threading.Thread(target=_tick, args=(name,), name="tick", daemon=True).start()


@worker_shutting_down.connect
def _stop_tick(**_: Any) -> None:
    _stopping.set()


def _tick(name: str) -> None:
    """Twice a second, in every worker: a sign of life, and for the one that is elected the sweep."""
    from workers.reconcile import sweep
    from workers.tasks import wiring

    while not _stopping.wait(TICK_S):
        try:
            wiring().outbox.sign_of_life(name)
            if wiring().leases.elected("tick", int(TICK_S * 1000)):
                sweep(wiring())
        except PushpruneError as error:
            log.warning("the sweep waits", error=str(error))
        except Exception:  # noqa: BLE001 - the tick must outlive anything: without it lost work stays lost
            log.exception("the sweep failed; it goes on")
