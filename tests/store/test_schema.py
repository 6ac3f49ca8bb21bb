"""The version of the schema: a newer store is refused; an older one is migrated once, also by processes that die."""

import multiprocessing
import os
import threading
import time
from collections.abc import Callable
from itertools import count
from typing import Any

import pytest
from redis.client import Pipeline

from service.domain.errors import SchemaTooNew, StoreBusy, StoreRefuses
from service.store import schema as module
from service.store.connection import Connection, connect
from service.store.schema import IMPORTING, VERSION, Migration, Schema, SchemaWatch
from service.wiring import Wiring, wire, wire_service
from tests.conftest import MakeWiring
from tests.fakes.valkey import Valkey
from tests.fakes.warm import run_verb
from tests.support.verbs import answer

# Version 0, made up: sizes were strings of their own, and are fields of the hash `sizes` since.
OLD = "size:"
REPOSITORIES = tuple(f"shop/api{number}" for number in range(5))


@pytest.fixture(autouse=True)
def at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """A migration does not wait for processes of the older version: none runs."""
    monkeypatch.setattr(module, "WATCH_S", 0.01)


def sizes_into_a_hash(migration: Migration, after: Callable[[], object] = lambda: None) -> None:
    """The made-up migration from version 0. after: called after each write."""
    keys = migration.connection.keys
    client = migration.connection.redis
    old = sorted(client.scan_iter(match=f"{keys.prefix}{OLD}*"))
    values = client.mget(old) if old else []
    for key, value in zip(old, values, strict=True):
        name = key.removeprefix(keys.prefix + OLD)

        def fill(pipe: Pipeline, row: tuple[str, str, str] = (key, name, value)) -> None:
            pipe.hset(keys.of("sizes"), row[1], row[2])
            pipe.delete(row[0])

        migration.write(fill)
        after()


def write_version_0(connection: Connection) -> None:
    client: Any = connection.client
    client.set(connection.keys.of("schema"), 0)
    for number, name in enumerate(REPOSITORIES):
        client.set(f"{connection.keys.prefix}{OLD}{name}", number)


def checked(connection: Connection, migration: Callable[[Migration], None] = sizes_into_a_hash, **more: Any) -> None:
    """Check the store as a process of version 1 does that knows version 0."""
    Schema(migrates=True, version=1, migrations={0: migration}, **more)(connection)


def is_migrated(connection: Connection) -> bool:
    client: Any = connection.client
    assert client.hgetall(connection.keys.of("sizes")) == {name: str(n) for n, name in enumerate(REPOSITORIES)}
    assert list(client.scan_iter(match=f"{connection.keys.prefix}{OLD}*")) == []
    return bool(client.get(connection.keys.of("schema")) == "1")


def version_of(wiring: Wiring) -> Any:
    return wiring.store.connection.client.get(wiring.store.connection.keys.of("schema"))


def test_an_empty_redis_and_one_without_a_version_have_the_version_of_the_process(make_wiring: MakeWiring) -> None:
    for _ in range(2):
        wiring = make_wiring()
        assert wiring.inventory.names() == ()
        assert version_of(wiring) == str(VERSION)
        wiring.store.connection.client.delete(wiring.store.connection.keys.of("schema"))
        wiring.store.history.word()


def test_a_store_is_looked_at_once_for_all_uses_of_a_process(make_wiring: MakeWiring) -> None:
    wiring = make_wiring()
    wiring.inventory.names()
    wiring.store.connection.client.delete(wiring.store.connection.keys.of("schema"))
    wiring.inventory.names()
    assert version_of(wiring) is None


