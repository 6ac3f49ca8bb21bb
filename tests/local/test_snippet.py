"""The block for the registry's config.yml: valid YAML, and a real registry sends its notifications by it."""

import socket
from pathlib import Path

import pytest
import yaml

from service.local import snippet
from service.settings import load_settings
from tests.fakes.pusher import Pusher
from tests.fakes.real_registry import RealRegistry, require_registry
from tests.fakes.receiver import Receiver

BLOCK = snippet.notifications("http://127.0.0.1:8080", "t0ken")


def test_the_snippet_is_six_lines_of_yaml() -> None:
    assert len(BLOCK.splitlines()) == 6
    assert yaml.safe_load(BLOCK) == {
        "notifications": {
            "events": {"includereferences": True},
            "endpoints": [
                {
                    "name": "pushprune",
                    "url": "http://127.0.0.1:8080/notifications",
                    "headers": {"Authorization": ["Bearer t0ken"]},
                }
            ],
        }
    }


def test_the_hint_beside_it_is_the_setting_that_allows_deleting() -> None:
    assert yaml.safe_load(snippet.DELETE_HINT.partition(": ")[0]) is None  # a comment, should it be pasted as well
    setting = snippet.DELETE_HINT.partition(":  ")[2]
    assert yaml.safe_load(setting) == {"storage": {"delete": {"enabled": True}}}


@pytest.mark.live
def test_a_registry_with_it_tells_us_of_a_push_and_of_what_it_references(tmp_path: Path) -> None:
    require_registry()
    with Receiver() as receiver:
        block = yaml.safe_load(snippet.notifications(receiver.url.removesuffix("/notifications"), "t0ken"))
        with RealRegistry(directory=tmp_path, config=block) as registry, Pusher(registry.url) as pusher:
            pusher.push_image("shop/api", "v1")
            receiver.wait_for(lambda events: any(event["target"].get("tag") == "v1" for event in events), 60)
    messages = next(event for event in receiver.events if event["target"].get("tag") == "v1")
    assert messages["target"]["references"]
    assert {headers["Authorization"] for headers in receiver.headers} == {"Bearer t0ken"}


@pytest.mark.parametrize(
    ("listen", "address"),
    [
        ("127.0.0.1:8080", "http://127.0.0.1:8080"),
        ("[::1]:8080", "http://[::1]:8080"),
        ("prune.example:80", "http://prune.example:80"),
        ("0.0.0.0:8080", f"http://{socket.gethostname()}:8080"),
        (":8080", f"http://{socket.gethostname()}:8080"),
    ],
)
def test_the_address_is_one_that_the_registry_can_reach(listen: str, address: str) -> None:
    settings = load_settings(environ={}, listen=listen, tokens={"notify": "0123456789abcdef"})
    assert snippet.address(settings) == address
