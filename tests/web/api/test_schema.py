"""schemathesis: the API keeps to its own document, whatever is asked; and what only looks changes nothing."""

import re
from collections.abc import Callable, Iterator
from typing import Any

import hypothesis
import pytest
from hypothesis import HealthCheck, Phase
from redis import Redis
from schemathesis import Case, GenerationMode
from schemathesis.core.result import Ok
from schemathesis.openapi import from_wsgi
from schemathesis.specs.openapi.checks import ignored_auth, positive_data_acceptance

from service.web.app import create_app
from service.wiring import Wiring
from tests.conftest import MakeWiring, keep_last
from tests.fakes.registry import FakeRegistry
from tests.support.api_requests import CHANGES, QUERIES, TOKENS, ask
from tests.support.examples import part_of
from tests.support.record import event, record

pytestmark = pytest.mark.slow

EXAMPLES = 12


@pytest.fixture
def wiring(make_wiring: MakeWiring) -> Iterator[Wiring]:
    """A registry and a history with something to find under the names that the document gives as examples."""
    with FakeRegistry() as registry:
        wiring = make_wiring(
            registry.url, keep_last(2), tokens=TOKENS, api={"changes_per_minute": 1_000_000}, gc={"command": "true"}
        )
        record(wiring.store.history, *(event(number, tag=f"v{number}") for number in range(1, 9)))
        record(
            wiring.store.history, event(9, "pull", "v3"), event(10, tag="v7"), event(11, "delete", "v2", digest=None)
        )
        yield wiring


def over_every_operation(wiring: Wiring, token: str, mode: GenerationMode, check: Callable[[Case[Any]], None]) -> None:
    """Run a check of each operation of the API over some requests, the same ones each time."""
    schema = from_wsgi("/openapi.json", create_app(wiring)).include(path_regex="^/api/")
    for item in schema.get_all_operations():
        assert isinstance(item, Ok)
        operation = item.ok()
        if mode is GenerationMode.NEGATIVE and not any((*operation.query, *operation.body)):
            continue  # any text may be a name
        strategy = operation.as_strategy(mode, headers=bearer(token))

        @hypothesis.settings(
            max_examples=part_of(EXAMPLES), derandomize=True, deadline=None, database=None, phases=[Phase.generate],
            suppress_health_check=list(HealthCheck),
        )  # fmt: skip
        @hypothesis.given(strategy)
        def run(case: Case[Any]) -> None:
            check(case)

        run()


def bearer(name: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {TOKENS[name]}"}


@pytest.mark.parametrize("mode", GenerationMode)
def test_every_answer_is_as_the_schema_says(wiring: Wiring, mode: GenerationMode) -> None:
    """All checks but two: what a schema cannot say, such as which cursors are ours, is refused with a sentence."""
    asked: set[tuple[str, str, int]] = set()

    def check(case: Case[Any]) -> None:
        # Wrong tokens are slowed with 429 after ten of them, which depends on time here: test_api_blueprint tries them.
        response = case.call_and_validate(excluded_checks=[positive_data_acceptance, ignored_auth])
        asked.add((case.method, case.path, response.status_code))

    over_every_operation(wiring, "admin", mode, check)
    assert 422 in {status for _, _, status in asked}
    assert {path for _, path, _ in asked} >= {"/api/v1/deletions", "/api/v1/repositories/{repository}/tags"}


def test_a_read_token_changes_nothing_whatever_it_asks(wiring: Wiring) -> None:
    before, asked = dump(wiring), set()

    def check(case: Case[Any]) -> None:
        response = case.call()
        asked.add((case.method, case.path, response.status_code == 403))

    over_every_operation(wiring, "read", GenerationMode.POSITIVE, check)
    routes = [*QUERIES, *CHANGES]
    http = create_app(wiring).test_client()
    for route in routes:
        ask(http, route, TOKENS["read"])
    assert dump(wiring) == before
    assert len({(method, path) for method, path, _ in asked}) == len(routes) - 1, "every one but /metrics was asked"
    assert {path for _, path, refused in asked if refused} == {
        re.sub("shop/api", "{repository}", path) for _, path in CHANGES
    }  # fmt: skip


def dump(wiring: Wiring) -> dict[str, bytes]:
    """All that the Redis of this test holds, as it is stored, without the test write of a health check."""
    client: Any = Redis.from_url(str(wiring.settings.redis.url))
    keys = sorted(client.scan_iter(match=f"{wiring.settings.redis.prefix}*", count=1000))
    return {key.decode(): client.dump(key) for key in keys if not key.endswith(b":pulse")}
