"""Redis: no eviction, persistence, free memory; and the settings that a managed server hides."""

import os
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import redis

from service.doctor import examine
from service.doctor.health import system_health
from service.domain.errors import StoreRefuses
from service.domain.finding import Finding
from service.settings import load_settings
from service.store.redis_info import RedisInfo, read_server
from service.wiring import Wiring, wire
from tests.doctor.conftest import look, quick
from tests.fakes.valkey import Valkey, free_port

pytestmark = pytest.mark.slow

LOGIN = "app:word"
APP = "user app on >word ~* &* +@all\n"
SOUND = RedisInfo("Redis 7.2", (7, 2), "noeviction", 0, 1 << 20, appends=True, saves=False, writes_fail=False)


@pytest.fixture(scope="module")
def own(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Valkey]:
    """A server whose settings may be changed."""
    with Valkey(tmp_path_factory.mktemp("own"), append_only=True) as server:
        yield server


def found(own: Valkey, **changes: str) -> tuple[Finding, ...]:
    client = own.client()
    sound = {"maxmemory": "0", "maxmemory-policy": "noeviction", "appendonly": "yes", "save": ""}
    for name, value in {**sound, **{name.replace("_", "-"): value for name, value in changes.items()}}.items():
        client.config_set(name, value)
    return look("redis", quick(wired(own.url)))


def test_workers_are_not_said_to_be_missing_if_redis_records_none(own: Valkey) -> None:
    own.client().config_set("maxmemory", "1")
    with pytest.raises(StoreRefuses, match="maxmemory"):
        look("workers", quick(wired(own.url)))
    wiring = wired(own.url)
    troubles = system_health(wiring.store, wiring.registry, wiring.policies).troubles
    (message,) = (trouble.message for trouble in troubles if trouble.about == "workers")
    assert message.startswith("Redis does not show which workers run: ")
    assert "maxmemory" in message


def wired(url: str) -> Wiring:
    return wire(load_settings(environ={}, redis={"url": url}))


def test_a_sound_server_is_fine(own: Valkey) -> None:
    (finding,) = found(own)
    assert (finding.severity, finding.fix) == ("ok", "")
    assert "appends every write to disk and evicts nothing" in finding.message


@pytest.mark.parametrize("policy", ["allkeys-lru", "volatile-ttl"])
def test_eviction_is_an_error_where_memory_is_limited(own: Valkey, policy: str) -> None:
    (finding,) = found(own, maxmemory_policy=policy, maxmemory="500mb")
    assert finding.severity == "error"
    assert finding.fix.startswith("redis-cli CONFIG SET maxmemory-policy noeviction")
    (finding,) = found(own, maxmemory_policy=policy)
    assert finding.severity == "warning"


def test_a_server_that_keeps_nothing_is_found(own: Valkey) -> None:
    (finding,) = found(own, appendonly="no")
    assert finding.severity == "error"
    assert finding.fix.startswith("redis-cli CONFIG SET appendonly yes")
    (finding,) = found(own, appendonly="no", save="3600 1")
    assert finding.severity == "warning"


def test_little_room_is_found(own: Valkey) -> None:
    used = read_server(wired(own.url).store.connection).used_bytes
    (finding,) = found(own, maxmemory=str(int(used * 1.1)))
    assert finding.severity in ("error", "warning")
    assert "of maxmemory is in use" in finding.message
    assert finding.fix.startswith("redis-cli CONFIG SET maxmemory ")
    own.client().config_set("maxmemory", "0")


def test_a_server_that_refuses_config_is_asked_for_the_rest(own: Valkey) -> None:
    found(own, appendonly="no", maxmemory_policy="allkeys-lfu", maxmemory="500mb")
    client: Any = own.client()
    client.execute_command("ACL", "SETUSER", "managed", "on", ">word", "~*", "+@all", "-config")
    url = own.url.replace("redis://", "redis://managed:word@")
    evicts, forgets = look("redis", quick(wired(url)))
    assert evicts.severity == "error"
    assert forgets.severity == "warning"
    assert "refuses CONFIG: whether it saves snapshots is not known" in forgets.message


@pytest.mark.parametrize(
    ("server", "severity", "sentence"),
    [
        (RedisInfo("Redis 6.0.16", (6, 0, 16), "noeviction", 0, 1, True, False, False), "error", "6.2 is needed"),
        (RedisInfo("Redis 7", (7, 0), "noeviction", 0, 1, True, False, True), "error", "fails to write to its disk"),
        (RedisInfo("Redis 7", (7, 0), "noeviction", 100, 85, True, False, False), "warning", "85% of maxmemory"),
        (RedisInfo("Redis 7", (7, 0), "noeviction", 100, 96, True, False, False), "error", "96% of maxmemory"),
    ],
)
def test_each_fault_of_a_redis_server_has_its_severity_and_a_fix(
    own: Valkey, monkeypatch: pytest.MonkeyPatch, server: RedisInfo, severity: str, sentence: str
) -> None:
    monkeypatch.setattr("service.doctor.redis.read_server", lambda connection: server)
    (finding,) = look("redis", quick(wired(own.url)))
    assert finding.severity == severity
    assert sentence in finding.message
    assert finding.fix


