"""The values of live:R: what scripts pack is read as it was, older ones are migrated, and others are never misread."""

from collections.abc import Mapping
from typing import Any

import pytest
from redis.client import NEVER_DECODE

from service.domain.errors import StoreDamaged, StoreRefuses
from service.domain.events import Envelope
from service.domain.retention.state import Tag
from service.store import schema as module
from service.store.catalog import Catalog
from service.store.connection import Connection
from service.store.facts import RegistryFacts
from service.store.history import History
from service.store.keys import short
from service.store.live_tags import flat_live, pack_actor, pack_digest, packed_live, short_in, unpack_live
from service.store.manual import ManualDeletions
from service.store.schema import Schema
from tests.support.record import NOW, digest, event, record, user_delete

SHOP = "shop/api"
X, OTHER = digest("x"), f"sha512:{'ab' * 64}"
# Bytes that mean something in texts, patterns and numbers.
DIGESTS = tuple(f"sha256:{byte * 32}" for byte in ("00", "0a", "20", "21", "23", "25", "3a", "3d", "3f", "ff"))
NUMBERS = {"alicia": 2}
NAMES = {str(number): name for name, number in NUMBERS.items()}


def name_of(packed: str) -> str:
    return packed[1:] if packed.startswith("=") or not packed else NAMES[packed]


def values(connection: Connection) -> dict[str, bytes]:
    client: Any = connection.client
    key = connection.keys.of("live", SHOP)
    fields: Any = client.execute_command("HGETALL", key, **{NEVER_DECODE: True})
    return {name.decode(): packed for name, packed in fields.items()}


def store(connection: Connection, live: Mapping[str, str | bytes]) -> None:
    """Store these values of live:R, as if each tag was pushed."""
    client: Any = connection.client
    client.hset(connection.keys.of("live", SHOP), mapping=dict(live))
    client.zadd(connection.keys.of("tags", SHOP), {name: NOW + at for at, name in enumerate(live)})
    Catalog(connection).correct_indexes()


@pytest.mark.parametrize("actor", ["", "alicia", "stranger", "J. R. Doe", "=", "7", "?", "?first", "?first?"])
@pytest.mark.parametrize("image", [X, OTHER, *DIGESTS])
@pytest.mark.parametrize("proved", ["", "!"])
def test_a_flat_value_is_packed_and_unpacked(image: str, proved: str, actor: str) -> None:
    flat = f"{short(image)} 1573{proved} {actor}"
    packed = packed_live(flat, NUMBERS)
    assert flat_live(packed, name_of) == flat
    assert (packed.startswith(pack_digest(image)), short_in(packed)) == (True, short(image))
    tag = unpack_live("v1", packed, name_of, 5)
    user = "" if actor.startswith("?") else actor
    assert (tag.digest, tag.size_bytes, tag.pushed_us, tag.proved, tag.actor) == (image, 1573, 5, bool(proved), user)


@pytest.mark.parametrize("unannounced", [False, True])
@pytest.mark.parametrize("is_first", [False, True])
def test_a_mark_says_how_a_tag_was_found(unannounced: bool, is_first: bool) -> None:
    tag = Tag("v1", X, None, 5, unannounced=unannounced, found=is_first, proved=True)
    assert unpack_live("v1", packed_live(f"{short(X)} 5! {pack_actor(tag)}", {}), name_of) == tag


def test_a_tag_with_a_name_as_of_a_pipeline_takes_at_most_64_bytes(connection: Connection, history: History) -> None:
    for number in range(128):
        record(history, event(number, tag=f"main-{number:05d}-3f9c2a7b", actor="robot$shop+gitlab-runner"))
    size: Any = connection.client.memory_usage(connection.keys.of("live", SHOP), samples=0)
    assert size / 128 <= 65
    assert {tag.actor for tag in history.snapshot(SHOP).tags} == {"robot$shop+gitlab-runner"}


def test_scripts_read_each_digest_as_it_was(history: History) -> None:
    images = [*map(digest, range(60)), OTHER, *DIGESTS]
    for number, image in enumerate(images):
        record(history, event(number, tag="v1", digest=image))
        assert history.snapshot(SHOP).tags[0].digest == image
    assert history.snapshot(SHOP).revisions["v1"] == tuple(reversed(images[:-1]))
    record(history, user_delete(1000, "v1"))
    assert {manifest.digest for manifest in history.snapshot(SHOP).untagged} == set(images)
    assert history.standing(SHOP) == set(images)


