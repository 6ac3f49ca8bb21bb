"""`python -m workers.health NAME`: exit 0 while the worker NAME of this host gives signs of life. For health checks."""

import socket
import sys

from service.domain.errors import ConfigurationError, PushpruneError
from service.settings import load_settings
from service.store.connection import Connection, connect
from service.store.keys import Keys
from service.store.outbox import Outbox

SILENT_S = 10.0


def is_alive(connection: Connection, name: str) -> bool:
    """Return True if a worker of this name, as `-n NAME@%h` gave it, gave a sign of life lately on this host.

    Raises StoreUnavailable if Redis does not answer.
    """
    silent_ms = connection.now_ms() - SILENT_S * 1000
    node = f"{name}@{socket.gethostname()}"
    return any(worker.name == node and worker.at_ms > silent_ms for worker in Outbox(connection).signs())


def main(name: str) -> None:
    """Exit silently with 0 if the worker is alive, else with one sentence and exit code 1."""
    try:
        alive = is_alive(_connection(), name)
    except PushpruneError as error:
        sys.exit(f"pushprune: {error}")
    if not alive:
        sys.exit(f"pushprune: no report from worker {name} for {SILENT_S:.0f} s")


def _connection() -> Connection:
    # Not through the wiring, which imports Celery: a health check runs every few seconds and must be cheap.
    redis = load_settings().redis
    if redis.address is None:
        raise ConfigurationError("redis.url is not set: set it to the address that the worker has")
    return Connection(connect(redis.address), Keys(redis.prefix))


if __name__ == "__main__":
    main(sys.argv[1])
