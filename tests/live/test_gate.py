"""The write gate with a real nginx before a real registry: requests that wait, requests that pass, and whole pushes."""

from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
import requests

from service.domain.oci.manifest import OCI_MANIFEST
from tests.fakes.images import make_image, sha256
from tests.fakes.pusher import Pusher
from tests.fakes.real_registry import require_registry
from tests.live.conftest import Live, LiveSystem, last, wait_until
from tests.support.collectors import command

SHOP = "shop/api"


BEHIND = {"gate": "proxy", "settle": 0}


@pytest.fixture
def gated(live: Live) -> Live:
    """gated(gate_wait=…, …): a system behind the gate."""
    return lambda **gc: live(policy=last(10), gc=BEHIND | gc)


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LiveSystem]:
    """One system behind an open gate, for tests that leave the gate open; each has a repository of its own."""
    require_registry()
    with ExitStack() as stack:
        yield LiveSystem(tmp_path_factory.mktemp("gated"), stack, {"policy": last(10), "gc": BEHIND})


@pytest.fixture
def pool() -> Iterator[ThreadPoolExecutor]:
    with ThreadPoolExecutor(64) as made:
        yield made


def close(system: LiveSystem) -> None:
    gate = system.store.gate
    assert gate.drain("t1", 1, "by hand")
    assert gate.close("t1")
    wait_until(lambda: not gate.unaware("t1"), "the gate process does not obey")


def put(system: LiveSystem, tag: str = "v2", repository: str = SHOP, **headers: str) -> requests.Response:
    """Put the manifest of an image that is there under another tag."""
    result = Pusher(system.registry.url).manifest(repository, "v1")
    return requests.put(
        f"{system.url}/v2/{repository}/manifests/{tag}", data=result.content, timeout=120,
        headers={"Content-Type": OCI_MANIFEST, **headers},
    )  # fmt: skip


def test_reads_pass_a_closed_gate_and_writes_wait_until_it_opens(shared: LiveSystem, pool: ThreadPoolExecutor) -> None:
    system = shared
    digest = system.pusher.push_image(SHOP, "v1")
    close(system)
    assert system.pusher.pull_whole(SHOP, "v1") == digest
    assert system.pusher.digest_of(SHOP, "v1") == digest
    waiting = pool.submit(system.pusher.push_image, SHOP, "v2")
    also = pool.submit(put, system, "v3")
    refused = pool.submit(put, system, "v4")
    assert not waiting.done()
    assert system.registry.tag_names(SHOP) == {"v1"}
    system.store.gate.open("t1")
    assert waiting.result(300).startswith("sha256:")
    assert (also.result(300).status_code, refused.result(300).status_code) == (201, 201)
    system.pusher.pull_whole(SHOP, "v2")


def test_a_client_that_waited_in_vain_is_told_when_to_try_again(gated: Live) -> None:
    system = gated(gate_wait=1)
    system.pusher.push_image(SHOP, "v1")
    close(system)
    answer = put(system)
    assert (answer.status_code, answer.headers["Retry-After"]) == (503, "5")
    assert answer.json()["errors"][0]["code"] == "UNAVAILABLE"
    head = requests.head(f"{system.url}/v2/{SHOP}/blobs/sha256:{'a' * 64}", timeout=60)
    assert (head.status_code, head.headers["Retry-After"]) == (503, "5")


def test_without_a_gate_process_writes_are_told_to_come_again_and_reads_pass(gated: Live) -> None:
    system = gated()
    system.pusher.push_image(SHOP, "v1")
    system.kill(system.gate)
    answer = put(system)
    assert (answer.status_code, answer.headers["Retry-After"]) == (503, "5")
    system.pusher.pull_whole(SHOP, "v1")


def test_a_refusal_of_the_registry_passes_unchanged(shared: LiveSystem) -> None:
    manifest = f"{shared.url}/v2/shop/refused/manifests/v1"
    answer = requests.put(manifest, data=b"{}", timeout=60)
    assert (answer.status_code, answer.json()["errors"][0]["code"]) == (400, "MANIFEST_INVALID")
    assert requests.delete(manifest, timeout=60).status_code == 400
    assert requests.get(f"{shared.url}/-/gate", timeout=60).status_code == 404
    assert requests.get(f"{shared.url}/gate", timeout=60).status_code == 404


def test_the_registry_hears_the_address_that_nginx_sees_and_sends_clients_back_to_it(shared: LiveSystem) -> None:
    repository = "shop/address"
    shared.pusher.push_image(repository, "v1")
    forged = {"X-Forwarded-For": "6.6.6.6", "X-Real-IP": "6.6.6.6", "X-Original-Method": "GET"}
    assert put(shared, "forged", repository, **forged).status_code == 201
    wait_until(lambda: shared.heard(repository, {"v1", "forged"}), "the push was not heard")
    assert {entry.address for entry in shared.store.history.entries(repository)} == {"127.0.0.1"}
    begun = requests.post(f"{shared.url}/v2/{repository}/blobs/uploads/", timeout=60)
    assert begun.headers["Location"].startswith(f"{shared.url}/v2/{repository}/blobs/uploads/")


