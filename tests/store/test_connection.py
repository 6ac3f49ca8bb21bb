"""Errors of Redis: a server that refuses writes or does not answer is noticed soon, and named in one sentence."""

import os
import signal
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
import redis

from service.dispatch import celery_app
from service.domain.errors import StoreRefuses, StoreUnavailable
from service.settings import load_settings
from service.store.connection import PULSE_S, Connection, connect
from service.store.history import History
from service.store.keys import Keys
from service.web.app import create_app
from service.wiring import wire
from tests.fakes.certificates import make_certificates
from tests.fakes.registry import FakeRegistry
from tests.fakes.valkey import Valkey, free_port
from tests.support.makers import envelope, event
from tests.support.record import event as recorded_event
from tests.support.record import record
from tests.support.waiting import until

pytestmark = pytest.mark.slow


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Valkey]:
    """A server of the test's own, to do harm to."""
    with Valkey(tmp_path / "redis") as valkey:
        yield valkey


def connection_to(url: str) -> Connection:
    return Connection(connect(url), Keys("p:"), connect(url, answer_s=PULSE_S))


def demote(client: Any) -> None:
    """Make the server a replica of a server that does not exist."""
    client.execute_command("REPLICAOF", "127.0.0.1", "1")


def promote(client: Any) -> None:
    client.execute_command("REPLICAOF", "NO", "ONE")


def test_the_pulse_tells_the_time_of_redis(server: Valkey) -> None:
    assert abs(connection_to(server.url).pulse() - time.time() * 1000) < 60_000


def test_a_replica_has_no_pulse_until_it_is_promoted(server: Valkey) -> None:
    connection = connection_to(server.url)
    demote(server.client())
    with pytest.raises(StoreRefuses, match="read only replica"):
        connection.pulse()
    promote(server.client())
    assert connection.pulse()


def test_a_demoted_server_is_left_for_the_one_its_name_leads_to(server: Valkey) -> None:
    """After a failover, the name of a managed Redis leads to another server; open connections use the old one."""
    connection = connection_to(server.url)
    before = connection.client.client_id()
    demote(server.client())
    with pytest.raises(StoreRefuses):
        connection.redis.set("p:x", 1)
    assert connection.client.client_id() != before


def script_connections(connection: Connection) -> set[str]:
    """The ids of the connections whose last command was a script."""
    clients: Any = connection.client.client_list()
    return {client["id"] for client in clients if client["cmd"] == "evalsha"}


def test_scripts_of_one_thread_after_the_other_share_a_connection(server: Valkey) -> None:
    connection = connection_to(server.url)
    undoom(connection)
    own = script_connections(connection)
    assert len(own) == 1
    with ThreadPoolExecutor(1) as pool:
        pool.submit(undoom, connection).result()
    assert script_connections(connection) == own


def test_threads_get_the_answers_to_their_own_commands(server: Valkey) -> None:
    client = connection_to(server.url).client
    numbers = [str(number) for number in range(8)]
    for number in numbers:
        client.set(number, number)

    def answers(number: str) -> set[object]:
        return {client.get(number) for _ in range(200)}

    with ThreadPoolExecutor(len(numbers)) as pool:
        assert list(pool.map(answers, numbers)) == [{number} for number in numbers]


def test_a_script_is_called_again_over_a_new_connection_if_the_old_one_is_lost(server: Valkey) -> None:
    connection = connection_to(server.url)
    undoom(connection)
    (lost,) = script_connections(connection)
    killer: Any = server.client()
    killer.client_kill_filter(_id=lost)
    undoom(connection)
    assert script_connections(connection) != {lost}


def test_a_script_leaves_a_server_that_refuses_it(server: Valkey) -> None:
    connection = connection_to(server.url)
    undoom(connection)
    before = script_connections(connection)
    demote(server.client())
    with pytest.raises(StoreRefuses):
        undoom(connection)
    promote(server.client())
    undoom(connection)
    assert script_connections(connection).isdisjoint(before)


@pytest.mark.parametrize(
    "write",
    [lambda connection: undoom(connection), lambda connection: connection.redis.set("p:x", 1)],
    ids=["script", "command"],
)
def test_a_refused_write_also_closes_the_connections_that_scripts_of_other_threads_left(
    server: Valkey, write: Callable[[Connection], object]
) -> None:
    """After a failover, the next thread would read from the old server."""
    connection = connection_to(server.url)
    client: Any = server.client()
    undoom(connection)
    client.execute_command("CLIENT", "PAUSE", 600_000, "WRITE")
    with ThreadPoolExecutor(2) as pool:
        calls = [pool.submit(undoom, connection) for _ in range(2)]
        until(lambda: client.info("clients")["blocked_clients"] == 2)
        client.execute_command("CLIENT", "UNPAUSE")
        for call in calls:
            call.result()
    before = script_connections(connection)
    assert len(before) == 2
    demote(client)
    with pytest.raises(StoreRefuses):
        write(connection)
    until(lambda: script_connections(connection).isdisjoint(before), within_s=30)


