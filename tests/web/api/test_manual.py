"""The requests on the manual's page of the API get the answers that the page shows."""

import json
import shlex
from typing import Any

import pytest

from tests.conftest import keep_last
from tests.fakes.registry import FakeRegistry
from tests.support import manual
from tests.support.edge import ServeEdge
from tests.support.makers import event

TOKENS = {"READ": "r" * 32, "ADMIN": "a" * 32}
REQUESTS = [
    line.partition("   #")[0] for line in manual.code_blocks(manual.page("api"), "sh")[0].splitlines() if line.strip()
]
(SHOWN,) = (json.loads(block) for block in manual.code_blocks(manual.page("api"), "json"))


def answer(serve: ServeEdge, registry: FakeRegistry, request: str) -> Any:
    """Send a curl command of the manual to a service that knows v1 … v7 of shop/api, and return the JSON."""
    tokens = {name.lower(): token for name, token in TOKENS.items()}
    edge = serve(policy=keep_last(2), tokens=tokens, registry={"url": registry.url})
    edge.heard(*(event(tag=f"v{number}", at=number) for number in range(1, 8)))
    program, *words = shlex.split(request)
    assert program == "curl"
    options = {option: words[words.index(option) + 1] for option in ("-H", "-d") if option in words}
    name, value = options["-H"].split(": ")
    for variable, token in TOKENS.items():
        value = value.replace(f"${variable}", token)
    response = edge.http.open(
        words[-1], method="POST" if "-d" in options else "GET", headers={name: value}, data=options.get("-d")
    )
    assert response.status_code == 200, response.text
    return response.json


def test_the_manual_has_three_requests() -> None:
    assert len(REQUESTS) == 3


@pytest.mark.parametrize("request_", REQUESTS)
def test_every_request_is_answered(serve_over_valkey: ServeEdge, registry: FakeRegistry, request_: str) -> None:
    assert answer(serve_over_valkey, registry, request_)


def test_the_answer_has_the_fields_that_the_manual_shows(serve_over_valkey: ServeEdge, registry: FakeRegistry) -> None:
    answered = answer(serve_over_valkey, registry, REQUESTS[1])
    (shown_tag,), (tag,) = SHOWN["tags"], answered["tags"]
    assert (SHOWN.keys(), shown_tag.keys()) == (answered.keys(), tag.keys())
    assert [(item["tag"], item["verdict"], item["reason"]) for item in (shown_tag, tag)] == [
        ("v7", "keep", "number 1 of the newest 2 (rule last)")
    ] * 2
    assert SHOWN["total"] == answered["total"]
