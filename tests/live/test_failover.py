"""Redis fails over under pushes: Sentinel promotes a replica, no push is lost, and no process ends."""

import threading
from pathlib import Path

import pytest
import requests

from tests.fakes.pusher import Pusher
from tests.fakes.sentinels import Sentinels
from tests.live.conftest import Live, LiveSystem, last, wait_until

pytestmark = pytest.mark.live
KEPT, PUSHERS = 3, 4


class Pushing:
    """Pushes to a repository for each of four pushers, until the end of the block. pushed: the tags of each."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.pushed: dict[str, list[str]] = {f"shop/app{number}": [] for number in range(PUSHERS)}
        self.over = threading.Event()

    def __enter__(self) -> "Pushing":
        self._threads = [threading.Thread(target=self._push, args=(name,)) for name in self.pushed]
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.over.set()
        for thread in self._threads:
            thread.join()

    def go_on(self) -> None:
        """Wait until each pusher has pushed more than is kept."""
        so_far = self._fewest()
        wait_until(lambda: self._fewest() > so_far + KEPT, "nothing is pushed")

    def _fewest(self) -> int:
        return min(map(len, self.pushed.values()))

    def _push(self, repository: str) -> None:
        with Pusher(self.url) as client:
            while not self.over.wait(0.3):
                tag = f"v{len(self.pushed[repository])}"
                client.push_image(repository, tag)
                self.pushed[repository].append(tag)


def readiness(system: LiveSystem) -> int:
    return requests.get(f"{system.web_url}/readyz", timeout=60).status_code


def pushes_known(system: LiveSystem, repository: str) -> set[str]:
    entries = system.store.history.entries(repository, 1000)
    return {entry.tag for entry in entries if entry.action == "push"}


@pytest.mark.parametrize("times", [1, pytest.param(3, marks=pytest.mark.deep)])
def test_a_failover_under_pushes_loses_no_event_and_ends_no_process(live: Live, tmp_path: Path, times: int) -> None:
    with Sentinels(tmp_path / "sentinels") as servers:
        system = live(policy=last(KEPT), redis_url=servers.url, redis={"replicas": 1})
        processes = [system.web, system.start_worker(), system.start_worker()]
        with Pushing(system.url) as pushing:
            for killed_before in range(times):
                pushing.go_on()
                killed = servers.primary()
                servers.be_patient(3_600_000)
                killed.kill()
                wait_until(lambda: readiness(system) == 503, "/readyz stays green without Redis")
                servers.be_patient(1000)
                servers.wait_for_another_than(killed)
                wait_until(lambda: readiness(system) == 200, "/readyz stays red after the failover")
                if killed_before < times - 1:
                    servers.repair(killed)
        kept = {repository: set(tags[-KEPT:]) for repository, tags in pushing.pushed.items()}
        wait_until(lambda: {name: system.tags(name) for name in kept} == kept, "not all repositories are pruned")
        pushed = {repository: set(tags) for repository, tags in pushing.pushed.items()}
        # The registry repeats its notifications at intervals that grow.
        wait_until(lambda: {name: pushes_known(system, name) for name in pushed} == pushed, "the history lost a push")
        wait_until(system.quiet, "it does not get quiet")
        assert [process.poll() for process in processes] == [None, None, None]