def test_a_newer_store_is_refused_in_one_sentence_and_nothing_is_written(
    make_wiring: MakeWiring, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    wiring = make_wiring()
    client, keys = wiring.store.connection.client, wiring.store.connection.keys
    client.set(keys.of("schema"), VERSION + 1)
    sentence = (
        f"the data in Redis has schema version {VERSION + 1}, which is newer than version {VERSION} of this "
        "pushprune: install the version that wrote it, or import a backup that this version made"
    )
    with pytest.raises(SchemaTooNew, match=sentence):
        wiring.store.history.record_all(())
    with pytest.raises(SchemaTooNew, match=sentence):
        wire_service(wiring.settings)
    monkeypatch.setenv("PUSHPRUNE_REDIS__URL", str(wiring.settings.redis.address))
    monkeypatch.setenv("PUSHPRUNE_REDIS__PREFIX", keys.prefix)
    assert answer(capsys, "repos") == (1, "", f"pushprune: {sentence}\n")
    assert list(client.scan_iter(match=f"{keys.prefix}*")) == [keys.of("schema")]


@pytest.mark.slow
@pytest.mark.parametrize("verb", ["web", "worker", "gate"])
def test_no_process_of_the_service_starts_over_a_newer_store(make_wiring: MakeWiring, verb: str) -> None:
    settings = make_wiring().settings
    connection = make_wiring().store.connection
    connection.client.set(connection.keys.of("schema"), VERSION + 1)
    environ = {
        "PUSHPRUNE_REDIS__URL": str(settings.redis.address), "PUSHPRUNE_REDIS__PREFIX": connection.keys.prefix,
        "PUSHPRUNE_LISTEN": "127.0.0.1:0", "PUSHPRUNE_GC__GATE_LISTEN": "127.0.0.1:0",
    }  # fmt: skip
    process = run_verb(verb, environment={**os.environ, **environ}, timeout_s=300)
    assert process.returncode == 1
    assert process.stderr.splitlines()[-1].startswith(
        f"pushprune: the data in Redis has schema version {VERSION + 1}, which is newer"
    )


def test_an_older_store_is_migrated_by_the_service_and_not_by_the_command_line(
    connection: Connection, make_wiring: MakeWiring, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Schema.__init__, "__kwdefaults__", {"version": 1, "migrations": {0: sizes_into_a_hash}})
    write_version_0(connection)
    wiring = make_wiring()
    with pytest.raises(
        StoreRefuses, match=r"is older than version 1 of this pushprune: start its web process or a worker"
    ):
        wiring.inventory.names()
    monkeypatch.setattr(SchemaWatch, "run", lambda _: None)
    assert wire_service(wiring.settings).inventory.names() == ()
    assert is_migrated(connection)
    assert wiring.inventory.names() == ()


def test_processes_of_the_older_version_have_stopped_before_a_migration_writes(
    connection: Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_version_0(connection)
    older = Connection(connection.client, connection.keys, schema=Schema(migrates=True, version=0, migrations={}))
    command_line = Connection(connection.client, connection.keys, schema=Schema(migrates=False, version=1))
    older.check_schema()
    waits: list[float] = []

    def migrate(migration: Migration) -> None:
        assert waits == [2 * module.WATCH_S]
        for each in (older, command_line):
            with pytest.raises(StoreBusy, match="is being migrated by a newer pushprune: wait until it has finished"):
                each.check_schema()
        sizes_into_a_hash(migration)

    monkeypatch.setattr("service.store.schema.time.sleep", waits.append)
    checked(connection, migrate)
    assert is_migrated(connection)
    command_line.check_schema()
    with pytest.raises(SchemaTooNew):
        older.check_schema()


def test_processes_that_start_together_migrate_once(connection: Connection, valkey: Valkey) -> None:
    write_version_0(connection)
    ran, start = count(), threading.Barrier(8)
    refused: list[StoreBusy] = []

    def migrate(migration: Migration) -> None:
        next(ran)
        sizes_into_a_hash(migration, lambda: time.sleep(0.02))

    def process() -> None:
        own = Connection(connect(valkey.url), connection.keys)
        start.wait()
        try:
            checked(own, migrate)
        except StoreBusy as error:
            refused.append(error)
        else:
            assert is_migrated(own)

    threads = [threading.Thread(target=process) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert is_migrated(connection)
    assert next(ran) == 1
    assert refused


@pytest.mark.parametrize("writes", range(1, len(REPOSITORIES) + 1))
def test_a_migration_that_ends_halfway_begins_anew(connection: Connection, writes: int) -> None:
    write_version_0(connection)
    left = count(1)

    def fail() -> None:
        if next(left) == writes:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        checked(connection, lambda migration: sizes_into_a_hash(migration, fail))
    assert connection.client.get(connection.keys.of("schema")) == "migrating 0"
    checked(connection)
    assert is_migrated(connection)


def test_a_process_that_is_killed_in_a_migration_is_replaced(
    connection: Connection, valkey: Valkey, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "WATCH_S", 0.1)
    write_version_0(connection)

    def killed() -> None:
        own = Connection(connect(valkey.url), connection.keys)
        checked(own, lambda migration: sizes_into_a_hash(migration, lambda: os._exit(9)))

    process = multiprocessing.get_context("fork").Process(target=killed)
    process.start()
    process.join()
    assert process.exitcode == 9
    assert len(connection.client.hgetall(connection.keys.of("sizes"))) == 1
    schema = Schema(migrates=True, version=1, migrations={0: sizes_into_a_hash})
    guarded = Connection(connection.client, connection.keys, schema=schema)
    with pytest.raises(StoreBusy, match="another process migrates"):
        guarded.check_schema()
    # In tests a lease lasts for minutes.
    assert connection.client.pexpire(connection.keys.of("lease", "schema"), 100)
    SchemaWatch(guarded).wait()
    assert is_migrated(connection)


def test_a_process_that_was_paused_in_a_migration_writes_nothing_after_its_end(
    connection: Connection, valkey: Valkey
) -> None:
    write_version_0(connection)

    def paused(migration: Migration) -> None:
        connection.client.delete(connection.keys.of("lease", "schema"))
        checked(Connection(connect(valkey.url), connection.keys))
        connection.client.hset(connection.keys.of("sizes"), REPOSITORIES[0], "77")
        migration.write(lambda pipe: pipe.hset(connection.keys.of("sizes"), REPOSITORIES[0], 0))

    with pytest.raises(StoreBusy, match="another process has migrated the data"):
        checked(connection, paused)
    assert connection.client.hget(connection.keys.of("sizes"), REPOSITORIES[0]) == "77"


@pytest.mark.parametrize(("text", "error"), [(str(VERSION + 1), SchemaTooNew), (IMPORTING, StoreBusy)])
def test_a_running_process_stops_using_a_store_that_changed(
    make_wiring: MakeWiring, text: str, error: type[StoreRefuses]
) -> None:
    wiring = wire(make_wiring().settings)
    connection = wiring.store.connection
    wiring.inventory.names()
    connection.client.set(connection.keys.of("schema"), text)
    wiring.inventory.names()
    with pytest.raises(error):
        connection.check_schema()
    for use in (wiring.inventory.names, connection.pulse, lambda: wiring.store.history.record_all(())):
        with pytest.raises(error):
            use()
    connection.client.set(connection.keys.of("schema"), VERSION)
    wiring.inventory.names()
