"""`pushprune web` and `pushprune gate`: the processes of the HTTP edge, each with all of its options."""

import ipaddress
from functools import partial
from pathlib import Path
from threading import Thread

import click

from service import tracing
from service.log import log
from service.settings import load_settings
from service.web import server
from service.web.access import may_notify
from service.web.app import create_app, create_gate
from service.web.notifications import RECEIVE
from service.web.pages.rendering import compile_templates
from service.web.pools import THREADS, GatheringPool, thread_pool
from service.wiring import wire_service

_config = click.option(
    "--config",
    metavar="FILE",
    type=click.Path(dir_okay=False, path_type=Path),
    help="Settings as YAML [PUSHPRUNE_CONFIG].",
)


@click.command(epilog="\b\nExamples:\n  pushprune web\n  pushprune web --config pushprune.yaml")
@_config
def web(config: Path | None) -> None:
    """Serve notifications, the API, the metrics and the dashboard at `listen`, until SIGTERM or Ctrl-C."""
    settings = load_settings(config)
    listener = server.listening(settings.listen)
    server.stop_on_signals()
    application = create_app(wire_service(settings))
    log.info("web process starts", listen=settings.listen)
    tracing.start()
    # Beside the first requests: notifications must not wait for it.
    Thread(target=compile_templates, args=[application], name="compile templates", daemon=True).start()
    # Notifications have a thread of their own, so that they never wait for slow pages.
    pools = {"": thread_pool(THREADS), "/notifications": GatheringPool(application.extensions[RECEIVE])}
    proxies = [ipaddress.ip_network(name) for name in settings.web.proxies]
    is_large = partial(may_notify, settings)
    server.DeadlineServer(application, listener, pools, trusted=proxies, is_large=is_large).run()


@click.command(epilog="\b\nExamples:\n  pushprune gate\n  pushprune gate --config pushprune.yaml")
@_config
@click.option(
    "--only", is_flag=True, help="This is the only gate process: collections do not wait for one that was killed."
)
def gate(config: Path | None, only: bool) -> None:
    """Run the gate process, which the proxy asks before each write, at `gc.gate_listen`, until SIGTERM or Ctrl-C.

    A process of its own: nothing that happens to the web process stops a push.
    """
    settings = load_settings(config)
    listener = server.listening(settings.gc.gate_listen)
    server.stop_on_signals()
    application = create_gate(wire_service(settings), is_only=only)
    log.info("gate process starts", listen=settings.gc.gate_listen)
    # Each waiting request takes a thread; the threads beyond these answer requests that need not wait.
    waiting = settings.gc.gate_waiting
    pools = {"": thread_pool(THREADS + waiting)}
    # All clients' requests come from the one address of the proxy, so no limit for one address applies.
    server.DeadlineServer(
        application, listener, pools, connections=server.CONNECTIONS + waiting, per_address=None
    ).run()
