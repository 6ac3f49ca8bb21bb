"""Blobs of each manifest: learnt from pushes and fetched manifests, bounded, forgotten with the manifest."""

from dataclasses import replace
from typing import Any

import pytest

from service.domain.events import Event
from service.domain.oci.manifest import References
from service.domain.retention.plan import Doomed, Plan, Verdict
from service.domain.retention.state import Tag
from service.registry.exchange import agent_with
from service.store.connection import Connection
from service.store.deletions import Deletions
from service.store.history import History
from service.store.keys import short
from service.store.limits import Limits
from service.store.packing import MOST_BLOBS, pack_layers, unpack_layers
from tests.conftest import MakeWiring
from tests.support.record import NOW, digest, event, facts_of, record

SHOP = "shop/api"
BLOBS = ((digest("config"), 1500), (digest("layer"), 30_000_000))
KNOWN = ((short(digest("config"))[:8], 1500), (short(digest("layer"))[:8], 30_000_000))


@pytest.fixture
def history(connection: Connection) -> History:
    return History(connection)


@pytest.fixture
def removals(connection: Connection) -> Deletions:
    return Deletions(connection, Limits(), 86_400)


def push(number: int, seed: object = "x", **more: Any) -> Event:
    return event(number, seed=seed, **{"blobs": BLOBS, **more})


def deleted(number: int, seed: object = "x") -> Event:
    return event(number, "delete", None, seed, media_type="")


def test_a_push_says_what_its_manifest_references(history: History) -> None:
    record(history, push(1))
    assert facts_of(history).layers(SHOP) == {digest("x"): KNOWN}


def test_a_push_without_a_tag_does_too(history: History) -> None:
    record(history, push(1, tag=None))
    assert facts_of(history).layers(SHOP) == {digest("x"): KNOWN}


@pytest.mark.parametrize("asked", [(), ("x",), ("x", "y", "z")])
def test_only_what_is_asked_about_is_read(history: History, asked: tuple[str, ...]) -> None:
    record(history, push(1), push(2, "y"))
    messages = facts_of(history).layers(SHOP, (digest(name) for name in asked))
    assert messages == {digest(name): KNOWN for name in asked if name != "z"}


def test_a_push_without_layers_leaves_the_known_layers(history: History) -> None:
    record(history, push(1), push(2, blobs=None))
    assert facts_of(history).layers(SHOP) == {digest("x"): KNOWN}
    record(history, push(3, "y", blobs=None))
    assert list(facts_of(history).layers(SHOP)) == [digest("x")]


def test_each_repository_remembers_its_own(history: History) -> None:
    record(history, push(1, "x"), push(2, "y", repository="shop/web"))
    assert (list(facts_of(history).layers(SHOP)), list(facts_of(history).layers("shop/web"))) == (
        [digest("x")],
        [digest("y")],
    )


def test_pulls_and_pushes_of_our_own_teach_nothing(history: History) -> None:
    record(history, push(1, action="pull"), push(2, useragent=agent_with(history.word())))
    assert facts_of(history).layers(SHOP) == {}


def test_layers_are_forgotten_when_the_manifest_is_deleted(history: History) -> None:
    record(history, push(1), push(2, "y", tag="v2"), deleted(3))
    assert list(facts_of(history).layers(SHOP)) == [digest("y")]


def test_a_push_that_comes_after_the_news_of_its_deletion_teaches_nothing(history: History) -> None:
    record(history, deleted(3), push(1))
    assert facts_of(history).layers(SHOP) == {}
    record(history, push(4))
    assert facts_of(history).layers(SHOP) == {digest("x"): KNOWN}


def test_layers_are_forgotten_when_we_deleted_it(history: History, removals: Deletions) -> None:
    record(history, push(1), push(2, "y", tag="v2"))
    doomed = Doomed(digest("x"), (Verdict(Tag("v1", digest("x"), NOW + 1000), False, "old", "r"),))
    snapshot = history.snapshot(SHOP)
    assert history.commit(snapshot, Plan(doomed=(doomed,)), "doomed")
    removals.forget(history.snapshot(SHOP), doomed)
    assert list(facts_of(history).layers(SHOP)) == [digest("y")]


def test_the_layers_of_an_image_rescued_during_its_delete_are_still_known(
    history: History, removals: Deletions
) -> None:
    record(history, push(1))
    doomed = Doomed(digest("x"), (Verdict(Tag("v1", digest("x"), NOW + 1000), False, "old", "r"),))
    assert history.commit(history.snapshot(SHOP), Plan(doomed=(doomed,)), "doomed")
    record(history, push(2))
    removals.forget(history.snapshot(SHOP), doomed)
    assert list(facts_of(history).layers(SHOP)) == [digest("x")]


