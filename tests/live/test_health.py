"""/readyz of a whole system names each problem, and its end, without a restart."""

import json
import os
import re
import signal
from contextlib import suppress
from typing import Any

import requests

from service.doctor import examine, open_case
from tests.live.conftest import PATIENCE_S, TOKEN, Live, LiveSystem, last, wait_until

READ = "a-token-to-read-with-of-32-letters"


def ready(system: LiveSystem, name: str, value: str) -> dict[str, Any]:
    """Wait until /readyz has this value."""
    headers = {"Authorization": f"Bearer {READ}"}

    def answer() -> Any:
        message = requests.get(f"{system.web_url}/readyz", timeout=60, headers=headers).json()
        return message.get(name) == value and message

    message: dict[str, Any] = wait_until(answer, f"{name} is not {value!r}")
    return message


def begin(live: Live) -> LiveSystem:
    return live(policy=last(3), tokens={"notify": TOKEN, "read": READ, "admin": f"{READ}-admin"})


def shown(system: LiveSystem) -> dict[str, str]:
    """Return the state of the registry where people and programs look: place → its words."""
    session = requests.Session()
    page = session.get(f"{system.web_url}/login", timeout=60).text
    form = {"csrf": re.findall(r'name="csrf" value="([^"]+)"', page)[0], "token": READ}
    session.post(f"{system.web_url}/login", data=form, headers={"Origin": system.web_url}, timeout=60)
    as_panel = {"HX-Request": "true"}
    overview, health = (
        session.get(f"{system.web_url}/panels/{name}/now", headers=as_panel, timeout=60).text
        for name in ("overview", "health")
    )
    headers = {"Authorization": f"Bearer {READ}"}
    answer = requests.get(f"{system.web_url}/api/v1/overview", headers=headers, timeout=60).json()
    (component,) = [component for component in answer["components"] if component["name"] == "registry"]
    (kind,) = re.findall(r'Registry</th>\s*<td data-name="State"><span class="status (\w+)"', health)
    return {
        "overview": "red" if '<span class="status fail">Registry</span>' in overview else "not red",
        "health": {"ok": "not red", "fail": "red"}.get(kind, "unknown"),
        "api": {"ok": "not red", "error": "red"}.get(component["state"], "unknown"),
    }


def is_shown(system: LiveSystem, state: str) -> bool:
    """True if the registry has this state everywhere. A page without Redis shows none."""
    with suppress(IndexError, KeyError, ValueError):
        return shown(system) == dict.fromkeys(("overview", "health", "api"), state)
    return False


def test_a_worker_that_is_stopped_says_so_and_logs_nothing_but_json(live: Live) -> None:
    system = live(policy=last(3))
    worker = system.start_worker()
    worker.terminate()
    assert worker.wait(PATIENCE_S) == 0
    events = [json.loads(line)["event"] for line in system.log("worker1").splitlines()]
    assert "worker stops" in events


def test_the_log_of_each_process_begins_with_its_start(live: Live) -> None:
    system = live(policy=last(3), gc={"gate": "proxy"}, tokens={"notify": TOKEN})
    system.start_worker()
    assert "web process starts" in system.log("web").splitlines()[0]
    assert "gate process starts" in system.log("gate").splitlines()[0]
    assert "worker starts" in system.log("worker1").splitlines()[0]


def test_a_registry_that_is_away_is_reported_and_its_return_as_well(live: Live) -> None:
    system = begin(live)
    system.start_worker("enforce,delete,reconcile")
    ready(system, "status", "ready")
    system.registry.stop()
    answer = ready(system, "registry", "does not answer")
    assert answer["status"] == "degraded"
    assert f"registry: the registry at {system.registry.url} cannot be reached" in str(answer["troubles"])
    wait_until(lambda: is_shown(system, "red"), "it is not shown everywhere that the registry is away")
    errors = {finding.name for finding in examine(open_case(system.wiring)) if finding.severity == "error"}
    assert "registry" in errors
    system.registry.start()
    ready(system, "status", "ready")
    wait_until(lambda: is_shown(system, "not red"), "it is not shown everywhere that the registry is back")


def test_a_redis_that_hangs_is_reported_while_notifications_wait(live: Live) -> None:
    system = begin(live)
    system.start_worker()
    pid = system.valkey.pid
    assert pid is not None
    os.kill(pid, signal.SIGSTOP)
    try:
        system.pusher.push_image("shop/api", "v1")  # the registry notifies, again and again
        for _ in range(3):
            answer = requests.get(f"{system.web_url}/readyz", timeout=60)
            assert (answer.status_code, answer.json()["status"]) == (503, "not ready")
    finally:
        os.kill(pid, signal.SIGCONT)
    wait_until(lambda: system.heard("shop/api", {"v1"}), "the push was not heard")
