"""/readyz of a whole system: what is wrong is said soon, and so is its end, without a restart."""

import os
import signal
import time
from typing import Any

import pytest
import requests

from tests.live.conftest import TOKEN, Live, LiveSystem, last, wait_until

pytestmark = pytest.mark.live
READ = "a-token-to-read-with-of-32-letters"


def ready(system: LiveSystem) -> dict[str, Any]:
    answer = requests.get(f"{system.web_url}/readyz", timeout=5, headers={"Authorization": f"Bearer {READ}"})
    assert answer.status_code == 200
    shown: dict[str, Any] = answer.json()
    return shown


def begin(live: Live) -> LiveSystem:
    return live(policy=last(3), tokens={"notify": TOKEN, "read": READ, "admin": f"{READ}-admin"})


def test_a_registry_that_is_away_is_said_within_15_s_and_its_return_as_well(live: Live) -> None:
    system = begin(live)
    system.start_worker("enforce,delete,reconcile")
    wait_until(lambda: ready(system)["status"] == "ready", "the system is not well")
    system.registry.stop()
    wait_until(lambda: ready(system)["registry"] == "does not answer", "nothing is said", 15)
    shown = ready(system)
    assert shown["status"] == "degraded"
    assert f"registry: the registry at {system.registry.url} cannot be reached" in str(shown["troubles"])
    system.registry.start()
    wait_until(lambda: ready(system)["status"] == "ready", "it is not well again", 15)


def test_a_redis_that_hangs_is_said_within_seconds_while_notifications_wait(live: Live) -> None:
    system = begin(live)
    system.start_worker()
    pid = system.valkey.pid
    assert pid is not None
    os.kill(pid, signal.SIGSTOP)
    try:
        system.pusher.push_image("shop/api", "v1")  # the registry notifies, again and again
        for _ in range(3):
            began_s = time.monotonic()
            answer = requests.get(f"{system.web_url}/readyz", timeout=20)
            assert (answer.status_code, answer.json()["status"]) == (503, "not ready")
            assert time.monotonic() - began_s < 5
    finally:
        os.kill(pid, signal.SIGCONT)
    wait_until(lambda: system.heard("shop/api", {"v1"}), "the push was not heard")
