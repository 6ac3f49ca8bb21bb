"""An import refuses what it cannot take before it changes anything, and one that stopped halfway is begun anew."""

import gzip
import json
import os
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
from redis.client import NEVER_DECODE

from service.backup import importing
from service.domain.errors import StoreBusy, StoreUnavailable
from service.domain.oci.manifest import read_created
from service.domain.usage import RepositorySize, UsageSum
from service.store import backup_import as stored
from service.store.backup import SavedValue
from service.store.backup_import import BackupImport
from service.store.connection import Connection
from service.store.keys import short
from service.store.lease import Leases
from service.store.schema import IMPORT_BEGINS, IMPORTING, VERSION, Schema
from service.wiring import Wiring
from tests.conftest import MakeWiring
from tests.fakes.valkey import Valkey
from tests.support.backup import content, forget_all
from tests.support.record import digest, event, record
from tests.support.verbs import Run
from tests.support.verbs import run as run_verbs

run = run_verbs
SHOP = "shop/api"


@pytest.fixture
def wiring(make_wiring: MakeWiring, run: Run) -> Wiring:
    """The collaborators of the Redis that `run` works on."""
    return make_wiring()


@pytest.fixture
def file(run: Run, wiring: Wiring, at_once: None, tmp_path: Path) -> Path:
    """A backup of three pushes to shop/api."""
    path = tmp_path / "backup.jsonl"
    assert run("export", str(path))[0] == 0
    return path


def lines(file: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in file.read_text().splitlines()]


def rewrite(file: Path, rows: list[Any]) -> None:
    file.write_text("".join(json.dumps(row) + "\n" for row in rows))


def changed(number: int, **more: Any) -> Callable[[Path], None]:
    """Change members of one line, counted from 0."""

    def change(file: Path) -> None:
        rows = lines(file)
        rows[number] |= more
        rewrite(file, rows)

    return change


def without_the_end(file: Path) -> None:
    rewrite(file, lines(file)[:-1])


def without_a_line(file: Path) -> None:
    rows = lines(file)
    rewrite(file, rows[:3] + rows[4:])


def cut_in_a_line(file: Path) -> None:
    file.write_bytes(file.read_bytes()[:-10])


def packed_and_cut(file: Path) -> None:
    file.write_bytes(gzip.compress(file.read_bytes())[:-20])


def packed_and_damaged(file: Path) -> None:
    content = bytearray(gzip.compress(file.read_bytes()))
    # The checksum: damaged data may be a bad line first.
    content[-6] ^= 0xFF
    file.write_bytes(content)


def of_another_tool(file: Path) -> None:
    file.write_text('{"repositories": []}\n')


def with_a_live_tag_of_no_digest(file: Path) -> None:
    rows = lines(file)
    (live,) = (row for row in rows if row.get("key") == "live")
    live["value"]["v1"] = "nothing"
    rewrite(file, rows)


def with_entries_in_another_order(file: Path) -> None:
    rows = lines(file)
    first, second = [at for at, row in enumerate(rows) if row.get("key") == "history"][:2]
    rows[first], rows[second] = rows[second], rows[first]
    rewrite(file, rows)


def with_a_line(row: dict[str, Any]) -> Callable[[Path], None]:
    """Add a line behind the first."""
    return lambda file: rewrite(file, [lines(file)[0], row, *lines(file)[1:]])


def of(key: str, value: Any, **more: Any) -> Callable[[Path], None]:
    """Add a value of shop/api."""
    return with_a_line({"key": key, "repository": SHOP, "value": value, **more})


def shared(key: str, value: Any, **more: Any) -> Callable[[Path], None]:
    """Add a value that belongs to no repository."""
    return with_a_line({"key": key, "value": value, **more})


def entry(identifier: str) -> Callable[[Path], None]:
    return with_a_line({"key": "gc:runs", "id": identifier, "value": {"result": "done"}})


def with_deep_brackets(file: Path) -> None:
    first, *others = file.read_text().splitlines(keepends=True)
    file.write_text("".join([first, "[" * 200_000 + "\n", *others]))


