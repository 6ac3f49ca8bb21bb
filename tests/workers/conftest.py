"""A whole system in one process: the fake registry, a real Redis, and the workers called as messages arrive."""

import json
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Any

import pytest

from service.domain.notification import parse
from service.domain.policy import Policy
from service.wiring import Wiring, now_us
from tests.conftest import Messages
from tests.fakes.registry import FakeRegistry
from workers import deletion, enforcement


@dataclass
class System:
    """What the tests drive. Notifications are recorded as they come; while `deaf` they wait in `missed`."""

    registry: FakeRegistry
    wiring: Wiring

    def __post_init__(self) -> None:
        self.deaf = False
        self.missed: list[dict[str, Any]] = []

    @property
    def messages(self) -> Messages:
        return self.wiring.dispatch  # type: ignore[return-value]

    def hear(self, envelope: dict[str, Any]) -> None:
        if self.deaf:
            self.missed.append(envelope)
            return
        recorded = self.wiring.history.record(parse(json.dumps(envelope).encode(), now_us()))
        for repository in recorded.due:
            self.messages.enforce(repository)

    def hear_late(self) -> None:
        """What was missed arrives after all."""
        self.deaf = False
        for envelope in self.missed:
            self.hear(envelope)
        self.missed.clear()

    def settle(self) -> None:
        """Works off messages as the workers would, until there are none."""
        while self.messages.sent:
            match self.messages.sent.pop(0):
                case ("enforce", repository):
                    enforcement.enforce(self.wiring, repository)
                case ("delete", repository):
                    deletion.delete(self.wiring, repository)

    def push(self, *tags: str, repository: str = "shop/api") -> None:
        for tag in tags:
            self.registry.push_image(repository, tag)

    def tags(self, repository: str = "shop/api") -> set[str]:
        return set(self.registry.tags(repository))

    def reasons(self, action: str = "pruned", repository: str = "shop/api") -> dict[str, str]:
        entries = self.wiring.history.entries(repository)
        return {entry.tag: entry.reason for entry in entries if entry.action == action}


@pytest.fixture
def make_system(make_wiring: Callable[..., Wiring]) -> Iterator[Callable[..., System]]:
    """make_system(policy, version="2.8", **settings)"""
    with ExitStack() as stack:

        def make(policy: Policy, version: Any = "2.8", fake: dict[str, Any] | None = None, **settings: Any) -> System:
            heard: list[System] = []
            registry = FakeRegistry(version, notify=lambda envelope: heard[0].hear(envelope), **(fake or {}))
            stack.enter_context(registry)
            heard.append(System(registry, make_wiring(registry.url, policy, **settings)))
            return heard[0]

        yield make
