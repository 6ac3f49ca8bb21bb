"""A whole system in one process: the fake registry, a real Redis, and the workers called as messages arrive."""

import json
from collections.abc import Callable, Iterator
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from service.clock import now_us
from service.collect import quiesce, rehearse, watch
from service.domain.errors import RegistryUnavailable
from service.domain.events import parse
from service.domain.policy.model import Policy
from service.domain.retention import evaluation, planner
from service.ingest.record import Recorder
from service.prune import deleting, listing, planning
from service.reconcile import compare
from service.registry.exchange import agent_with
from service.registry.storage import Storage
from service.settings import PolicySource
from service.store import Store
from service.wiring import Wiring
from tests.conftest import MakeWiring, Messages, keep_last
from tests.fakes.pusher import Pusher
from tests.fakes.registry import FakeRegistry
from workers import tasks
from workers.sweep import sweep

SHOP = "shop/api"
PAUSES: tuple[tuple[ModuleType, str], ...] = (
    (quiesce, "POLL_S"), (rehearse, "POLL_S"), (quiesce, "_PASSING_S"), (watch, "_LATE_S"),
)  # fmt: skip


@dataclass
class System:
    """A registry and workers to drive. Notifications are recorded as they come; while `deaf` they wait in `missed`."""

    registry: FakeRegistry
    wiring: Wiring

    def __post_init__(self) -> None:
        self.deaf = False
        self.missed: list[dict[str, Any]] = []

    @property
    def messages(self) -> Messages:
        assert isinstance(self.wiring.dispatch, Messages)
        return self.wiring.dispatch

    @property
    def storage(self) -> Storage:
        """The registry's storage, if it is on a disk."""
        assert isinstance(self.wiring.registry.storage, Storage)
        return self.wiring.registry.storage

    @property
    def agent(self) -> str:
        """The User-Agent of the workers' writes."""
        return agent_with(self.store.history.word())

    def hear(self, envelope: dict[str, Any]) -> None:
        if self.deaf:
            self.missed.append(envelope)
            return
        # A new one each time, as a test may exchange the wiring.
        wiring = self.wiring
        recorder = Recorder(wiring.store, wiring.policies)
        (recorded,) = recorder.record([parse(json.dumps(envelope).encode(), now_us())])
        for repository in recorded.due:
            wiring.dispatch.enforce(repository)

    def hear_late(self) -> None:
        """Deliver the missed notifications after all."""
        self.deaf = False
        for envelope in self.missed:
            self.hear(envelope)
        self.missed.clear()

    def settle(self) -> None:
        """Work off messages as the workers would, until there are none; fail if they never end."""
        for _ in range(500):
            if not self.messages.sent:
                return
            match self.messages.sent.pop(0):
                case ("enforce", repository):
                    planning.enforce(self.wiring, repository)
                case ("delete", repository):
                    deleting.delete(self.wiring, repository)
        pytest.fail("the messages never end")

    def work(self, at_most: int = 50) -> int:
        """Work like `settle`, but back off after a failure as a worker does. Returns the number of messages."""
        for done in range(at_most):
            if not self.messages.sent:
                return done
            match self.messages.sent.pop(0):
                case ("enforce", repository):
                    tasks.attempt(self.wiring, "due", repository, planning.enforce)
                case ("delete", repository):
                    tasks.attempt(self.wiring, "doomed", repository, deleting.delete)
        return at_most

    def end_back_offs(self) -> None:
        """Time passes: no back-off is in force any more; how often it failed is remembered."""
        client: Any = self.store.connection.client
        key = self.store.connection.keys.of("attempts")
        for field in client.hkeys(key):
            if field.endswith(" until"):
                client.hdel(key, field)

    def later(self, repository: str = SHOP, rounds: int = 3) -> None:
        """Time passes: whatever waits in the outbox is overdue, and is swept and worked off."""
        client: Any = self.store.connection.client
        keys = self.store.connection.keys
        for _ in range(rounds):
            self.end_back_offs()
            for key in (keys.of("due"), keys.of("doomed"), keys.of("healing"), keys.of("heal", repository)):
                for member in client.zrange(key, 0, -1):
                    client.zadd(key, {member: 1})
            sweep(self.wiring)
            self.work()

    def push(self, *tags: str, repository: str = "shop/api") -> None:
        for tag in tags:
            self.registry.push_image(repository, tag)

    def pull_whole(self, reference: str) -> str:
        """Pull an image of the shop with all that it references; return its digest."""
        return Pusher(self.registry.url).pull_whole(SHOP, reference)

    def tags(self, repository: str = "shop/api") -> set[str]:
        return set(self.registry.tags(repository))

    def reasons(self, action: str = "pruned", repository: str = "shop/api") -> dict[str, str]:
        entries = self.store.history.entries(repository)
        return {entry.tag: entry.reason for entry in entries if entry.action == action}

    @property
    def store(self) -> Store:
        """Everything in Redis."""
        return self.wiring.store


