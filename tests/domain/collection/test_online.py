"""The decisions of an online collection: each blob is kept for every reason there is, and deleted for one only."""

from collections.abc import Collection, Mapping

from hypothesis import given
from hypothesis import strategies as st

from service.domain.collection.digests import Marks
from service.domain.collection.mentions import begins_as_manifest, may_be_manifest, read_mentions
from service.domain.collection.online import Evidence, Moment, OnlinePlan, Rules, UnlinkedBlob, decide, merged
from service.domain.collection.storage_inventory import StorageInventory

BLOB = bytes(32)
RULES = Rules(grace_us=1000, youth_us=100, longest_us=1000)
NOW = Moment(10_000, 20_000)
LONG_AGO = Moment(9_000, 19_000)
ENTRY = UnlinkedBlob(BLOB, 5, ("a", "b"), LONG_AGO)


def stored(
    links: Mapping[str, int] | None = None, modified_us: int | None = 0, digest: bytes = BLOB
) -> StorageInventory:
    inventory = StorageInventory(NOW.storage_us)
    if modified_us is not None:
        inventory.add_blob(digest, 5, modified_us)
    for name, at_us in (links or {}).items():
        inventory.add_layer_link(name, digest, at_us)
    return inventory


def plan(
    inventory: StorageInventory,
    *journal: UnlinkedBlob,
    marks: Collection[bytes] = (),
    users: Collection[str] = (),
) -> OnlinePlan:
    known = {entry.digest: entry for entry in journal}
    return decide(Evidence(inventory, NOW, Marks(inventory.digests, marks), {BLOB: users}, known), RULES)


def test_an_unused_old_blob_is_unlinked_in_every_repository() -> None:
    (blob,) = plan(stored({"a": 0, "b": 9_899})).unlink
    assert (blob.digest, sorted(blob.repositories), blob.at) == (BLOB, ["a", "b"], None)


def test_young_data_or_one_young_link_keeps_a_blob() -> None:
    assert plan(stored({"a": 0}, modified_us=9_900)) == OnlinePlan()
    assert plan(stored({"a": 0, "b": 9_900})) == OnlinePlan()


def test_a_blob_of_another_algorithm_is_kept() -> None:
    assert plan(stored({"a": 0}, digest=bytes(64))) == OnlinePlan()


def test_the_data_is_deleted_after_its_grace_by_both_clocks() -> None:
    assert plan(stored(), ENTRY).delete == (ENTRY,)
    for early in (Moment(9_001, 19_000), Moment(9_000, 19_001)):
        entry = ENTRY._replace(at=early)
        assert plan(stored(), entry) == OnlinePlan(waiting=(entry,))


def test_grace_begins_anew_for_a_blob_that_is_used_or_linked_again() -> None:
    again = ENTRY._replace(at=None)
    assert plan(stored(), ENTRY._replace(is_used=True)) == OnlinePlan(unlink=(again,))
    assert plan(stored({"a": 9_950}), ENTRY) == OnlinePlan(waiting=(again,))


def test_an_interrupted_unlinking_begins_anew_and_remembers_its_links() -> None:
    (blob,) = plan(stored({"c": 0}), ENTRY._replace(at=None)).unlink
    assert blob == UnlinkedBlob(BLOB, 5, ("a", "b", "c"))


def test_a_link_is_written_again_only_where_a_collection_deleted_it_and_a_manifest_needs_it() -> None:
    """Another repository that mentions the digest gets no access to its data."""
    decision = plan(stored({"b": 0}), ENTRY, marks={BLOB}, users={"a", "b", "stranger"})
    assert decision == OnlinePlan(relink=(("a", BLOB),), forgotten=(BLOB,))


def test_an_entry_that_is_in_use_is_kept_until_no_push_can_be_left_that_met_the_end_of_its_links() -> None:
    """Another manifest may come, and need a link that was deleted in its repository."""
    late = ENTRY._replace(at=Moment(9_001, 19_000))
    assert plan(stored(), late, marks={BLOB}) == OnlinePlan(waiting=(late._replace(is_used=True),))
    begun = ENTRY._replace(at=None)
    assert plan(stored(), begun, marks={BLOB}) == OnlinePlan(waiting=(ENTRY._replace(at=NOW, is_used=True),))


def test_a_blob_without_data_leaves_the_journal() -> None:
    assert plan(stored(modified_us=None), ENTRY) == OnlinePlan(forgotten=(BLOB,))


def test_a_journal_that_redis_lost_or_that_has_other_times_there_is_not_believed() -> None:
    """Without a valid journal, the grace of all blobs begins anew."""
    assert merged({}, {BLOB: ENTRY}) is None
    assert merged({BLOB: ENTRY._replace(at=Moment(9_000, 19_001))}, {BLOB: ENTRY}) is None


def test_a_use_is_known_in_redis_and_all_else_in_the_storage() -> None:
    known = UnlinkedBlob(BLOB, 0, (), LONG_AGO, is_used=True)
    assert merged({BLOB: known}, {BLOB: ENTRY}) == {BLOB: ENTRY._replace(is_used=True)}


def test_an_interrupted_run_leaves_entries_whose_grace_begins_anew() -> None:
    begun = ENTRY._replace(at=None)
    assert merged({BLOB: ENTRY}, {}) == {}
    assert merged({BLOB: begun}, {BLOB: ENTRY}) == {BLOB: begun}
    assert merged({BLOB: ENTRY}, {BLOB: begun}) == {BLOB: begun}


