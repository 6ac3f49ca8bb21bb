"""The mentions of manifests are given back as they were learnt, until they are forgotten."""

import hashlib
import sys
from concurrent.futures import ThreadPoolExecutor

from hypothesis import given
from hypothesis import strategies as st

from service.domain.collection.digests import Marks
from service.domain.collection.mentions import Mentions
from service.registry.mention_cache import MentionCache, MentionTable

_DIGEST = st.integers(0, 9).map(lambda number: hashlib.sha256(b"%d" % number).digest())
_MANIFEST = st.one_of(_DIGEST, st.integers(0, 2).map(lambda number: hashlib.sha512(b"%d" % number).digest()))
_MENTIONS = st.builds(
    lambda layers, parts, is_known: Mentions(layers | parts, parts, is_known),
    st.frozensets(_DIGEST, max_size=5),
    st.frozensets(_DIGEST, max_size=3),
    st.booleans(),
)
_ROUND = st.tuples(st.dictionaries(_MANIFEST, _MENTIONS, max_size=8), st.sets(_MANIFEST, max_size=8))


def learn(table: MentionTable, digest: bytes, mentions: Mentions) -> None:
    table.add(table.digests.add(digest), mentions)


def known(table: MentionTable, digest: bytes) -> Mentions | None:
    mentions = table.get(table.digests.add(digest))
    if mentions is None:
        return None
    digests, parts = (frozenset(map(table.digests.__getitem__, each)) for each in (mentions.digests, mentions.parts))
    return Mentions(digests, parts, mentions.is_known)


@given(st.lists(_ROUND, max_size=5))
def test_mentions_are_the_same_until_they_are_forgotten(rounds: list[tuple[dict[bytes, Mentions], set[bytes]]]) -> None:
    cache, learnt_ever, needed = MentionCache(), dict[bytes, Mentions](), set[bytes]()
    for learnt, kept in rounds:
        table = cache.table()
        assert all(known(table, digest) == learnt_ever[digest] for digest in needed)
        assert all(known(table, digest) in (None, mentions) for digest, mentions in learnt_ever.items())
        for digest, mentions in learnt.items():
            learn(table, digest, mentions)
        learnt_ever |= learnt
        cache.keep_only(Marks(table.digests, kept))
        needed = (needed | learnt.keys()) & kept


def test_forgotten_manifests_leave_no_digests_behind_but_a_table_in_use_loses_none() -> None:
    cache = MentionCache()
    in_use = cache.table()
    number_in_use = in_use.digests.add(b"in use by a collection that lost its lease"[:32])
    for number in range(100):
        manifest, layer = (hashlib.sha256(b"%s %d" % (kind, number)).digest() for kind in (b"manifest", b"layer"))
        table = cache.table()
        learn(table, manifest, Mentions(frozenset({layer}), frozenset()))
        cache.keep_only(Marks(table.digests, {manifest, layer}))
    assert len(cache.table().digests) < 10
    assert in_use.digests.number(b"in use by a collection that lost its lease"[:32]) == number_in_use
    assert known(cache.table(), manifest) == Mentions(frozenset({layer}), frozenset())


def test_two_collections_of_one_worker_do_not_mix_their_mentions() -> None:
    """A collection that lost its lease may still mark while the next one of the same process begins."""
    table, layers = MentionTable(), [hashlib.sha256(b"layer %d" % number).digest() for number in range(4000)]

    def mark(name: int) -> list[bytes]:
        wrong = []
        for number in range(len(layers) - 2):
            manifest = hashlib.sha256(b"manifest %d %d" % (name, number)).digest()
            # The other thread adds the same layers at the same time.
            mentions = Mentions(frozenset(layers[number : number + 3]), frozenset())
            learn(table, manifest, mentions)
            wrong += [manifest] if known(table, manifest) != mentions else []
        return wrong

    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    try:
        with ThreadPoolExecutor(2) as pool:
            assert list(pool.map(mark, range(2))) == [[], []]
    finally:
        sys.setswitchinterval(interval)
    # No digest has two numbers: a blob would have its data by one of them, and its mark by the other.
    assert len(table.digests) == len({*map(table.digests.__getitem__, range(len(table.digests)))})
