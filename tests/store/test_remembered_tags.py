"""A snapshot that reads only what changed since the last one is the snapshot that reads everything."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from service.domain.retention.planner import plan_deletions
from service.store.connection import Connection
from service.store.history import History
from service.store.remembered_tags import RememberedTags
from service.store.script import lua_script, script_names
from service.store.snapshot import Snapshot
from tests.support.changing_repository import CHANGES, KEEP_TWO, SHOP, ChangingRepository
from tests.support.examples import part_of
from tests.support.record import NOW

NAMES = ("latest", "v1", "v2", "v3", "v4")
SEEDS = ("a", "b", "c", "d", "e")


def remembering(connection: Connection) -> History:
    return History(connection, remembered=RememberedTags(least_tags=0))


def alike(snapshot: Snapshot) -> Snapshot:
    return replace(snapshot, silent_ms=0)


_STEP = st.tuples(
    st.sampled_from((*("push_newest", "push", "prune", "prove", "pull", "pull_by_digest") * 3, *CHANGES)),
    st.sampled_from(NAMES),
    st.sampled_from(SEEDS),
    st.integers(0, 9),
    st.booleans(),
)


@settings(deadline=None, max_examples=part_of(120), suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(_STEP, min_size=1, max_size=25))
@pytest.mark.slow
def test_remembered_and_changed_tags_make_the_whole_snapshot(
    connection: Connection, steps: list[tuple[str, str, str, int, bool]]
) -> None:
    for key in list(connection.client.scan_iter(match=f"{connection.keys.prefix}*", count=1000)):
        connection.client.delete(key)
    repository, reader = ChangingRepository(connection), remembering(connection)
    for change, name, seed, number, is_read in steps:
        getattr(repository, change)(name, seed, number)
        if is_read:
            assert alike(reader.snapshot(SHOP)) == alike(repository.snapshot)
    assert alike(reader.snapshot(SHOP)) == alike(repository.snapshot)


@pytest.fixture
def read(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The number of tags that each snapshot reads from Redis."""
    counts: list[int] = []
    run = Connection.run_undecoded

    def counted(self: Connection, name: str, *given: Any, **named: Any) -> Any:
        result = run(self, name, *given, **named)
        if name == "snapshot":
            counts.append(len(result[result.index(b"tags") + 1]) // 2)
        return result

    monkeypatch.setattr(Connection, "run_undecoded", counted)
    return counts


@pytest.fixture
def repository(connection: Connection) -> ChangingRepository:
    """Five tags, of which the policy keeps two."""
    made = ChangingRepository(connection)
    for number, name in enumerate(NAMES):
        made.push(name, SEEDS[number], number)
    return made


def test_after_a_push_and_the_deletion_that_it_causes_only_these_tags_are_read(
    repository: ChangingRepository, connection: Connection, read: list[int]
) -> None:
    reader = remembering(connection)
    reader.snapshot(SHOP)
    repository.push_newest("v5", "f", 0)
    reader.snapshot(SHOP)
    snapshot = reader.snapshot(SHOP)
    made = plan_deletions(snapshot, KEEP_TWO, NOW + 10**12)
    reader.commit(snapshot, made, "doomed")
    repository.deletions.forget(snapshot, made.doomed[0])
    names = {tag.name for tag in reader.snapshot(SHOP).tags}
    assert names == {"v1", "v2", "v3", "v4", "v5", "latest"} - set(made.doomed[0].tags)
    assert read == [5, 1, 0, 1]


@pytest.mark.parametrize("change", ["prove", "weigh", "adopt", "delete_tag", "restore"])
def test_after_any_other_change_all_tags_are_read(
    change: str, repository: ChangingRepository, connection: Connection, read: list[int]
) -> None:
    reader = remembering(connection)
    reader.snapshot(SHOP)
    getattr(repository, change)("v1", "f", 9)
    del read[:]
    reader.snapshot(SHOP)
    assert read[0] >= 4


def test_a_pull_changes_tags_that_are_remembered(
    repository: ChangingRepository, connection: Connection, read: list[int]
) -> None:
    reader = remembering(connection)
    reader.snapshot(SHOP)
    repository.pull("v1", SEEDS[1], 50)
    repository.pull_by_digest("", SEEDS[2], 60)
    snapshot = reader.snapshot(SHOP)
    assert {tag.name: tag.pulled_us for tag in snapshot.tags if tag.pulled_us} == {
        "v1": NOW + 50_000,
        "v2": NOW + 60_000,
    }
    assert snapshot.remembered
    assert snapshot.remembered.changed == {"v1", "v2"}
    assert read == [5, 0]


def test_facts_of_plans_end_when_changes_are_forgotten(
    monkeypatch: pytest.MonkeyPatch, repository: ChangingRepository, connection: Connection
) -> None:
    monkeypatch.setattr("service.store.remembered_tags._MOST_CHANGED", 1)
    reader = remembering(connection)
    first = reader.snapshot(SHOP).remembered
    repository.push_newest("v1", "f", 0)
    second = reader.snapshot(SHOP).remembered
    repository.push_newest("v2", "g", 0)
    third = reader.snapshot(SHOP).remembered
    assert first
    assert second
    assert third
    assert second.changed == {"v1"}
    assert second.memory is first.memory
    assert not third.changed
    assert third.memory is not first.memory


def test_a_deletion_that_left_no_trace_is_noticed_by_the_number_of_tags(
    repository: ChangingRepository, connection: Connection, read: list[int]
) -> None:
    reader = remembering(connection)
    snapshot = reader.snapshot(SHOP)
    made = plan_deletions(snapshot, KEEP_TWO, NOW + 10**12)
    reader.commit(snapshot, made, "doomed")
    repository.deletions.forget(snapshot, made.doomed[0])
    repository.forget_notes("", "", 0)
    assert len(reader.snapshot(SHOP).tags) == 4
    assert read == [5, 0, 4]


@pytest.mark.parametrize("server", ["", "another", "{run_id}"])
def test_tags_of_a_redis_that_may_have_lost_writes_since_are_not_used(
    server: str, repository: ChangingRepository, connection: Connection, read: list[int]
) -> None:
    remembered = RememberedTags(least_tags=0)
    reader = History(connection, remembered=remembered)
    reader.snapshot(SHOP)
    known = remembered.of(SHOP)
    assert known is not None
    # Another tag with the same generation and number of tags.
    tags = {"lost" if name == "v1" else name: tag for name, tag in known.tags.items()}
    remembered.remember(SHOP, replace(known, server=server.format(run_id=connection.run_id()), tags=tags))
    snapshot = reader.snapshot(SHOP)
    assert {tag.name for tag in snapshot.tags} == set(NAMES)
    assert snapshot.epoch.startswith(connection.run_id())
    assert read == [5, 5]


def test_small_repositories_are_not_remembered_and_large_ones_only_up_to_a_limit(
    monkeypatch: pytest.MonkeyPatch, repository: ChangingRepository
) -> None:
    monkeypatch.setattr("service.store.remembered_tags.MOST_TAGS", 9)
    remembered = RememberedTags(least_tags=5)
    history = History(repository.connection, remembered=remembered)
    history.snapshot(SHOP)
    first = remembered.of(SHOP)
    assert first is not None
    remembered.remember("shop/other", first)
    assert remembered.of(SHOP) is None
    repository.vanish("v1", "", 0)
    remembered.remember(SHOP, replace(first, tags={"v1": first.tags["v1"]}))
    assert remembered.of(SHOP) is None


WRITES_LIVE = "redis.call('HSET', r.live"
RAISE_THE_GENERATION = {"record", "adopt", "date", "restore"}


def test_every_script_that_changes_a_live_tag_raises_the_generation_or_relabels_the_tag() -> None:
    for name in script_names():
        text: str = lua_script(name).text
        counts: Callable[[str], int] = text.count
        if counts(WRITES_LIVE) > counts("HINCRBY', all.relabeled"):
            assert name in RAISE_THE_GENERATION, name
