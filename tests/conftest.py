"""Fixtures for every test: a real Redis server, a wiring over it, and a check that no undocumented key is left."""

import gc
import sys
import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from functools import cache
from pathlib import Path
from typing import Any

import hypothesis
import pytest
import redis
import structlog
from xdist.scheduler import LoadFileScheduling

from service.dispatch import Dispatch
from service.domain.policy.model import Policy
from service.log import log
from service.settings import load_settings
from service.store.catalog import Catalog
from service.store.connection import Connection, connect
from service.store.keys import Keys
from service.wiring import Wiring, wire
from tests.fakes.valkey import Valkey
from tests.support import examples, lease
from tests.support.schema import DESCRIBED
from tests.support.templates import compile_once

# Speed is measured by `make bench`; here a busy machine must not make a test red.
hypothesis.settings.register_profile("untimed", deadline=None)
hypothesis.settings.load_profile("untimed")

_CELERY = ("_kombu", "enforce", "delete", "garbage", "reconcile", "unacked")


# Every test of these folders has this mark. Those marked slow drive whole capabilities, or render the dashboard.
_SLOW = ("prune", "reconcile", "restore", "usage", "backup", "collect/online", "web/pages")
_MARKED = {"tests/live": "live", "tests/browser": "live"} | {f"tests/{folder}": "slow" for folder in _SLOW}
_ROOT = Path(__file__).parents[1]
# A machine may stop for longer than any bound. A test that fails for another reason is never run again.
_OUT_OF_TIME = [
    r"waited .*in vain",
    r"TimeoutExpired",
    r"(Timeout|with timeout) \d+ms",
    r"Read timed out",
    r"did not answer within",
    r"Redis does not answer",
]


def pytest_configure(config: pytest.Config) -> None:
    """Let hypothesis try fewer examples where slow tests are left out, compile each template once, and hold leases."""
    examples.choose(str(config.option.markexpr))
    compile_once()
    lease.be_patient()


def pytest_ignore_collect(collection_path: Path, config: pytest.Config) -> bool | None:
    """Do not even import the folders whose mark `-m` leaves out."""
    mark = _MARKED.get(str(collection_path.relative_to(_ROOT)))
    return True if mark and f"not {mark}" in config.option.markexpr else None


