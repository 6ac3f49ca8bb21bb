"""`pushprune worker`: a Celery worker with all of its options."""

import os
import warnings
from importlib import import_module
from pathlib import Path

import click

from service import log
from service.cli.command import examples
from service.dispatch import QUEUES
from service.settings import load_settings


@click.command(epilog=examples("pushprune worker", "pushprune worker --queues garbage --concurrency 1 --name garbage"))
@click.option(
    "--config", metavar="FILE", type=click.Path(dir_okay=False, path_type=Path),
    help="Settings as YAML [PUSHPRUNE_CONFIG].",
)  # fmt: skip
@click.option(
    "--queues",
    metavar="LIST",
    default=",".join(QUEUES.values()),
    show_default=True,
    help="The queues that this worker serves, with commas between them.",
)
@click.option("--concurrency", metavar="N", type=click.IntRange(1, 64), default=4, show_default=True, help="Threads.")
@click.option(
    "--name",
    metavar="NAME",
    default="worker",
    show_default=True,
    help="The worker's name; each on this machine needs its own.",
)
def worker(config: Path | None, queues: str, concurrency: int, name: str) -> None:
    """Plan, delete, reconcile and collect garbage, until SIGTERM or Ctrl-C."""
    wanted = queues.split(",")
    if unknown := sorted(set(wanted) - set(QUEUES.values())):
        known = ", ".join(QUEUES.values())
        raise click.BadParameter(f"there is no queue {unknown[0]}; the queues are {known}", param_hint="--queues")
    if config is not None:
        os.environ["PUSHPRUNE_CONFIG"] = str(config.absolute())
    settings = load_settings()
    log.configure(settings.log.format, settings.log.level)
    log.log.info("worker starts", name=name, queues=queues, concurrency=concurrency)
    # Celery warns root because of pickle, which is not accepted here.
    warnings.filterwarnings("ignore", "You're running the worker with superuser privileges")
    # By its name, because the command line and the workers do not import each other.
    import_module("workers.app").app.worker_main([
        "-q", "worker", "--pool", "threads", "--concurrency", str(concurrency), "-Q", queues, "-n", f"{name}@%h",
        "--loglevel", "WARNING", "--without-gossip", "--without-mingle", "--without-heartbeat",
    ])  # fmt: skip