def test_a_body_in_flight_is_seen_by_the_registry(shared: LiveSystem) -> None:
    counted = shared.wiring.registry.debug
    assert counted is not None
    begun = requests.post(f"{shared.url}/v2/shop/body/blobs/uploads/", timeout=60)

    def slowly() -> Iterator[bytes]:
        yield b"x"
        wait_until(lambda: counted.writes() == 1, "nginx holds the body back")
        yield b"y"

    assert requests.patch(begun.headers["Location"], data=slowly(), timeout=60).status_code == 202


def test_notifications_are_handled_while_every_place_at_the_gate_is_taken(
    gated: Live, pool: ThreadPoolExecutor
) -> None:
    system = gated(gate_wait=120)
    system.pusher.push_image(SHOP, "v1")
    wait_until(lambda: system.heard(SHOP, {"v1"}), "the push was not heard")
    close(system)
    asked = [pool.submit(put, system, f"w{number}") for number in range(40)]
    wait_until(lambda: sum(item.done() for item in asked) == 8, "there are not 32 places")
    waiting = [item for item in asked if not item.done()]
    Pusher(system.registry.url).push_image("shop/past", "v1")
    wait_until(lambda: system.heard("shop/past", {"v1"}), "those who wait keep notifications away")
    assert not any(item.done() for item in waiting)
    system.store.gate.open("t1")
    assert {item.result(300).status_code for item in waiting} == {201}


class SlowPush:
    """A push of one image, step by step."""

    def __init__(self, system: LiveSystem, tag: str) -> None:
        self._pusher = Pusher(system.url, agent=f"slow/{tag}")
        self._image = make_image(tag, layers=2)
        self._tag = tag

    def begin(self) -> None:
        self._pusher.push_blob(SHOP, self._image.blobs[0])

    def end(self) -> str:
        for blob in self._image.blobs[1:]:
            self._pusher.push_blob(SHOP, blob)
        return self._pusher.put(SHOP, self._tag, self._image.media_type, self._image.manifest)

    @property
    def first(self) -> str:
        return sha256(self._image.blobs[0])


def collection(system: LiveSystem) -> Any:
    """The next collection that is made."""
    return wait_until(system.made, "no collection was made")[0]


def test_a_push_in_progress_ends_while_draining_and_the_next_one_waits(
    gated: Live, tmp_path: Path, pool: ThreadPoolExecutor
) -> None:
    system = gated(command=command(tmp_path))
    system.start_worker()
    push, other = SlowPush(system, "v1"), SlowPush(system, "v2")
    push.begin()
    system.store.collections.request("by hand")
    wait_until(lambda: _state(system) == "draining", "it does not drain")
    waiting: Future[None] = pool.submit(other.begin)
    digest = push.end()
    assert collection(system).result == "done"
    waiting.result(300)
    other.end()
    assert system.pusher.pull_whole(SHOP, "v1") == digest
    system.pusher.pull_whole(SHOP, "v2")


def test_the_blobs_of_a_stalled_push_are_not_swept(gated: Live, tmp_path: Path) -> None:
    system = gated(command=command(tmp_path))
    system.start_worker()
    push = SlowPush(system, "v1")
    push.begin()
    client: Any = system.store.connection.client
    wait_until(lambda: client.zcard("pushprune:unreferenced") == 2, "the gate's and the registry's word")
    client.delete("pushprune:pushing")  # as if it had been silent for half a minute
    system.store.collections.request("by hand")
    run = collection(system)
    assert (run.result, run.message) == ("done", "")
    assert system.wiring.registry.client.claims_blob(SHOP, push.first)
    push.end()
    system.pusher.pull_whole(SHOP, "v1")


def _state(system: LiveSystem) -> str:
    held = system.store.gate.state()
    return held.state if held else "open"


@pytest.mark.parametrize(("closed", "status"), [(False, 201), (True, 503)])
def test_when_redis_dies_an_open_gate_lets_writes_pass_and_a_closed_one_does_not(
    gated: Live, closed: bool, status: int
) -> None:
    system = gated(gate_wait=1)
    system.pusher.push_image(SHOP, "v1")
    if closed:
        close(system)
    system.valkey.kill()
    assert put(system).status_code == status
    system.pusher.pull_whole(SHOP, "v1")
    system.valkey.start()
    wait_until(lambda: put(system).status_code == status, "after Redis is back")


def test_a_push_past_the_gate_is_noticed_and_the_collection_put_off(gated: Live, tmp_path: Path) -> None:
    script = tmp_path / "slow.py"
    script.write_text(
        f"import pathlib, time\nfolder = pathlib.Path({str(tmp_path)!r})\n(folder / 'began').touch()\ntime.sleep(600)\n"
    )
    import sys

    system = gated(command=[sys.executable, str(script)])
    system.start_worker()
    system.store.collections.request("by hand")
    began, states = tmp_path / "began", list[str]()

    def stopped() -> bool:
        """Push past the gate while a dry run is made, which is stopped by that. True if the gate was closed for it."""
        wait_until(began.exists, "the dry run goes on")
        began.unlink()
        states.append(_state(system))
        Pusher(system.registry.url).push_image(SHOP, f"v{len(states)}")
        return states[-1] == "closed"

    # The dry run before the gate closes is stopped, and that behind it.
    wait_until(stopped, "the gate is not closed")
    assert states[0] == "open"
    results = system.store.collection_runs.latest
    wait_until(lambda: "postponed" in {run.result for run in results()}, "it goes on")
