"""The word of an installation: one for all of its processes, also after Redis lost everything."""

import pytest

from service.domain.errors import StoreUnavailable
from service.store import word as module
from service.store.connection import Connection, connect
from service.store.keys import Keys
from service.store.word import Word
from tests.fakes.valkey import free_port


@pytest.fixture
def expired(monkeypatch: pytest.MonkeyPatch) -> None:
    """Read the word of a process again at each use."""
    monkeypatch.setattr(module, "_READ_AGAIN_S", 0.0)


def test_all_processes_of_an_installation_have_the_same_word_and_no_other_has(connection: Connection) -> None:
    first, second = Word(connection), Word(connection)
    assert first() == second() == Word(connection)()
    elsewhere = Connection(connection.client, Keys(f"{connection.keys.prefix}probe:"))
    assert Word(elsewhere)() != first()
    assert len(first()) >= 20


def test_the_word_is_read_once(connection: Connection) -> None:
    word = Word(connection)
    known = word()
    connection.client.delete(connection.keys.of("word"))
    assert word() == known
    assert not connection.client.exists(connection.keys.of("word"))


@pytest.mark.usefixtures("expired")
def test_the_word_is_stored_again_when_redis_lost_everything(connection: Connection) -> None:
    word = Word(connection)
    known = word()
    connection.client.delete(connection.keys.of("word"))
    assert word() == known == Word(connection)()


@pytest.mark.usefixtures("expired")
def test_a_process_takes_over_the_word_that_another_one_made_up_since(connection: Connection) -> None:
    word = Word(connection)
    word()
    connection.client.set(connection.keys.of("word"), "made-up-since")
    assert word() == "made-up-since"


@pytest.mark.usefixtures("expired")
def test_without_redis_a_process_uses_the_word_that_it_knows(connection: Connection) -> None:
    word = Word(connection)
    known = word()
    word._connection = away = Connection(connect(f"redis://127.0.0.1:{free_port()}/0"), connection.keys)
    assert word() == known
    with pytest.raises(StoreUnavailable):
        Word(away)()