def with_other_bytes_in_the_trash(file: Path) -> None:
    rows = lines(file)
    kept = json.dumps({"media_type": "m", "content": "e30=", "at_us": "1"})
    rows[1:1] = [{"key": "trash", "repository": SHOP, "value": {f"sha256:{'0' * 64}": kept}}]
    rewrite(file, rows)


@pytest.mark.parametrize(
    ("damage", "sentence"),
    [
        (of_another_tool, "is no backup: its first line is not that of `pushprune export`"),
        (lambda file: file.write_bytes(b""), "is no backup"),
        (changed(0, format=2, version="9.9"), "was written by pushprune 9.9 (format 2, schema 2), which is newer than"),
        (changed(0, schema=3), "(format 1, schema 3), which is newer than this one (format 1, schema 2): install that"),
        (without_the_end, "is cut off: its last line, which counts the others, is missing; use another backup"),
        (without_a_line, "is cut off"),
        (cut_in_a_line, "is cut off"),
        (packed_and_cut, "is cut off"),
        (packed_and_damaged, "is damaged behind line"),
        (changed(1, key="doomed"), "line 2: 'doomed' is no key of a backup; nothing was imported"),
        (changed(1, value=7), "line 2: its value is a text; nothing was imported"),
        (changed(1, repository="No/Name"), "line 2: 'No/Name' is no repository; nothing was imported"),
        (changed(1, more=1), "line 2: it is no line of a backup; nothing was imported"),
        (with_a_live_tag_of_no_digest, ": 'v1' of shop/api cannot be read; nothing was imported"),
        (with_entries_in_another_order, " does not come after "),
        # What Redis would refuse only after the store was emptied.
        (entry("0-0"), "line 2: 0-0 is no id of an entry; nothing was imported"),
        (entry("99999999999999999999-0"), "is no id of an entry; nothing was imported"),
        (of("counters", {"a": "\ud800"}), "line 2: it has a text that is no UTF-8; nothing was imported"),
        (of("pulled", {"v1": 10**400}), "line 2: its value is an object of numbers; nothing was imported"),
        (of("pulled", {"v1": True}), "line 2: its value is an object of numbers; nothing was imported"),
        (of("live", {"v9": f"{short(digest(1))} \u0661 ci"}), "line 2: 'v9' of shop/api cannot be read"),
        (of("live", {"v9": f"{short(digest(1))} {'1' * 5000} ci"}), "line 2: 'v9' of shop/api cannot be read"),
        (of("live", {"v1": "x 1 ci"}, added=5), "line 2: a value of live has no expires_ms and no added"),
        # What would expire for all repositories, or what the scripts cannot compute with.
        (of("generation", "5", expires_ms=1), "line 2: a value of generation has no expires_ms and no added"),
        (of("generation", str(1 << 53)), "line 2: '' of shop/api cannot be read"),
        (of("tags", {"v1": "inf"}), "line 2: 'v1' of shop/api cannot be read"),
        # What pages, metrics and /readyz read as numbers.
        (shared("counters", {"push": "9" * 400}), "line 2: 'push' of counters cannot be read"),
        (shared("usage:now", {"size": "9" * 400}), "line 2: 'size' of usage:now cannot be read"),
        (shared("gc:totals", {"runs done": "x"}), "line 2: 'runs done' of gc:totals cannot be read"),
        (shared("gc:runs", {"bytes_freed": "9" * 400}, id="1-1"), "line 2: 'bytes_freed' of gc:runs cannot be read"),
        (shared("gc:garbage", "{}"), "line 2: '' of gc:garbage cannot be read"),
        (shared("gc:rehearsal", "[]"), "line 2: '' of gc:rehearsal cannot be read"),
        (shared("troubles", {"lost x": '{"message": 1, "at_ms": 1}'}), "line 2: 'lost x' of troubles cannot be read"),
        (
            shared("troubles", {"lost x": '{"message": "", "at_ms": 1, "x": 1}'}),
            "line 2: 'lost x' of troubles cannot be read",
        ),
        (of("created", {"a": "-1"}), "line 2: 'a' of shop/api cannot be read"),
        (of("created", {"a": str(10**19)}), "line 2: 'a' of shop/api cannot be read"),
        (of("sizes", f"1 {'9' * 400} 1:1 1"), "line 2: '' of shop/api cannot be read"),
        (with_deep_brackets, "line 2: it is no line of a backup"),
        (changed(-1, values={"history": "x"}), "the last line has no counts; nothing was imported"),
        (changed(0, schema=0), " has schema 0, which this pushprune cannot migrate"),
        (changed(0, schema=-1), " has schema -1, which this pushprune cannot migrate"),
        (
            with_other_bytes_in_the_trash,
            f"line 2: 'sha256:{'0' * 64}' of shop/api cannot be read; nothing was imported",
        ),
    ],
)
def test_a_file_that_cannot_be_imported_is_refused_in_one_sentence_and_changes_nothing(
    run: Run, wiring: Wiring, file: Path, damage: Callable[[Path], object], sentence: str
) -> None:
    before = content(wiring)
    damage(file)
    for more in (("--replace", "--yes"), ("--dry-run",)):
        code, out, err = run("import", str(file), *more)
        assert (code, out, err.count("\n")) == (1, "", 1), err
        assert sentence in err
    assert content(wiring) == before