@pytest.mark.parametrize("image", [X, OTHER, *DIGESTS])
def test_a_pull_by_digest_counts_for_its_tags(history: History, image: str) -> None:
    record(history, event(1, tag="v1", digest=image), event(2, "pull", None, digest=image))
    assert history.snapshot(SHOP).tags[0].pulled_us == event(2).at_us


def test_scripts_pack_each_digest_as_it_is(connection: Connection, history: History) -> None:
    facts = RegistryFacts(connection)
    tags = {f"v{number}": image for number, image in enumerate((*map(digest, range(60)), OTHER, *DIGESTS))}
    facts.adopt(history.snapshot(SHOP), [(Tag(name, image, NOW, 5), "") for name, image in tags.items()])
    snapshot = history.snapshot(SHOP)
    assert {tag.name: tag.digest for tag in snapshot.tags} == tags
    requested = ManualDeletions(connection).request(SHOP, tags, "alice")
    assert sorted(requested) == sorted(tags)


OLD = {
    "v1": f"{short(X)} 1573! alicia",
    "v2": f"{short(X)} 1573 ",
    "v3": f"{OTHER} 1573! alicia",
    "v4": f"{OTHER} 1573! ",
    "v5": f"{short(DIGESTS[0])} 0 J. R. Doe",
    "v6": f"{short(X)} 7 ?first?",
}
DAMAGED = (
    "", "#", "x", f"#{'a' * 28}1573:2", f"#{'a' * 32}:2", f"#{'a' * 32}1573: 2", f"{OTHER}1573:2", f"{short(X)} 1573:2",
)  # fmt: skip


@pytest.mark.parametrize("value", [*OLD.values(), *DAMAGED])
def test_a_value_of_another_schema_is_never_misread(connection: Connection, history: History, value: str) -> None:
    """No plan is made, and no image counts as untagged. Events of the registry are not blocked."""
    record(history, event(1, tag="v0"))
    store(connection, {"v1": value})
    with pytest.raises(ValueError, match="another schema"):
        unpack_live("v1", value.encode(), name_of)
    with pytest.raises(StoreDamaged, match="the entry of shop/api:v1 in Redis cannot be read"):
        history.snapshot(SHOP)
    with pytest.raises(ValueError, match="another schema"):
        history.standing(SHOP)
    events = (event(2, seed="y"), user_delete(3, "v1"), event(4, tag="v2"))
    results = [history.record(Envelope((each,), ())) for each in events]
    assert [result.outcomes for result in results] == ["u", "u", "r"]
    assert values(connection)["v1"] == value.encode()
    with pytest.raises(StoreRefuses, match="another schema"):
        ManualDeletions(connection).request(SHOP, {X: X}, "alice")


def test_live_tags_are_migrated_and_a_second_time_changes_nothing(
    connection: Connection, history: History, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "WATCH_S", 0.01)
    client: Any = connection.client
    record(history, event(1, tag="v0", actor="alicia"))
    new = values(connection)
    store(connection, OLD | {f"many-{number}": f"{short(digest(number))} 1! alicia" for number in range(1200)})
    store(connection, {"damaged": "x"})
    for _ in range(2):
        client.set(connection.keys.of("schema"), 1)
        Schema(migrates=True)(connection)
        packed = values(connection)
        assert (packed.pop("damaged"), packed["v0"]) == (b"x", new["v0"])
        assert client.get(connection.keys.of("schema")) == "2"
    client.hdel(connection.keys.of("live", SHOP), "damaged")
    client.zrem(connection.keys.of("tags", SHOP), "damaged")
    Catalog(connection).correct_indexes()
    tags = {tag.name: tag for tag in history.snapshot(SHOP).tags}
    assert [tags[f"v{n}"].digest for n in range(1, 7)] == [X, X, OTHER, OTHER, DIGESTS[0], X]
    assert [tags[f"v{n}"].actor for n in range(1, 7)] == ["alicia", "", "alicia", "", "J. R. Doe", ""]
    assert [tags[f"v{n}"].proved for n in range(1, 7)] == [True, False, True, True, False, False]
    assert (tags["v6"].found, tags["v6"].unannounced, tags["v6"].size_bytes) == (True, True, 7)
    assert {tags[f"many-{number}"].digest for number in range(1200)} == set(map(digest, range(1200)))
    numbers = client.hvals(connection.keys.of("dictionary"))
    assert sorted(map(int, numbers)) == list(range(1, len(numbers) + 1))
