"""Half-sent requests and large events stop no other request: no page, no notification, no push through the gate."""

import json
import socket
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from functools import partial
from urllib.parse import urlsplit

import pytest
import requests

from service.domain.oci.manifest import OCI_MANIFEST
from tests.fakes.images import make_image
from tests.live.conftest import TOKEN, Live, LiveSystem, last, wait_until

HEAD = b"GET /livez HTTP/1.1\r\nHost: x\r\nX-a: "
BODY = b"POST /notifications HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\nabc"


@pytest.fixture
def flood() -> Iterator[Callable[[str, bytes, int], list[socket.socket]]]:
    """flood(url, half, count): so many connections that stay open."""
    with ExitStack() as stack:

        def opened(url: str, half: bytes, count: int) -> list[socket.socket]:
            address = urlsplit(url)
            made = []
            for _ in range(count):
                connection = stack.enter_context(socket.create_connection((address.hostname or "", address.port or 0)))
                connection.sendall(half)
                made.append(connection)
            return made

        yield opened


def is_over(connection: socket.socket) -> bool:
    """True if the server has ended the connection."""
    connection.setblocking(False)
    try:
        return connection.recv(1) == b""
    except BlockingIOError:
        return False
    except ConnectionError:
        return True


def all_over(connections: list[socket.socket]) -> bool:
    return all(map(is_over, connections))


def is_answered_beside(system: LiveSystem, held: list[socket.socket]) -> bool:
    """True if a page and a notification are answered before the first half-sent request is given up."""
    assert requests.get(f"{system.web_url}/livez", timeout=60).status_code == 200
    bearer = {"Authorization": f"Bearer {TOKEN}"}
    answer = requests.post(f"{system.web_url}/notifications", json={"events": []}, headers=bearer, timeout=60)
    assert answer.status_code == 200
    return not any(map(is_over, held))


@pytest.mark.parametrize(
    "half", [pytest.param(HEAD, id="half a head"), pytest.param(BODY, id="half a body", marks=pytest.mark.deep)]
)
def test_half_sent_requests_hold_up_neither_pages_nor_notifications(
    live: Live, flood: Callable[[str, bytes, int], list[socket.socket]], half: bytes
) -> None:
    system = live(policy=last(3))
    for _ in range(5):
        held = flood(system.web_url, half, 45)
        # A machine that stands still may give them up first.
        is_answered = is_answered_beside(system, held)
        wait_until(partial(all_over, held), "the server waits for them for ever")
        if is_answered:
            return
    pytest.fail("half-sent requests hold up all others")


def test_no_flood_of_the_web_process_stops_a_push_through_the_gate(
    live: Live, flood: Callable[[str, bytes, int], list[socket.socket]]
) -> None:
    system = live(policy=last(3), gc={"gate": "proxy", "settle": 0})
    for half in (HEAD, BODY):
        flood(system.web_url, half, 140)
        flood(system.gate_url, half, 140)
    assert system.pusher.push_image("shop/api", "v1")
    wait_until(lambda: system.heard("shop/api", {"v1"}), "its notification was not taken")
    system.kill(system.web)
    assert system.pusher.push_image("shop/api", "v2")


def test_no_client_of_the_registry_stops_its_queue_with_a_large_event(live: Live) -> None:
    """An event repeats the references of a manifest, indented and with six bytes for each "<", and the User-Agent."""
    system = live(policy=last(3))
    image = make_image("large")
    for blob in image.blobs:
        system.pusher.push_blob("shop/api", blob)
    manifest = json.loads(image.manifest)
    (layer,) = manifest["layers"]
    several = {
        "letters": [layer | {"annotations": {"a": "<" * 1_000_000}}],
        "entries": [layer, *[{"urls": [""]}] * 250_000],
    }
    for tag, layers in several.items():
        content = json.dumps(manifest | {"layers": layers}, separators=(",", ":")).encode()
        system.pusher.put("shop/api", tag, OCI_MANIFEST, content)
    agent = {"User-Agent": "<" * 900_000, "Accept": OCI_MANIFEST}
    assert requests.get(f"{system.url}/v2/shop/api/manifests/letters", headers=agent, timeout=60).status_code == 200
    system.pusher.push_image("shop/web", "v1")
    wait_until(lambda: system.heard("shop/web", {"v1"}), "the queue of the registry stands still")
    assert system.heard("shop/api", set(several))
