"""A snapshot that reads only what changed since the last one is the snapshot that reads everything."""

import itertools
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from service.domain.oci.manifest import OCI_INDEX, References
from service.domain.retention.planner import plan_deletions
from service.domain.retention.state import Tag
from service.store.connection import Connection
from service.store.deletions import Deletions
from service.store.facts import Proof, RegistryFacts
from service.store.history import History
from service.store.limits import Limits
from service.store.outbox import Outbox
from service.store.remembered_tags import RememberedTags
from service.store.restorations import Restorations, RestoredManifest
from service.store.script import lua_script, script_names
from service.store.snapshot import Snapshot
from service.store.usage import UsageRecords
from tests.support.examples import part_of
from tests.support.makers import policy
from tests.support.record import NOW, digest, event, record

SHOP = "shop/api"
KEEP_TWO = policy("rules: [{name: last, keep: {last: 2}}]\nhold_over: 100%")
NAMES = ("latest", "v1", "v2", "v3", "v4")
SEEDS = ("a", "b", "c", "d", "e")


def remembering(connection: Connection) -> History:
    return History(connection, remembered=RememberedTags(least_tags=0))


def alike(snapshot: Snapshot) -> Snapshot:
    return replace(snapshot, silent_ms=0)


class Repository:
    """Everything that changes the tags of a repository. name: of a tag; seed: of a digest; number: a time."""

    def __init__(self, connection: Connection) -> None:
        self.connection, self.history = connection, History(connection)
        self.facts, self.deletions = RegistryFacts(connection), Deletions(connection, Limits(), 3600)
        self.numbers = itertools.count(1)

    def push(self, name: str, seed: str, number: int) -> None:
        record(self.history, event(number, "push", name, seed, id=self._id()))

    def push_newest(self, name: str, seed: str, number: int) -> None:
        self.push(name, seed, 1000 + next(self.numbers))

    def push_index(self, name: str, seed: str, number: int) -> None:
        index = event(number, "push", name, f"index {seed}", id=self._id(), media_type=OCI_INDEX, size_bytes=0)
        record(self.history, index)

    def push_by_digest(self, name: str, seed: str, number: int) -> None:
        record(self.history, event(number, "push", None, seed, id=self._id()))

    def pull(self, name: str, seed: str, number: int) -> None:
        record(self.history, event(number, "pull", name, seed, id=self._id()))

    def pull_by_digest(self, name: str, seed: str, number: int) -> None:
        record(self.history, event(number, "pull", None, seed, id=self._id()))

    def delete_tag(self, name: str, seed: str, number: int) -> None:
        record(self.history, event(number, "delete", name, id=self._id(), digest=None, media_type=""))

    def delete_manifest(self, name: str, seed: str, number: int) -> None:
        record(self.history, event(number, "delete", None, seed, id=self._id()))

    def prune(self, name: str, seed: str, number: int) -> None:
        snapshot = self.snapshot
        made = plan_deletions(snapshot, KEEP_TWO, NOW + 10**12)
        self.history.commit(snapshot, made, "doomed")
        for image in made.doomed[:1]:
            if image.only_tags or number % 2:
                self.deletions.untagged(SHOP, [(image, image.verdicts)])
            else:
                self.deletions.forget(snapshot, image)

    def adopt(self, name: str, seed: str, number: int) -> None:
        sighting = Tag(name, digest(seed), NOW + number * 1000, unannounced=True)
        self.facts.adopt(self.snapshot, [(sighting, "")], indexes=frozenset([sighting.digest] if number % 2 else []))

    def vanish(self, name: str, seed: str, number: int) -> None:
        self.facts.adopt(self.snapshot, vanished=[name])

    def find(self, name: str, seed: str, number: int) -> None:
        self.facts.adopt(self.snapshot, [(Tag(name, digest(seed), None, found=True), "")])

    def date(self, name: str, seed: str, number: int) -> None:
        self.facts.date(self.snapshot, {digest(seed): NOW + number})

    def prove(self, name: str, seed: str, number: int) -> None:
        proofs = [Proof(tag, is_index=False, link_us=None) for tag in self.snapshot.tags if tag.name == name]
        self.facts.prove(self.snapshot, proofs)

    def prove_time(self, name: str, seed: str, number: int) -> None:
        tags = [tag for tag in self.snapshot.tags if tag.name == name]
        self.facts.prove(self.snapshot, [Proof(tag, is_index=True, link_us=NOW + number) for tag in tags])

    def resolve(self, name: str, seed: str, number: int) -> None:
        children = (digest(seed),) if number % 2 else ()
        self.facts.resolve(self.snapshot, {digest(f"index {seed}"): References(children=children)})

    def miss(self, name: str, seed: str, number: int) -> None:
        self.facts.resolve(self.snapshot, {digest(seed): None})

    def weigh(self, name: str, seed: str, number: int) -> None:
        sizes = {tag: number for tag in self.snapshot.tags if tag.name == name}
        UsageRecords(self.connection).note_image_sizes(SHOP, sizes)

    def restore(self, name: str, seed: str, number: int) -> None:
        restorations = Restorations(self.connection, Limits())
        restored = RestoredManifest(name, digest(seed), NOW + number, 400, None, "ci", "amy", "wanted")
        before = restorations.pushed_at(SHOP, name)
        restorations.restored(SHOP, restored, before, restorations.now_us())

    def make_due(self, name: str, seed: str, number: int) -> None:
        Outbox(self.connection).mark_due([SHOP])

    def lose_notes(self, name: str, seed: str, number: int) -> None:
        self.connection.client.delete(self.connection.keys.of("pushes", SHOP))

    def forget_notes(self, name: str, seed: str, number: int) -> None:
        self.connection.client.delete(self.connection.keys.of("voided", SHOP))

    @property
    def snapshot(self) -> Snapshot:
        return History(self.connection).snapshot(SHOP)

    def _id(self) -> str:
        return f"event {next(self.numbers)}"


