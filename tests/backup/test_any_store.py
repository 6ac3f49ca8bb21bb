"""A backup holds any content of Redis, and an import brings it back; also if pushes were recorded meanwhile."""

import io
import json
from collections import Counter
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from service.backup import importing
from service.backup.export import export
from service.store.backup import LEFT_OUT, SAVED, Backup, name_of
from service.store.connection import Connection
from service.wiring import Wiring
from tests.conftest import MakeWiring
from tests.support.backup import content, forget_all
from tests.support.record import digest, event, record
from tests.support.schema import DESCRIBED, KINDS

# Any text but what no text in UTF-8 has.
TEXT = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=12)
FIELDS = st.dictionaries(TEXT, TEXT, min_size=1, max_size=3)
REPOSITORY = st.sampled_from(["shop/api", "a", "team/x_y/z-1"])
EVENTS = st.lists(
    st.tuples(
        st.sampled_from(["push", "push", "pull", "delete"]),
        REPOSITORY,
        st.sampled_from(["v1", "v2", "_.-", "A" * 128]),
        st.integers(1, 5),
        TEXT,
        TEXT,
    ),
    max_size=12,
)
STREAM = st.lists(FIELDS, max_size=3)
COUNTERS = st.dictionaries(TEXT, st.integers(0, 2**53 - 1).map(str), min_size=1, max_size=3)
# Users write them, also with fractions, and very large ones.
LEASED = st.dictionaries(TEXT, st.sampled_from([1.0, 1764479466123.456, 1e18, "inf"]))


def round_trip(wiring: Wiring) -> bytes:
    """Export, lose Redis, import. Returns the backup."""
    backup = b"".join(export(wiring.store, lambda names: names, Counter()))
    forget_all(wiring)
    checked = importing.check(io.BytesIO(backup), "it", lambda values: values)
    importing.write(wiring.store, checked, lambda values: values)
    wiring.store.connection.check_schema()
    return backup


@pytest.fixture
def wiring(make_wiring: MakeWiring, at_once: None) -> Wiring:
    return make_wiring()


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=20)
@given(events=EVENTS, shared=COUNTERS, runs=STREAM, leased=LEASED)
def test_any_store_survives_a_round_trip(
    wiring: Wiring, events: list[Any], shared: dict[str, str], runs: list[dict[str, str]], leased: dict[str, Any]
) -> None:
    forget_all(wiring)
    client: Any = wiring.store.connection.client
    of = wiring.store.connection.keys.of
    for number, (action, repository, tag, seed, actor, agent) in enumerate(events):
        more = {"digest": None} if action == "delete" else {"digest": digest(seed)}
        record(
            wiring.store.history,
            event(number, action, tag, repository=repository, actor=actor, useragent=agent, **more),
        )
    client.hset(of("counters"), mapping=shared)
    for fields in runs:
        client.xadd(of("gc:runs"), fields)
    if leased:
        client.zadd(of("leased", "in/use"), leased)
    before = content(wiring)
    backup = round_trip(wiring)
    assert content(wiring) == before
    for name in wiring.inventory.names():
        wiring.store.history.snapshot(name)
        wiring.store.history.entries(name)
    again = b"".join(export(wiring.store, lambda names: names, Counter())).splitlines()
    assert len(again) == len(backup.splitlines())


def test_each_repository_is_of_one_moment_while_pushes_are_recorded(wiring: Wiring) -> None:
    names = ("shop/api", "shop/web")
    for name in names:
        record(wiring.store.history, event(1, repository=name, id=name))
    lines = []
    for number, line in enumerate(export(wiring.store, lambda names: names, Counter()), 2):
        lines.append(json.loads(line))
        for name in names:
            record(wiring.store.history, event(number, repository=name, tag=f"v{number}", id=f"{name}{number}"))
    for name in names:
        rows = {row["key"]: row["value"] for row in lines if row.get("repository") == name and "id" not in row}
        entries = [row for row in lines if row.get("repository") == name and row["key"] == "history"]
        assert rows["tags"].keys() == rows["live"].keys()
        assert len(entries) == len(rows["tags"])
    backup = io.BytesIO("".join(json.dumps(line) + "\n" for line in lines).encode())
    forget_all(wiring)
    importing.write(wiring.store, importing.check(backup, "it", lambda values: values), lambda values: values)
    wiring.store.connection.check_schema()
    assert wiring.inventory.names() == names
    assert wiring.store.history.entries("shop/web")


def test_a_large_repository_is_written_in_lines_of_moderate_length(wiring: Wiring) -> None:
    client: Any = wiring.store.connection.client
    of = wiring.store.connection.keys.of
    record(wiring.store.history, event(1))
    client.zadd(of("pulled", "shop/api"), {f"v{number}": number for number in range(1201)})
    client.hset(of("gc:logs"), mapping={str(number): "x" * 700_000 for number in range(4)})
    before = content(wiring)
    backup = round_trip(wiring)
    assert content(wiring) == before
    assert max(map(len, backup.splitlines())) < 1_500_000
    assert Counter(json.loads(line).get("key") for line in backup.splitlines()).items() >= {
        ("pulled", 3),
        ("gc:logs", 4),
    }


def test_every_key_is_either_in_a_backup_or_left_out_of_backups() -> None:
    decided = [*SAVED, *(name for names in LEFT_OUT.values() for name in names)]
    assert len(decided) == len(set(decided))
    assert {
        (name.partition(":")[0] if name.endswith((":R", ":N", ":NAME")) else name, name.endswith((":R", ":N", ":NAME")))
        for name in decided
    } == DESCRIBED
    kinds = {"field": {"hash"}, "score": {"zset"}, "scores": {"zset"}, "member": {"set"}}
    for name, kind in SAVED.items():
        assert KINDS[name] in kinds.get(kind, {kind}), name


def test_every_key_is_found_by_its_name() -> None:
    assert name_of("doomed") == "doomed"
    assert name_of("doomed:shop/api") == "doomed:R"
    assert name_of("gc:runs") == "gc:runs"
    assert name_of("lease:gc:runs") == "lease:NAME"
    assert name_of("seen:17") == "seen:N"
    assert name_of("_kombu.binding.enforce") == ""


def test_a_value_about_many_images_is_read_in_parts(connection: Connection, monkeypatch: pytest.MonkeyPatch) -> None:
    rows: Any = {f"shop/api {number}": "1 2 3" for number in range(1_200)}
    connection.client.hset(connection.keys.of("gc:restorable"), mapping=rows)
    monkeypatch.setattr(connection.client, "hgetall", None)
    assert [saved.value for saved in Backup(connection).read_shared()] == [rows]