def test_numbers_that_pushers_may_choose_are_imported(run: Run, wiring: Wiring, file: Path) -> None:
    """Images of the year 9999, and manifests that state large or different sizes of a blob, are in a backup."""
    largest, usage = 2**53 - 1, UsageSum()
    usage.add("a/x", (("blob", 1),), 0)
    usage.add("b/y", (("blob", largest), ("other", largest), ("third", largest)), 0)
    total = usage.usage(1)
    assert total.prefixes == {"a": 1 - largest, "b": 2 * largest}
    wiring.store.usage.note(total, hourly=False)
    wiring.store.usage.note_size(SHOP, RepositorySize(2 * largest, 0, "1+0", 1))
    client, keys = wiring.store.connection.client, wiring.store.connection.keys
    client.hset(keys.of("created", SHOP), "a", read_created(b'{"created": "9999-12-31T23:59:59-14:00"}'))
    assert "left out" not in run("export", str(file))[2]
    assert run("import", str(file), "--replace", "--yes")[0] == 0
    assert wiring.store.usage.now() == total


def test_a_file_that_is_not_there_is_one_sentence(run: Run, tmp_path: Path) -> None:
    sentence = f"pushprune: {tmp_path}/none cannot be read: No such file or directory\n"
    assert run("import", f"{tmp_path}/none") == (1, "", sentence)
    sentence = f"pushprune: {tmp_path}/none/file cannot be written: No such file or directory\n"
    assert run("export", f"{tmp_path}/none/file") == (1, "", sentence)
    # The first look at it fails, as in a folder that this user may not search.
    long = f"{tmp_path}/{'a' * 300}"
    assert run("export", long) == (1, "", f"pushprune: {long} cannot be written: File name too long\n")
    assert list(tmp_path.iterdir()) == []


def test_a_store_with_a_history_is_replaced_only_on_request(run: Run, wiring: Wiring, file: Path) -> None:
    before = content(wiring)
    record(wiring.store.history, event(7, repository="shop/other"))
    code, _, err = run("import", str(file))
    assert (code, "Redis holds a history already: give --replace" in err) == (1, True)
    assert wiring.inventory.names() == (SHOP, "shop/other")
    assert run("import", str(file), "--dry-run")[:2] == (
        0,
        f"{file} can be imported: 1 repository with 3 entries in their histories ({len(lines(file)) - 2} lines)\n",
    )
    assert wiring.inventory.names() == (SHOP, "shop/other")
    assert run("import", str(file), "--replace", "--yes")[0] == 0
    assert content(wiring) == before


def test_an_import_leaves_what_belongs_to_running_processes(run: Run, wiring: Wiring, file: Path) -> None:
    client, keys = wiring.store.connection.client, wiring.store.connection.keys
    word = wiring.store.history.word()
    client.set(keys.of("restarts"), 3)
    client.hset(keys.of("gate"), "state", "closed")
    client.zadd(keys.of("doomed"), {SHOP: 1})
    assert run("import", str(file), "--replace", "--yes")[0] == 0
    assert (client.get(keys.of("restarts")), client.hget(keys.of("gate"), "state")) == ("3", "closed")
    assert client.get(keys.of("word")) == word
    assert not client.exists(keys.of("doomed"))


