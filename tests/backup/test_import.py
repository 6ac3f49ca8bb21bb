"""An import refuses what it cannot take before it changes anything, and one that stopped halfway is begun anew."""

import gzip
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from service.backup import importing
from service.domain.errors import StoreBusy, StoreUnavailable
from service.store import backup as stored
from service.store.backup import Importing
from service.wiring import Wiring
from tests.conftest import MakeWiring
from tests.fakes.valkey import Valkey
from tests.support.backup import content, forget_all
from tests.support.record import event, record
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
        (changed(0, format=2, version="9.9"), "was written by pushprune 9.9 (format 2, schema 1), which is newer than"),
        (changed(0, schema=2), "(format 1, schema 2), which is newer than this one (format 1, schema 1): install that"),
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


def test_a_file_that_is_not_there_is_one_sentence(run: Run, tmp_path: Path) -> None:
    sentence = f"pushprune: {tmp_path}/none cannot be read: No such file or directory\n"
    assert run("import", f"{tmp_path}/none") == (1, "", sentence)
    sentence = f"pushprune: {tmp_path}/none/file cannot be written: No such file or directory\n"
    assert run("export", f"{tmp_path}/none/file") == (1, "", sentence)
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
    assert (code, "another import or a migration of this store is under way" in err) == (1, True)
    assert wiring.inventory.names() == (SHOP,)


def test_an_import_that_stopped_halfway_leaves_a_store_that_nothing_uses_until_it_is_repeated(
    run: Run, wiring: Wiring, file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = content(wiring)
    with monkeypatch.context() as patch:
        patch.setattr(stored, "AT_ONCE", 2)
        patch.setattr(Importing, "finish", _away)
        code, _, err = run("import", str(file), "--replace", "--yes")
    assert (code, "the import stopped (Redis is away): run it again; until then no process uses this store" in err) == (
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


def _away(_: Importing) -> None:
    raise StoreUnavailable("Redis is away")


def test_an_import_that_is_interrupted_before_it_changes_anything_leaves_the_store_as_it_was(
    run: Run, wiring: Wiring, file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = content(wiring)
    with monkeypatch.context() as patch:
        patch.setattr("service.store.backup.time.sleep", lambda _: (_ for _ in ()).throw(KeyboardInterrupt))
        assert run("import", str(file), "--replace", "--yes") == (1, "", "\npushprune: interrupted\n")
    assert run("repos")[0] == 0
    assert content(wiring) == before


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
    empty = Importing.empty

    def fill(self: Importing) -> None:
        empty(self)
        admin.config_set("maxmemory", 1)

    with monkeypatch.context() as patch:
        patch.setattr(Importing, "empty", fill)
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


def test_an_older_backup_is_migrated_by_the_service(run: Run, wiring: Wiring, file: Path) -> None:
    changed(0, schema=0)(file)
    assert run("import", str(file), "--replace", "--yes")[0] == 0
    code, _, err = run("repos")
    assert (code, "has schema version 0, which is older than version 1" in err) == (1, True)