@pytest.mark.parametrize(
    ("command", "sentence", "fix"),
    [
        (("REPLICAOF", "127.0.0.1", "1"), "read only replica", "redis: {url: redis://PRIMARY:6379/0}"),
        (("CONFIG", "SET", "maxmemory", "1"), "of maxmemory is in use", "redis-cli CONFIG SET maxmemory "),
        (("ACL", "SETUSER", "app", "-@write"), "no permissions", "redis-cli ACL SETUSER NAME"),
        (
            ("SET", "pushprune:schema", "999"),
            "schema version 999, which is newer than",
            "pip install --upgrade pushprune",
        ),
        (("SET", "pushprune:schema", "0"), "version 0, which is older than", "pushprune worker"),
        (("SET", "pushprune:schema", "import"), "an import into Redis has begun", "pushprune doctor"),
    ],
)
def test_a_server_or_a_store_that_refuses_is_one_error_with_the_line_for_it(
    tmp_path: Path, command: tuple[str, ...], sentence: str, fix: str
) -> None:
    with Valkey(tmp_path, append_only=True, users=f"user default on nopass ~* &* +@all\n{APP}", login=LOGIN) as server:
        client: Any = server.client()
        client.execute_command(*command)
        (finding,) = look("redis", quick(wired(server.url)))
    assert (finding.severity, sentence in finding.message) == ("error", True)
    assert finding.fix.startswith(fix)


def test_only_one_check_of_the_doctor_waits_for_a_redis_that_hangs(tmp_path: Path) -> None:
    with Valkey(tmp_path) as server:
        case = quick(wired(server.url))
        assert server.pid is not None
        os.kill(server.pid, signal.SIGSTOP)
        findings = tuple(examine(case))
    of = {finding.name: finding for finding in findings}
    assert of["redis"].message.startswith("Redis does not answer")
    assert "not checked: Redis does not answer" in of["workers"].message
    waited = {
        finding.name for finding in findings if "not answer" in finding.message and "not checked" not in finding.message
    }
    assert waited == {"redis"}, "each check that needs Redis waited for its whole timeout"


@pytest.mark.parametrize(
    ("default", "is_sound"),
    [
        ("user default off", False),
        ("user default on nopass -@all +ping", False),
        ("user default off ~* &* +@all", True),
    ],
)
def test_a_default_user_that_cannot_read_the_file_is_found_before_a_restart_loses_history(
    tmp_path: Path, default: str, is_sound: bool
) -> None:
    users = f"{default}\n{APP}"
    with Valkey(tmp_path, append_only=True, users=users, login=LOGIN) as server:
        wiring = wired(server.url)
        wiring.store.outbox.mark_due(["shop/api"])  # a script, which the file holds as a transaction
        (finding,) = look("redis", quick(wiring))
        assert (finding.severity == "ok") == is_sound
        server.kill()
        server.start()
        assert bool(wired(server.url).store.outbox.backlog().due) == is_sound
    if not is_sound:
        assert "loses most of the history" in finding.message
        assert finding.fix.startswith("user default off ~* &* +@all")


def test_the_doctor_says_what_to_check_if_its_user_may_not_read_the_default_user(own: Valkey) -> None:
    found(own)
    client: Any = own.client()
    client.execute_command("ACL", "SETUSER", "least", "on", ">word", "~*", "+@all", "-acl")
    (finding,) = look("redis", quick(wired(own.url.replace("redis://", "redis://least:word@"))))
    assert finding.severity == "warning"
    assert "not known if the user `default`" in finding.message


def test_a_server_that_is_away_is_one_error() -> None:
    (finding,) = look("redis", quick(wired(f"redis://127.0.0.1:{free_port()}/0")))
    assert finding.severity == "error"
    assert finding.fix.startswith("redis: {url: redis://HOST:6379/0}")


def test_the_password_of_redis_is_printed_nowhere() -> None:
    url = f"redis://:hunter2@127.0.0.1:{free_port()}/0"
    assert "hunter2" not in repr(look("redis", quick(wired(url))))


def test_a_server_can_be_read(own: Valkey) -> None:
    server = read_server(wired(own.url).store.connection)
    assert server.version >= (6, 2)
    assert isinstance(own.client(), redis.Redis)
    assert server.used_bytes > 0
