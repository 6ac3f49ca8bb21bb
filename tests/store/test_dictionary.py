"""The entries of a history are packed, and read as if they were not."""

from typing import Any

import pytest

from service.store.archive import Archive
from service.store.connection import Connection
from service.store.dictionary import Dictionary, packed_row
from service.store.history import History
from tests.support.makers import digest_of, event, understood

SHOP = "shop/api"
DOCKER = r"docker/27.3.1 go/go1.22.7 git-commit/41ca978 kernel/6.8.0 os/linux UpstreamClient(Docker-Client/27.3.1)"


def push(history: History, tag: str, actor: str = "alicia", address: str = "10.0.0.1:5000") -> None:
    request = {"addr": address, "useragent": DOCKER}
    history.record(understood(event(tag=tag, actor=actor, request=request)))


def key(connection: Connection, name: str) -> str:
    return connection.keys.of(name, SHOP) if name == "history" else connection.keys.of(name)


def packed(connection: Connection) -> dict[str, str]:
    client: Any = connection.client
    ((_, fields),) = client.xrange(key(connection, "history"))
    return dict(fields)


def test_a_text_that_a_script_packs_is_read_unchanged(connection: Connection, history: History) -> None:
    push(history, "v1")
    (entry,) = history.entries(SHOP)
    assert (entry.action, entry.tag, entry.digest, entry.actor) == ("push", "v1", digest_of("v1"), "alicia")
    assert (entry.useragent, entry.media_type) == ("docker/27.3.1", "application/vnd.oci.image.manifest.v1+json")
    assert packed(connection)["actor"].isdigit()
    (same,) = history.entries()
    assert (same.digest, same.actor, same.useragent, same.address) == (
        entry.digest, entry.actor, entry.useragent, entry.address,
    )  # fmt: skip


def test_a_text_that_python_packs_is_read_unchanged(connection: Connection) -> None:
    flat = {"action": "approved", "digest": "", "actor": "alicia", "agent": "", "rule": "", "media": ""}
    for digest in ("", digest_of("v1"), f"sha512:{'a' * 128}"):
        row = flat | {"digest": digest}
        assert Dictionary(connection).flat_row(packed_row(row)) == row


@pytest.mark.parametrize("actor", ["7", "=", "=7", "user with spaces", "é"])
def test_a_name_that_looks_like_a_number_stays_what_it_is(history: History, actor: str) -> None:
    push(history, "v1", actor)
    assert history.entries(SHOP)[0].actor == actor


@pytest.mark.parametrize(
    ("address", "kept"),
    [("10.0.0.1:5000", "10.0.0.1"), ("10.0.0.1", "10.0.0.1"), ("[2001:db8::1]:5000", "[2001:db8::1]"),
     ("2001:db8::1", "2001:db8::1"), ("", "")],
)  # fmt: skip
def test_an_address_loses_its_port(history: History, address: str, kept: str) -> None:
    push(history, "v1", address=address)
    assert history.entries(SHOP)[0].address == kept


def test_a_stranger_with_many_names_does_not_fill_the_dictionary(connection: Connection, history: History) -> None:
    push(history, "v1")
    numbers: dict[Any, Any] = {f"user-{number}": number for number in range(10, 4110)}
    connection.client.hset(key(connection, "dictionary"), mapping=numbers)
    push(history, "v2", "stranger")
    assert connection.client.hget(key(connection, "dictionary"), "stranger") is None
    assert [entry.actor for entry in history.entries(SHOP)] == ["stranger", "alicia"]


def test_another_process_that_adds_a_name_is_understood(connection: Connection, history: History) -> None:
    push(history, "v1")
    assert len(history.entries(SHOP)) == 1
    push(history, "v2", "robert")
    assert [entry.actor for entry in history.entries(SHOP)] == ["robert", "alicia"]


def test_a_number_that_another_name_has_after_redis_was_wiped_is_read_as_that_name(
    connection: Connection, history: History
) -> None:
    archive = Archive(connection)
    push(history, "v1")
    assert history.entries(SHOP)[0].actor == "alicia"
    connection.client.flushdb()
    push(history, "v2", "robert")
    assert history.entries(SHOP)[0].actor == "robert"
    assert [each.actor for each in archive.events(SHOP)] == ["robert"]
    assert [each.actor for each in archive.of_tag(SHOP, "v2")] == ["robert"]


def test_an_entry_takes_at_most_130_bytes(connection: Connection, history: History) -> None:
    for number in range(512):
        push(history, f"main-{number:05d}-3f9c2a7b", address="10.42.17.203:49152")
    size: Any = connection.client.memory_usage(key(connection, "history"), samples=0)
    assert size / 512 <= 130