def test_a_forked_process_opens_a_connection_of_its_own(server: Valkey) -> None:
    """Both would read the answers of each other over a shared connection."""
    connection, client = connection_to(server.url), server.client()
    undoom(connection)
    before = client.info("stats")["total_connections_received"]
    if not (child := os.fork()):
        try:
            undoom(connection)
        finally:
            os._exit(0)
    os.waitpid(child, 0)
    assert client.info("stats")["total_connections_received"] == before + 1


def test_an_interrupted_script_leaves_no_answer_for_the_next_one(
    server: Valkey, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupt(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    echo: Any = connection_to(server.url).client.register_script("return ARGV[1]")
    assert echo(args=["first"]) == "first"
    with monkeypatch.context() as patch:
        patch.setattr(redis.Connection, "read_response", interrupt)
        with pytest.raises(KeyboardInterrupt):
            echo(args=["second"])
    assert echo(args=["third"]) == "third"


def undoom(connection: Connection) -> None:
    """Call a script that writes."""
    connection.run("undoom", "shop/api", short_digest="x", resend_ms=1)


def test_a_narrow_acl_has_no_pulse(server: Valkey) -> None:
    admin: Any = server.client()
    admin.execute_command("ACL", "SETUSER", "narrow", "on", ">pw", "~p:*", "+@all", "-set")
    url = server.url.replace("//", "//narrow:pw@")
    with pytest.raises(StoreRefuses, match="has no permissions to run the 'set' command"):
        connection_to(url).pulse()


@pytest.mark.parametrize("denied", ["sadd", "xadd", "hset", "zadd", "rpush", "hincrby", "zrem"])
def test_an_event_of_which_a_narrow_acl_denied_a_part_is_recorded_when_it_is_sent_again(
    server: Valkey, denied: str
) -> None:
    admin: Any = server.client()
    admin.execute_command("ACL", "SETUSER", "narrow", "on", ">pw", "~*", "+@all", f"-{denied}")
    narrowed = History(connection_to(server.url.replace("//", "//narrow:pw@")))
    for _ in range(2):
        with pytest.raises(StoreRefuses, match="permission"):
            record(narrowed, recorded_event(1))
    admin.execute_command("ACL", "SETUSER", "narrow", f"+{denied}")
    record(narrowed, recorded_event(1))
    assert [tag.name for tag in narrowed.live("shop/api")] == ["v1"]
    assert admin.zscore("p:due", "shop/api")
    assert [entry.action for entry in narrowed.entries("shop/api")][:1] == ["push"]


def test_a_full_memory_has_no_pulse(server: Valkey) -> None:
    server.client().config_set("maxmemory", "1")
    with pytest.raises(StoreRefuses, match="maxmemory"):
        connection_to(server.url).pulse()


@pytest.mark.parametrize("command", ["", "Command # 1 (SET p:word (secret NX) of pipeline caused error: "])
def test_a_full_disk_is_told_with_the_way_out_and_without_the_command(command: str) -> None:
    connection = connection_to("redis://127.0.0.1:1/0")
    sentence = "^Redis refuses: MISCONF .* No space left on device: it cannot write to its disk: free space there"
    with pytest.raises(StoreRefuses, match=sentence), connection.reached():
        raise redis.ResponseError(f"{command}MISCONF Errors writing to the AOF file: No space left on device")


def test_of_a_failed_snapshot_only_the_first_sentence_is_told() -> None:
    connection = connection_to("redis://127.0.0.1:1/0")
    refusal = (
        "MISCONF Valkey is configured to save RDB snapshots, but it's currently unable to persist to disk. Commands "
        "that may modify the data set are disabled, because this instance is configured to report errors during writes"
    )
    with pytest.raises(StoreRefuses, match="unable to persist to disk: it cannot write"), connection.reached():
        raise redis.ResponseError(refusal)


class TestSilence:
    """A server that is stopped takes connections, and answers nothing."""

    @pytest.fixture
    def silent(self, server: Valkey, monkeypatch: pytest.MonkeyPatch) -> Iterator[Valkey]:
        assert server.pid is not None
        # A moment is long enough for a machine that stands still.
        monkeypatch.setattr("service.store.connection._SILENCE_S", 240)
        # A stopped server does not answer, however long a wiring waits.
        monkeypatch.setattr("service.wiring.PULSE_S", 0.1)
        os.kill(server.pid, signal.SIGSTOP)
        yield server
        os.kill(server.pid, signal.SIGCONT)

    def test_readiness_says_so(self, silent: Valkey) -> None:
        web = create_app(wire(load_settings(environ={}, redis={"url": silent.url}))).test_client()
        answer = web.get("/readyz")
        assert (answer.status_code, (answer.json or {})["status"]) == (503, "not ready")
        assert "Redis does not answer" in answer.text

    def test_others_do_not_wait_as_well(self, silent: Valkey) -> None:
        """Without this, every thread of the web process waits, and none is left to report it."""
        web = create_app(wire(load_settings(environ={}, redis={"url": silent.url}))).test_client()
        web.get("/readyz")
        answer = web.post("/notifications", data=envelope(event()))
        assert (answer.status_code, "a moment ago" in answer.text) == (503, True), "it was asked again"

    def test_redis_is_used_again_once_it_answers(self, silent: Valkey, monkeypatch: pytest.MonkeyPatch) -> None:
        connection = connection_to(silent.url)
        with pytest.raises(StoreUnavailable):
            connection.pulse()
        with pytest.raises(StoreUnavailable, match="a moment ago"):
            connection.ping()
        assert silent.pid is not None
        os.kill(silent.pid, signal.SIGCONT)
        monkeypatch.setattr(connection, "_silent_until_s", 0.0)
        connection.ping()
        assert connection.now_ms()


def test_a_write_succeeds_only_once_the_replicas_have_it(server: Valkey, tmp_path: Path) -> None:
    careful = Connection(connect(server.url, answer_s=240), Keys("p:"), replicas=1)
    with pytest.raises(StoreUnavailable, match=r"0 of 1 replicas .*redis.replicas"):
        careful.run("mark_due", repositories=["shop/api"], resend_ms=1)
    with Valkey(tmp_path / "replica") as replica:
        follow: Any = replica.client()
        follow.execute_command("REPLICAOF", "127.0.0.1", str(server.port))
        while follow.info("replication")["master_link_status"] != "up":
            time.sleep(0.02)

        def is_received() -> bool:
            # A replica that stands still for two seconds is too late.
            with suppress(StoreUnavailable):
                careful.run("mark_due", repositories=["shop/api"], resend_ms=1)
                return True
            return False

        until(is_received)


def test_redis_with_tls_proves_itself_and_asks_for_a_client_certificate(tmp_path: Path) -> None:
    certificates = make_certificates(tmp_path)
    certificate, key = map(str, certificates.server)
    server, port = Valkey(tmp_path / "redis"), free_port()
    server.options = ("--tls-port", str(port), "--tls-ca-cert-file", str(certificates.authority))
    server.options += ("--tls-cert-file", certificate, "--tls-key-file", key)
    with server:
        redis = {"url": f"rediss://127.0.0.1:{port}/0", "ca_file": str(certificates.authority)}
        stranger = load_settings(environ={}, redis=redis).redis.address
        with pytest.raises(StoreUnavailable):
            connection_to(str(stranger)).pulse()
        known = load_settings(environ={}, redis={**redis, "certificate_file": certificate, "key_file": key})
        address = str(known.redis.address)
        assert connection_to(address).pulse()
        with celery_app(address, "p:").connection_for_write() as connection:
            connection.ensure_connection(max_retries=1)
            channel: Any = connection.default_channel
            assert channel.client.ping()


def test_threads_that_end_use_up_no_connection(server: Valkey) -> None:
    """A worker starts threads for each batch; the pool of redis-py has room for 100 connections."""
    connection = connection_to(server.url)
    for _ in range(120):
        with ThreadPoolExecutor(1) as pool:
            pool.submit(connection.pulse).result()
    # The server notices a closed connection a moment later.
    until(lambda: len(connection.client.client_list()) < 60)


def test_sentinels_that_do_not_answer_are_named_in_one_sentence() -> None:
    url = f"redis+sentinel://127.0.0.1:{free_port()}/shop/0"
    with pytest.raises(StoreUnavailable) as refused:
        connection_to(url).ping()
    assert str(refused.value) == "Redis does not answer (No master found for 'shop')"


def test_a_server_that_is_no_redis_is_named_in_one_sentence() -> None:
    with FakeRegistry() as registry, pytest.raises(StoreUnavailable, match="Protocol error"):
        connection_to(f"redis://{registry.url.removeprefix('http://')}/0").ping()