def test_layers_are_forgotten_when_the_manifest_is_missing_and_no_push_came_since(history: History) -> None:
    record(history, push(1))
    before = history.snapshot(SHOP)
    record(history, push(2, "y"))
    facts_of(history).resolve(before, {digest("x"): None})
    assert set(facts_of(history).layers(SHOP)) == {digest("x"), digest("y")}
    facts_of(history).resolve(history.snapshot(SHOP), {digest("x"): None})
    assert list(facts_of(history).layers(SHOP)) == [digest("y")]


def test_a_manifest_that_was_fetched_is_known_as_well(history: History) -> None:
    record(history, event(1, seed="x"))
    facts_of(history).resolve(
        history.snapshot(SHOP), {digest("x"): References(blobs=BLOBS), digest("i"): References(("c",))}
    )
    assert facts_of(history).layers(SHOP) == {digest("x"): KNOWN}


def test_the_layers_of_an_image_deleted_meanwhile_are_not_known(history: History) -> None:
    record(history, deleted(1))
    facts_of(history).learn(SHOP, {digest("x"): References(blobs=BLOBS)})
    assert facts_of(history).layers(SHOP) == {}


def test_no_more_manifests_are_remembered_than_is_set(connection: Connection) -> None:
    history = History(connection, Limits(repository_layers=3))
    for number in range(5):
        record(history, push(number, number, tag=f"v{number}"))
        assert digest(number) in facts_of(history).layers(SHOP), "the newest is never the one that is dropped"
    facts_of(history).learn(SHOP, {digest("fetched"): References(blobs=BLOBS)})
    result = facts_of(history).layers(SHOP)
    assert (len(result), digest("fetched") in result) == (3, True)
    known = set(result)
    for number in range(10, 20):
        record(history, replace(push(number), digest=next(iter(known))))
        facts_of(history).learn(SHOP, {next(iter(known)): References(blobs=BLOBS)})
    assert set(facts_of(history).layers(SHOP)) == known, "what is known already takes no room"


def test_the_number_of_images_with_known_layers_is_a_setting(make_wiring: MakeWiring) -> None:
    wiring = make_wiring(history={"repository_layers": 2})
    record(wiring.store.history, *(push(number, number) for number in range(4)))
    assert len(wiring.store.facts.layers(SHOP)) == 2


@pytest.mark.parametrize("mode", ["pushed", "fetched"])
def test_a_lower_bound_takes_hold_with_the_next_manifest(connection: Connection, mode: str) -> None:
    for number in range(9):
        record(History(connection), push(number, number))
    history = History(connection, Limits(repository_layers=4))
    if mode == "pushed":
        record(history, push(10, "next"))
    else:
        facts_of(history).learn(SHOP, {digest("next"): References(blobs=BLOBS)})
    assert (len(facts_of(history).layers(SHOP)), digest("next") in facts_of(history).layers(SHOP)) == (4, True)


def test_layers_are_written_as_keys_says(history: History, connection: Connection) -> None:
    record(history, push(1))
    client: Any = connection.client
    mark, layer = (short(digest(seed))[:8] for seed in ("config", "layer"))
    assert client.hgetall(connection.keys.of("layers", SHOP)) == {short(digest("x")): f"{mark}:15o {layer}:hv05c"}


def test_packed_layers_are_unpacked_unchanged() -> None:
    sizes = (0, 1, 35, 36, 2**53 - 1)
    result = unpack_layers(pack_layers((digest(size), size) for size in sizes))
    assert result == tuple((short(digest(size))[:8], size) for size in sizes)


def test_a_blob_that_a_manifest_lists_twice_counts_once() -> None:
    assert len(unpack_layers(pack_layers([*BLOBS, *BLOBS]))) == 2


def test_blobs_of_other_algorithms_are_told_apart() -> None:
    blobs = [(f"sha512:0123456789a{last}{'c' * 116}", 4) for last in "bc"]
    assert len({mark for mark, _ in unpack_layers(pack_layers(blobs))}) == 2


@pytest.mark.parametrize(
    "blobs",
    [None, (), [(digest(n), n) for n in range(MOST_BLOBS + 1)], [*BLOBS, ("", 1)], [*BLOBS, ("sha256:a:b", 1)],
     [*BLOBS, (digest("n"), -1)], [*BLOBS, (digest("n"), 2**53)]],
)  # fmt: skip
def test_too_many_blobs_or_what_cannot_be_understood_is_not_known(blobs: Any) -> None:
    assert pack_layers(blobs) == ""
    assert pack_layers([(digest(n), n) for n in range(MOST_BLOBS)]) != ""