@cache
def _marks_of(path: Path) -> tuple[str, ...]:
    """The marks of the folders that a file is in."""
    relative = path.relative_to(_ROOT)
    return tuple(mark for folder, mark in _MARKED.items() if relative.is_relative_to(folder))


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark the tests of folders, try live ones that run out of time once more, and let deep ones take any time.

    The long files come first: two processes that share them have work until the end.
    """
    for item in items:
        for mark in _marks_of(item.path):
            item.add_marker(mark)
        if item.get_closest_marker("live"):
            item.add_marker(pytest.mark.flaky(reruns=1, only_rerun=_OUT_OF_TIME))
        if item.get_closest_marker("deep"):
            item.add_marker(pytest.mark.timeout(0))
    long = {item.path for item in items if item.get_closest_marker("live")}
    items.sort(key=lambda item: item.path not in long)


def pytest_terminal_summary(terminalreporter: Any) -> None:
    """Name each test that ran out of time and was run again, with the condition that it had waited for."""
    for report in terminalreporter.stats.get("rerun", ()):
        waited_for = report.longrepr.reprcrash.message
        terminalreporter.write_line(f"ran out of time, tried again: {report.nodeid}: {waited_for}")


class ByFile(LoadFileScheduling):
    """Each file is the work of one process of xdist. The files of the browser share a system: one process."""

    def _split_scope(self, nodeid: str) -> str:
        return "tests/browser" if nodeid.startswith("tests/browser/") else str(super()._split_scope(nodeid))


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> ByFile | None:
    """Take the place of `--dist loadfile`."""
    return ByFile(config, log) if config.getvalue("dist") == "loadfile" else None


def pytest_collectstart() -> None:
    """Look for no garbage in what is imported and collected, which takes a quarter of the time."""
    gc.disable()


def pytest_collection_finish() -> None:
    """Spare the garbage collector what was imported and collected: it lives until the end."""
    gc.freeze()
    gc.enable()


@pytest.fixture(autouse=True)
def log_to_this_test() -> Iterator[None]:
    """A log that writes to the standard error of the current test, whichever test was the first to log.

    A configured log keeps the stream that it first wrote to. With `capsys`, that stream is closed after the test.
    """
    yield
    log.__dict__.pop("bind", None)
    structlog.configure(logger_factory=lambda *_: structlog.PrintLogger(sys.stderr), cache_logger_on_first_use=False)


@pytest.fixture(scope="session")
def valkey(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Valkey]:
    """One real server for the whole session."""
    with Valkey(tmp_path_factory.mktemp("valkey")) as server:
        yield server


@pytest.fixture(scope="session")
def redis_client(valkey: Valkey) -> redis.Redis:
    """The one client of all tests. It waits long for a server that stops, as any process of a busy machine may."""
    return connect(valkey.url, answer_s=240)


@pytest.fixture
def connection(redis_client: redis.Redis) -> Iterator[Connection]:
    """A connection under a prefix of its own. At the end, keys.py must describe every key, and the indexes be right."""
    prefix = f"t{uuid.uuid4().hex[:12]}:"
    made = Connection(redis_client, Keys(prefix))
    yield made
    wrong = Catalog(made).correct_indexes()
    left = sorted(made.client.scan_iter(match=f"{prefix}*", count=1000))
    if left:
        made.client.delete(*left)
    assert not wrong, "a script left the indexes of the repositories wrong"
    assert not [key for key in left if not documented(str(key).removeprefix(prefix))]


def documented(key: str) -> bool:
    """True if a key (without prefix) is in the table of keys.py."""
    prefixes = tuple(f"{name}:" for name, has_member in DESCRIBED if has_member)
    return (key, False) in DESCRIBED or key.startswith(prefixes) or key.startswith(_CELERY)


@dataclass
class Messages(Dispatch):
    """A stand-in for the dispatch. sent: the messages, in order; walks: the number of messages about reconcile runs."""

    sent: list[tuple[str, ...]] = field(default_factory=list)
    walks: int = 0

    def enforce(self, repository: str) -> None:
        self.sent.append(("enforce", repository))

    def delete(self, repository: str) -> None:
        self.sent.append(("delete", repository))

    def collect(self) -> None:
        self.sent.append(("collect",))

    def reconcile(self) -> None:
        self.walks += 1


def messages_of(wiring: Wiring) -> Messages:
    """Return the messages that the wiring of a test would have sent."""
    assert isinstance(wiring.dispatch, Messages)
    return wiring.dispatch


KEEP_LAST = Callable[..., Policy]

# make_wiring(registry_url, policy, **settings)
MakeWiring = Callable[..., Wiring]


def keep_last(count: int, **more: Any) -> Policy:
    """A policy of one rule, without a hold unless asked for."""
    rule = {"name": "last", "keep": {"last": count}}
    return Policy.model_validate({"hold_over": 100, "hold_min": 1_000_000, "rules": [rule], **more})


def unheld(policy: Policy) -> Policy:
    """The same policy without a hold at the first clean-up, unless it says something about that itself.

    Many tests let a comparison find tags and expect that the policy deletes them.
    """
    return policy if "first_plan" in policy.model_fields_set else policy.model_copy(update={"first_plan": "apply"})


@pytest.fixture
def make_wiring(
    connection: Connection, valkey: Valkey, redis_client: redis.Redis, tmp_path: Path
) -> Callable[..., Wiring]:
    """The function that builds a wiring over the test's Redis. Its messages to the workers are noted, not sent."""

    def make(registry_url: str | None = None, policy: Policy | None = None, **settings: Any) -> Wiring:
        loaded = load_settings(
            environ={},
            redis={"url": valkey.url, "prefix": connection.keys.prefix},
            registry=({"url": registry_url} if registry_url else {}) | settings.pop("registry", {}),
            policy=unheld(policy or keep_last(10)),
            data_dir=tmp_path / "data",
            **settings,
        )
        return replace(wire(loaded, redis_client), dispatch=Messages())

    return make