Make = Callable[..., System]


def untag_first(patch: pytest.MonkeyPatch, always: bool = True) -> None:
    """Untag everything before a manifest is deleted, however small the repository is; or never."""
    patch.setattr(deleting, "untagged_first", lambda doomed, *_, **__: len(doomed) if always else 0)


def put_in_force(patch: pytest.MonkeyPatch, policy: Policy, name: str = "another") -> None:
    """Put this policy in force, as its file would at the next look. Nothing is due yet."""
    patch.setattr(PolicySource, "current", lambda _: policy)
    patch.setattr(PolicySource, "name", name)


def doomed_system(make_system: Make, **more: Any) -> System:
    """v1 is doomed and not yet deleted; v2 is kept. The message about it is lost."""
    system = make_system(keep_last(1), **more)
    system.push("v1", "v2")
    planning.enforce(system.wiring, SHOP)
    assert len(system.store.history.doomed(SHOP)) == 1
    system.messages.sent.clear()
    return system


def check_that_a_push_wins(
    system: System, at_the_moment: Callable[[Callable[[], None]], None], seed: str, late: bool
) -> None:
    """Delete the doomed v1, and check that a push of v1 that meets the deletion is kept.

    Args:
        at_the_moment: has the push happen in the middle of the deletion.
        seed: makes the pushed image.
        late: True if the push is reported only after the deletion.
    """
    pushed: list[str] = []

    def push() -> None:
        system.deaf = late
        pushed.append(system.registry.push_image(SHOP, "v1", seed=seed))
        system.deaf = False

    at_the_moment(push)
    with suppress(RegistryUnavailable):
        deleting.delete(system.wiring, SHOP)
    assert pushed, "the push met nothing"
    system.hear_late()
    system.later()
    assert system.registry.tags(SHOP)["v1"] == pushed[0]
    assert system.pull_whole("v1") == pushed[0]
    assert {tag.name for tag in system.store.history.live(SHOP)} == system.tags()


@pytest.fixture
def make_system(make_wiring: MakeWiring) -> Iterator[Callable[..., System]]:
    """make_system(policy, version="2.8", **settings)"""
    with ExitStack() as stack:

        def make(policy: Policy, version: Any = "2.8", fake: dict[str, Any] | None = None, **settings: Any) -> System:
            heard: list[System] = []
            registry = FakeRegistry(version, notify=lambda envelope: heard[0].hear(envelope), **(fake or {}))
            stack.enter_context(registry)
            heard.append(System(registry, make_wiring(registry.url, policy, **settings)))
            return heard[0]

        yield make


@pytest.fixture
def on_disk(make_system: Make, tmp_path: Path) -> Make:
    """Make a system whose registry has its storage on a disk, and delete there (`delete.via: storage`)."""

    def make(policy: Policy, version: Any = "2.8", fake: dict[str, Any] | None = None, **settings: Any) -> System:
        disk = tmp_path / "registry"
        settings = {"storage": {"path": str(disk)}, "delete": {"via": "storage"}, **settings}
        return make_system(policy, version, {"disk": disk, **(fake or {})}, **settings)

    return make


@pytest.fixture(autouse=True)
def old_pushes(monkeypatch: pytest.MonkeyPatch) -> None:
    """Count pushes as old, so that nothing waits for missing tags."""
    monkeypatch.setattr(compare, "YOUNG_S", 0.0)


@pytest.fixture
def complete_pushes(monkeypatch: pytest.MonkeyPatch) -> None:
    """Count no push as a part of an index that may follow, so that nothing waits for that index."""
    for module in (evaluation, planner):
        monkeypatch.setattr(module, "ONE_PUSH_US", 0)


@pytest.fixture(autouse=True)
def short_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    """Shorten the pauses between the looks of a collection, and its wait for late events."""
    for module, pause in PAUSES:
        monkeypatch.setattr(module, pause, 0.02)


@pytest.fixture(autouse=True)
def whole_listings(monkeypatch: pytest.MonkeyPatch) -> None:
    """The registry is known to list every tag: a test of something else counts requests without those that try it."""
    monkeypatch.setattr(listing, "is_whole", lambda *_: True)
