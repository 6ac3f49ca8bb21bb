"""A worker's health check says yes only while that very worker gives signs of life."""

import os
import socket
import subprocess
import sys
import time

import pytest

from service.store.connection import Connection
from service.store.outbox import Outbox
from tests.fakes.valkey import Valkey
from workers.health import is_alive

HOST = socket.gethostname()


def test_a_worker_that_gave_a_sign_of_life_is_alive(connection: Connection) -> None:
    Outbox(connection).sign_of_life(f"gc-worker@{HOST}")
    assert is_alive(connection, "gc-worker")


def test_a_living_worker_among_two_of_a_name_is_enough(connection: Connection) -> None:
    Outbox(connection).sign_of_life(f"worker@{HOST}", ("enforce",), "2-b")
    client, signs = connection.client, connection.keys.of("workers")
    client.zadd(signs, {f"worker@{HOST} 1-a enforce": connection.now_ms() - 11_000})
    assert is_alive(connection, "worker")


@pytest.mark.parametrize("other", [f"worker@{HOST}", "gc-worker@another-host"])
def test_another_workers_sign_of_life_does_not_count(other: str, connection: Connection) -> None:
    Outbox(connection).sign_of_life(other)
    assert not is_alive(connection, "gc-worker")


def test_a_worker_that_fell_silent_is_not_alive(connection: Connection) -> None:
    long_ago_ms = (time.time() - 11) * 1000
    connection.client.zadd(connection.keys.of("workers"), {f"worker@{HOST} 1-a enforce": long_ago_ms})
    assert not is_alive(connection, "worker")


def check(url: str, prefix: str) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "PUSHPRUNE_REDIS__URL": url, "PUSHPRUNE_REDIS__PREFIX": prefix}
    command = [sys.executable, "-m", "workers.health", "worker"]
    return subprocess.run(command, env=environment, capture_output=True, text=True, check=False)


@pytest.mark.slow
def test_the_command_says_it_with_its_exit_code(connection: Connection, valkey: Valkey) -> None:
    prefix = connection.keys.prefix
    silent = check(valkey.url, prefix)
    assert silent.returncode == 1
    assert silent.stderr == "pushprune: no report from worker worker for 10 s\n"
    Outbox(connection).sign_of_life(f"worker@{HOST}")
    assert check(valkey.url, prefix).returncode == 0


@pytest.mark.slow
def test_without_redis_it_says_so_in_one_sentence() -> None:
    away = check("redis://127.0.0.1:1/0", "pushprune:")
    assert away.returncode == 1
    assert away.stderr.startswith("pushprune: Redis does not answer")
    assert away.stderr.count("\n") == 1
