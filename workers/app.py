"""`celery -A workers.app`: the worker, the tick that makes any worker the sweeper, and its look at the registry."""

import sys
import threading
from collections.abc import Callable
from functools import partial
from typing import Any

from celery import Celery
from celery.signals import worker_ready, worker_shutting_down

from service.domain.errors import ConfigurationError, PushpruneError
from service.log import log
from service.settings import load_settings
from service.store.connection import new_token
from service.wiring import Wiring, wire
from workers import tasks
from workers.drain import reopen
from workers.reachability import watch_registry
from workers.reconcile import sweep

TICK_S = 0.5


def build() -> Celery:
    """The Celery application with its tasks; a configuration that cannot be obeyed ends the process in one sentence."""
    try:
        wiring = wire(load_settings(), patient=True)
    except ConfigurationError as error:
        sys.exit(f"pushprune: {error}")
    application = wiring.dispatch.app
    tasks.register(application, wiring)
    stopping = threading.Event()

    def start(sender: Any = None, **_: Any) -> None:
        consumed = tuple(str(queue) for queue in application.amqp.queues.consume_from)
        sign = partial(wiring.outbox.sign_of_life, getattr(sender, "hostname", "worker"), consumed, new_token())
        threading.Thread(target=tick, args=(wiring, sign, stopping), name="tick", daemon=True).start()
        if wiring.registry is not None:
            threading.Thread(target=watch_registry, args=(wiring, stopping), name="registry", daemon=True).start()

    worker_ready.connect(start, weak=False)
    worker_shutting_down.connect(lambda **_: stopping.set(), weak=False)
    return application


def tick(wiring: Wiring, sign: Callable[[], None], stopping: threading.Event) -> None:
    """Twice a second, in every worker: a sign of life, and for the one that is elected the sweep.

    Args:
        wiring: the collaborators.
        sign: notes a sign of life of this process.
        stopping: set when the process ends.
    """
    waits, refused = False, None
    while not stopping.wait(TICK_S):
        try:
            sign()
            wiring.meter.flush()
            reopen(wiring)
            if wiring.leases.elected("tick", int(TICK_S * 1000)):
                sweep(wiring)
            if waits:
                log.info("the sweep goes on")
            waits = False
            if wiring.policies.complaint != refused:
                refused = wiring.policies.complaint
                if refused:
                    log.error("the policy cannot be obeyed", error=refused)
                else:
                    log.info("the policy is understood again")
        except PushpruneError as error:
            if not waits:
                log.warning("the sweep waits", error=str(error))
            waits = True
        except Exception:  # noqa: BLE001 - the tick must outlive anything: without it lost work stays lost
            log.exception("the sweep failed; it goes on")


app = build()