def test_no_import_begins_while_a_worker_writes_to_the_registry(run: Run, wiring: Wiring, file: Path) -> None:
    with wiring.store.leases.write():
        code, _, err = run("import", str(file), "--replace", "--yes")
    assert (code, "a worker is deleting images or collecting garbage: wait" in err) == (1, True)
    with wiring.store.leases.hold("schema"):
        code, _, err = run("import", str(file), "--replace", "--yes")
    assert (code, "another import or migration of the data in Redis is under way" in err) == (1, True)
    assert wiring.inventory.names() == (SHOP,)


def test_a_worker_that_begins_to_write_just_before_an_import_keeps_its_trash(
    run: Run, wiring: Wiring, file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = content(wiring)
    with ExitStack() as stack:

        def begin(_: float) -> None:
            # It has looked at the schema before the import began.
            stack.enter_context(Leases(wiring.store.connection.unchecked()).write())

        monkeypatch.setattr("service.store.backup_import.time.sleep", begin)
        code, _, err = run("import", str(file), "--replace", "--yes")
    assert (code, "a worker is deleting images or collecting garbage: wait" in err) == (1, True)
    assert run("repos")[0] == 0
    assert content(wiring) == before


def test_an_import_that_was_paused_does_not_empty_the_store_after_another_has_filled_it(
    wiring: Wiring, file: Path
) -> None:
    before, connection = content(wiring), wiring.store.connection.unchecked()
    with Leases(connection).hold("schema") as lease:
        assert lease
        lease.lost.set()
        with pytest.raises(StoreBusy, match="this import was paused for too long"):
            BackupImport(connection, lease, 1, "").empty()
    assert content(wiring) == before


def test_images_that_were_declared_to_be_in_use_are_replaced_only_on_request(
    run: Run, wiring: Wiring, file: Path
) -> None:
    forget_all(wiring)
    connection: Any = wiring.store.connection
    connection.client.zadd(connection.keys.of("leased", "in/use"), {digest(1): 1764479466123.5})
    code, _, err = run("import", str(file))
    assert (code, "give --replace to replace it" in err) == (1, True)
    assert connection.client.zcard(connection.keys.of("leased", "in/use")) == 1


def test_an_entry_that_no_import_accepts_is_left_out_of_a_backup_and_reported(
    run: Run, wiring: Wiring, file: Path, tmp_path: Path
) -> None:
    before, connection = content(wiring), wiring.store.connection
    client: Any = connection.client
    client.zadd(connection.keys.of("leased", "Reg:5000/No"), {digest(1): 7})
    client.hset(connection.keys.of("created", SHOP), "x", "yesterday")
    path = str(tmp_path / "second.jsonl")
    code, out, err = run("export", path)
    assert (code, out) == (0, "")
    notice = "pushprune: left out of the backup, because no import would take it: "
    assert err.splitlines()[:-1] == [
        f"{notice}leased of Reg:5000/No: 'Reg:5000/No' is no repository",
        f"{notice}created of {SHOP}: 'x' of {SHOP} cannot be read",
    ]
    assert run("import", path, "--replace", "--yes")[0] == 0
    assert content(wiring) == before


def test_a_backup_does_not_take_the_place_of_a_pipe_or_a_device(run: Run, wiring: Wiring, tmp_path: Path) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    assert run("export", str(pipe)) == (1, "", f"pushprune: {pipe} is no file: write to standard output with -\n")
    assert pipe.is_fifo()


def test_an_import_that_stopped_halfway_leaves_a_store_that_nothing_uses_until_it_is_repeated(
    run: Run, wiring: Wiring, file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = content(wiring)
    with monkeypatch.context() as patch:
        patch.setattr(stored, "AT_ONCE", 2)
        patch.setattr(BackupImport, "finish", _away)
        code, _, err = run("import", str(file), "--replace", "--yes")
    assert (
        code,
        "the import stopped (Redis is away): run it again; until then no process uses the data in Redis" in err,
    ) == (
        1,
        True,
    )
    for verb in (("repos",), ("export", "-")):
        code, out, err = run(*verb)
        assert (code, out) == (1, "")
        assert "an import into Redis has begun and has not ended: wait for it, or run `pushprune import` again" in err
    with pytest.raises(StoreBusy):
        wiring.store.connection.check_schema()
    # It asks for no --replace: what is there is of no use.
    assert run("import", str(file))[0] == 0
    assert content(wiring) == before


def _away(_: BackupImport) -> None:
    raise StoreUnavailable("Redis is away")


def test_an_import_that_is_interrupted_before_it_changes_anything_leaves_the_store_as_it_was(
    run: Run, wiring: Wiring, file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = content(wiring)
    with monkeypatch.context() as patch:
        patch.setattr("service.store.backup_import.time.sleep", lambda _: (_ for _ in ()).throw(KeyboardInterrupt))
        assert run("import", str(file), "--replace", "--yes") == (1, "", "\npushprune: interrupted\n")
    assert run("repos")[0] == 0
    assert content(wiring) == before


def test_an_import_that_is_killed_before_it_changes_anything_leaves_a_store_that_is_used_again(
    run: Run, wiring: Wiring, file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before, client = content(wiring), wiring.store.connection.client
    key = wiring.store.connection.keys.of("schema")
    states = []

    def killed(_: float) -> None:
        states.append(str(client.get(key)))
        assert run("repos")[0] == 1, "its process lives"
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr("service.store.backup_import.time.sleep", killed)
        run("import", str(file), "--replace", "--yes")
    client.set(key, states[0])
    code, _, err = run("import", str(file))
    assert (code, "Redis holds a history already: give --replace" in err) == (1, True)
    assert run("repos")[0] == 0
    assert (client.get(key), content(wiring)) == (str(VERSION), before)


def test_an_import_that_stopped_is_repeated_also_after_a_repetition_that_was_killed_at_once(
    run: Run, wiring: Wiring, file: Path
) -> None:
    wiring.store.connection.client.set(wiring.store.connection.keys.of("schema"), f"{IMPORT_BEGINS}{IMPORTING}")
    assert run("import", str(file))[0] == 0
    assert run("repos")[0] == 0


def test_an_import_that_was_paused_changes_nothing_once_another_process_uses_the_store(
    run: Run, wiring: Wiring, file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before, connection = content(wiring), wiring.store.connection
    monkeypatch.setattr(
        "service.store.backup_import.time.sleep", lambda _: connection.client.set(connection.keys.of("schema"), VERSION)
    )
    code, _, err = run("import", str(file), "--replace", "--yes")
    assert (code, "this import was paused for too long, and another process uses the data in Redis" in err) == (1, True)
    assert content(wiring) == before


def test_an_import_during_which_another_server_took_over_must_be_repeated(
    run: Run, wiring: Wiring, file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before, servers = content(wiring), iter("ab")
    with monkeypatch.context() as patch:
        patch.setattr(Connection, "run_id", lambda _: next(servers))
        code, _, err = run("import", str(file), "--replace", "--yes")
    assert (code, "another server took over, and may have lost a part): run it again" in err) == (1, True)
    assert wiring.store.backup.is_incomplete()
    assert run("import", str(file))[0] == 0
    assert content(wiring) == before


def careful(connection: Connection) -> Connection:
    """The same connection, with a replica that is away."""
    return Connection(connection.client, connection.keys, replicas=1)


def test_no_import_begins_without_the_replicas(
    run: Run, wiring: Wiring, file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = content(wiring)
    with monkeypatch.context() as patch:
        patch.setattr("service.store.connection.PULSE_S", 0.05)
        patch.setattr(Connection, "unchecked", careful)
        code, _, err = run("import", str(file), "--replace", "--yes")
    assert (code, "0 of 1 replicas of Redis (redis.replicas) received a write" in err) == (1, True)
    assert run("repos")[0] == 0
    assert content(wiring) == before


@pytest.fixture
def writer(wiring: Wiring) -> Iterator[BackupImport]:
    """The writer of an import that has emptied the store."""
    connection = wiring.store.connection.unchecked()
    with Leases(connection).hold("schema") as lease:
        assert lease
        connection.client.set(connection.keys.of("schema"), IMPORTING)
        yield BackupImport(connection, lease, 1, connection.run_id())


def test_an_import_is_done_only_once_the_replicas_have_it(
    wiring: Wiring, writer: BackupImport, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("service.store.connection.PULSE_S", 0.05)
    monkeypatch.setattr(writer, "_connection", careful(wiring.store.connection))
    with pytest.raises(StoreUnavailable, match="0 of 1 replicas"):
        writer.finish()
    assert wiring.store.backup.is_incomplete()


def test_no_pull_time_of_a_backup_replaces_a_later_one(wiring: Wiring, writer: BackupImport) -> None:
    client, pulled = wiring.store.connection.client, wiring.store.connection.keys.of("pulled", SHOP)
    client.zadd(pulled, {"v1": 5, "v2": 5})
    writer.write(SavedValue("pulled:R", SHOP, {"v1": 4, "v2": 6}))
    writer.finish()
    assert client.zrange(pulled, 0, -1, withscores=True) == [("v1", 5), ("v2", 6)]


def test_an_entry_that_was_written_twice_is_there_once(wiring: Wiring, file: Path) -> None:
    before = content(wiring)
    with file.open("rb") as stream:
        backup = importing.check(stream, "it", lambda values: values)
        importing.write(wiring.store, backup, lambda values: (value for value in values for _ in range(2)))
    assert content(wiring) == before


def test_a_full_redis_stops_an_import(
    run: Run, wiring: Wiring, file: Path, valkey: Valkey, monkeypatch: pytest.MonkeyPatch
) -> None:
    admin = valkey.client()
    empty = BackupImport.empty

    def fill(self: BackupImport) -> None:
        empty(self)
        admin.config_set("maxmemory", 1)

    with monkeypatch.context() as patch:
        patch.setattr(BackupImport, "empty", fill)
        code, _, err = run("import", str(file), "--replace", "--yes")
    admin.config_set("maxmemory", 0)
    assert (code, "its memory is full" in err, "run it again; until then no process uses" in err) == (1, True, True), (
        err
    )
    assert run("import", str(file))[0] == 0
    assert wiring.inventory.names() == (SHOP,)


def test_standard_output_becomes_standard_input(
    run: Run, wiring: Wiring, at_once: None, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    before = content(wiring)
    code, out, _ = run("export", "-")
    assert (code, out.count("\n")) == (0, len(out.splitlines()))
    forget_all(wiring)
    (tmp_path / "sent").write_text(out)
    with (tmp_path / "sent").open() as sent:
        monkeypatch.setattr("sys.stdin", sent)
        assert run("import", "-")[0] == 0
    assert content(wiring) == before


def test_an_older_backup_is_migrated_by_the_service(
    run: Run, wiring: Wiring, file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = content(wiring)
    changed(0, schema=1)(file)
    assert run("import", str(file), "--replace", "--yes")[0] == 0
    code, _, err = run("repos")
    assert (code, "has schema version 1, which is older than version 2" in err) == (1, True)
    monkeypatch.setattr("service.store.schema.WATCH_S", 0.01)
    Schema(migrates=True)(wiring.store.connection.unchecked())
    assert run("repos")[0] == 0
    assert content(wiring) == before


def test_users_of_live_tags_have_numbers_after_an_import(run: Run, wiring: Wiring, file: Path) -> None:
    rows = lines(file)
    (live,) = (row for row in rows if row.get("key") == "live")
    # The entries of their pushes may be too old for the history.
    live["value"] = {tag: flat.removesuffix("ci") + "robot" for tag, flat in live["value"].items()}
    rewrite(file, rows)
    assert run("import", str(file), "--replace", "--yes")[0] == 0
    connection: Any = wiring.store.connection
    values = connection.client.execute_command("HVALS", connection.keys.of("live", SHOP), **{NEVER_DECODE: True})
    number = connection.client.hget(connection.keys.of("dictionary"), "robot").encode()
    assert values
    assert all(packed[33:].endswith((b"!" + number, b":" + number)) for packed in values)