TIMES = st.integers(min_value=0, max_value=10_100)
DIGESTS = st.sampled_from([bytes([number]) * 32 for number in range(4)] + [bytes(64)])
MOMENTS = st.builds(Moment, TIMES, TIMES.map(lambda at: at + 10_000))
ENTRIES = st.builds(
    UnlinkedBlob,
    DIGESTS.filter(lambda digest: len(digest) == 32),
    st.just(5),
    st.lists(st.sampled_from("ab"), unique=True).map(tuple),
    st.none() | MOMENTS,
    st.booleans(),
)


@st.composite
def evidences(draw: st.DrawFn) -> Evidence:
    inventory = StorageInventory(NOW.storage_us)
    for digest in draw(st.sets(DIGESTS)):
        inventory.add_blob(digest, 5, draw(TIMES))
    for digest, name in draw(st.sets(st.tuples(DIGESTS, st.sampled_from("abc")))):
        inventory.add_layer_link(name, digest, draw(TIMES))
    users = draw(st.dictionaries(DIGESTS, st.sets(st.sampled_from("abc"))))
    journal = {entry.digest: entry for entry in draw(st.lists(ENTRIES))}
    return Evidence(inventory, NOW, Marks(inventory.digests, draw(st.sets(DIGESTS))), users, journal)


@given(evidences())
def test_nothing_is_deleted_that_is_marked_linked_used_or_within_its_grace(evidence: Evidence) -> None:
    """Data is deleted only if nothing has needed it for the whole grace, by all evidence."""
    for entry in decide(evidence, RULES).delete:
        assert entry == evidence.journal[entry.digest]
        assert entry.digest not in evidence.marks
        assert not entry.is_used
        assert not list(evidence.inventory.layer_links(entry.digest))
        assert entry.at is not None
        assert NOW.storage_us - entry.at.storage_us >= RULES.grace_us
        assert NOW.redis_us - entry.at.redis_us >= RULES.grace_us


@given(evidences())
def test_nothing_is_unlinked_that_is_marked_or_young(evidence: Evidence) -> None:
    for entry in decide(evidence, RULES).unlink:
        assert entry.digest not in evidence.marks
        assert entry.at is None
        links = list(evidence.inventory.layer_links(entry.digest))
        assert all(link.modified_us < NOW.storage_us - RULES.youth_us for link in links)
        assert {link.repository for link in links} <= set(entry.repositories)


@given(evidences())
def test_each_mistake_is_undone_by_writing_links(evidence: Evidence) -> None:
    """A link that a collection deleted and a manifest needs exists afterwards; no other link is written."""
    decision = decide(evidence, RULES)
    assert {name for name, _ in decision.relink} <= {"a", "b"}
    for digest, entry in evidence.journal.items():
        if digest in evidence.marks and evidence.inventory.blob(digest):
            linked = {link.repository for link in evidence.inventory.layer_links(digest)}
            linked |= {name for name, relinked in decision.relink if relinked == digest}
            assert set(entry.repositories) & set(evidence.users.get(digest, ())) <= linked


@given(evidences())
def test_no_journal_entry_is_lost(evidence: Evidence) -> None:
    decision = decide(evidence, RULES)
    left = [entry.digest for entry in (*decision.delete, *decision.unlink, *decision.waiting)] + [*decision.forgotten]
    assert len(left) == len(set(left))
    assert evidence.journal.keys() <= set(left)


ONE, TWO, THREE = (f"{number:064x}" for number in (1, 2, 3))


def test_every_digest_in_the_bytes_is_mentioned_also_an_escaped_one() -> None:
    escaped = "".join(f"\\u{ord(letter):04x}" for letter in f"sha256:{TWO}")
    content = f'{{"config": {{"digest": "sha256:{ONE}"}}, "annotations": {{"x": "{escaped}"}}}} sha256:{THREE}'
    assert read_mentions(content.encode()).digests == {bytes.fromhex(digest) for digest in (ONE, TWO, THREE)}


def test_config_and_layers_are_no_parts_and_all_else_may_be() -> None:
    content = f'{{"config": {{"digest": "sha256:{ONE}"}}, "layers": [{{"digest": "sha256:{TWO}"}}]'
    assert read_mentions(f'{content}, "subject": {{"digest": "sha256:{THREE}"}}}}'.encode()).parts == {
        bytes.fromhex(THREE)
    }
    assert read_mentions(f'{content}, "blobs": ["sha256:{ONE}"]}}'.encode()).parts == {bytes.fromhex(ONE)}
    assert len(read_mentions(f"{content} broken".encode()).parts) == 2


def test_bytes_with_a_schema_version_may_be_a_manifest() -> None:
    assert may_be_manifest(b'{"schemaVersion": 2}')
    assert may_be_manifest(b'{"\\u0073chemaVersion": 1}')
    assert may_be_manifest(b' \r\n\t{"SchemaVersion": 2}')
    assert may_be_manifest('{"\N{LATIN SMALL LETTER LONG S}chemaVer\N{LATIN SMALL LETTER LONG S}ion": 2}'.encode())
    assert may_be_manifest(b'{"\\u017FchemaVersion": 2}')
    assert not may_be_manifest(b'{"architecture": "amd64"}')
    assert not may_be_manifest(b'\x1f\x8b {"schemaVersion": 2}')


def test_the_start_of_a_blob_tells_that_it_is_no_manifest() -> None:
    assert begins_as_manifest(b' \n{"a": 1')
    assert begins_as_manifest(b"\t\t\t\t")
    assert not begins_as_manifest(b"\x1f\x8b\x08")
