"""The mentions of manifests are given back as they were learnt, until they are forgotten."""

import hashlib
import sys
from concurrent.futures import ThreadPoolExecutor

from hypothesis import given
from hypothesis import strategies as st

from service.domain.collection.mentions import Mentions
from service.registry.mention_cache import MentionCache

_DIGEST = st.integers(0, 9).map(lambda number: hashlib.sha256(b"%d" % number).digest())
_MANIFEST = st.one_of(_DIGEST, st.integers(0, 2).map(lambda number: hashlib.sha512(b"%d" % number).digest()))
_MENTIONS = st.builds(
    lambda layers, parts, is_known: Mentions(layers | parts, parts, is_known),
    st.frozensets(_DIGEST, max_size=5),
    st.frozensets(_DIGEST, max_size=3),
    st.booleans(),
)
_ROUND = st.tuples(st.dictionaries(_MANIFEST, _MENTIONS, max_size=8), st.sets(_MANIFEST, max_size=8))


@given(st.lists(_ROUND, max_size=5))
def test_mentions_are_the_same_until_they_are_forgotten(rounds: list[tuple[dict[bytes, Mentions], set[bytes]]]) -> None:
    cache, expected = MentionCache(), dict[bytes, Mentions]()
    for learnt, kept in rounds:
        for digest, mentions in learnt.items():
            cache.add(digest, mentions)
        expected |= learnt
        assert {digest: cache.get(digest) for digest in expected} == expected
        cache.keep_only(kept)
        forgotten = expected.keys() - kept
        expected = {digest: expected[digest] for digest in expected.keys() & kept}
        assert {digest: cache.get(digest) for digest in expected} == expected
        assert {cache.get(digest) for digest in forgotten} <= {None}


def test_forgotten_manifests_leave_no_digests_behind() -> None:
    cache = MentionCache()
    for number in range(100):
        manifest, layer = (hashlib.sha256(b"%s %d" % (kind, number)).digest() for kind in (b"manifest", b"layer"))
        cache.add(manifest, Mentions(frozenset({layer}), frozenset()))
        cache.keep_only({manifest})
    assert len(cache._digests) < 10


def test_two_collections_of_one_worker_do_not_mix_their_mentions() -> None:
    """A collection that lost its lease may still mark while the next one of the same process begins."""
    cache = MentionCache()

    def mark(name: int) -> list[tuple[bytes, Mentions]]:
        wrong = []
        for number in range(1500):
            manifest, *layers = (hashlib.sha256(b"%d %d %d" % (name, number, each)).digest() for each in range(4))
            mentions = Mentions(frozenset(layers), frozenset())
            cache.add(manifest, mentions)
            if number % 50 == 0:
                cache.keep_only({manifest})
            wrong += [(manifest, known)] if (known := cache.get(manifest)) not in (None, mentions) else []
        return wrong

    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    try:
        with ThreadPoolExecutor(2) as pool:
            assert list(pool.map(mark, range(2))) == [[], []]
    finally:
        sys.setswitchinterval(interval)