CHANGES = tuple(name for name, change in vars(Repository).items() if callable(change) and not name.startswith("_"))
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
def test_what_is_remembered_and_what_changed_make_the_whole_snapshot(
    connection: Connection, steps: list[tuple[str, str, str, int, bool]]
) -> None:
    for key in list(connection.client.scan_iter(match=f"{connection.keys.prefix}*", count=1000)):
        connection.client.delete(key)
    repository, reader = Repository(connection), remembering(connection)
    for change, name, seed, number, is_read in steps:
        getattr(repository, change)(name, seed, number)
        if is_read:
            assert alike(reader.snapshot(SHOP)) == alike(repository.snapshot)
    assert alike(reader.snapshot(SHOP)) == alike(repository.snapshot)


@pytest.fixture
def read(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The number of tags that each snapshot reads from Redis."""
    counts: list[int] = []
    run = Connection.run

    def counted(self: Connection, name: str, *given: Any, **named: Any) -> Any:
        result = run(self, name, *given, **named)
        if name == "snapshot":
            counts.append(len(result[result.index("tags") + 1]) // 2)
        return result

    monkeypatch.setattr(Connection, "run", counted)
    return counts


@pytest.fixture
def repository(connection: Connection) -> Repository:
    """Five tags, of which the policy keeps two."""
    made = Repository(connection)
    for number, name in enumerate(NAMES):
        made.push(name, SEEDS[number], number)
    return made


def test_after_a_push_and_the_deletion_that_it_causes_only_these_tags_are_read(
    repository: Repository, connection: Connection, read: list[int]
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
    change: str, repository: Repository, connection: Connection, read: list[int]
) -> None:
    reader = remembering(connection)
    reader.snapshot(SHOP)
    getattr(repository, change)("v1", "f", 9)
    del read[:]
    reader.snapshot(SHOP)
    assert read[0] >= 4


def test_a_pull_changes_tags_that_are_remembered(
    repository: Repository, connection: Connection, read: list[int]
) -> None:
    reader = remembering(connection)
    reader.snapshot(SHOP)
    repository.pull("v1", SEEDS[1], 50)
    repository.pull_by_digest("", SEEDS[2], 60)
    used = {tag.name: tag.pulled_us for tag in reader.snapshot(SHOP).tags if tag.pulled_us}
    assert used == {"v1": NOW + 50_000, "v2": NOW + 60_000}
    assert read == [5, 0]


def test_a_deletion_that_left_no_trace_is_noticed_by_the_number_of_tags(
    repository: Repository, connection: Connection, read: list[int]
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
    server: str, repository: Repository, connection: Connection, read: list[int]
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
    monkeypatch: pytest.MonkeyPatch, repository: Repository
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
