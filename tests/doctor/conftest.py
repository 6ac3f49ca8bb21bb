"""A case over the fake registry and the test's own Redis; the web process is the real application, without a socket."""

import json
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from service.doctor import CHECKS, Case, open_case
from service.domain.finding import Finding
from service.web.app import create_app
from service.wiring import Wiring
from tests.fakes.registry import FakeRegistry

Examine = Callable[[str, Case], tuple[Finding, ...]]


@pytest.fixture
def site(make_wiring: Callable[..., Wiring]) -> Iterator[FakeRegistry]:
    """A registry that tells our application of everything, before it answers."""
    web = create_app(make_wiring()).test_client()

    def tell(envelope: dict[str, Any]) -> None:
        web.post("/notifications", data=json.dumps(envelope))

    with FakeRegistry(notify=tell, references=True) as registry:
        yield registry


def look(name: str, case: Case) -> tuple[Finding, ...]:
    """Return the findings of one check; its errors are the test's."""
    return tuple(CHECKS[name](case))


def one(name: str, case: Case) -> Finding:
    """The only thing one check finds."""
    (finding,) = look(name, case)
    return finding


def quick(wiring: Wiring, **options: Any) -> Case:
    """A case that does not wait for events that never come."""
    return open_case(wiring, **{"patience_s": 0.2, **options})
