"""The migrations of the data in Redis, each from one version of the schema to the next. schema.py calls them."""

from collections.abc import Iterator, Mapping
from functools import partial
from typing import TYPE_CHECKING, Any

from redis.client import NEVER_DECODE, Pipeline

from service.store.chunks import AT_ONCE
from service.store.connection import Connection
from service.store.dictionary import MOST_NAMES
from service.store.live_tags import packed_live, user_in

if TYPE_CHECKING:
    from service.store.schema import Migration


def pack_live_tags(migration: "Migration") -> None:
    """Migrate from version 1: the values of live:R were flat. A value that is not flat is left as it is."""
    connection = migration.connection
    dictionary = connection.keys.of("dictionary")
    numbers = {name: int(number) for name, number in connection.redis.hgetall(dictionary).items()}
    for key in connection.redis.scan_iter(match=f"{connection.keys.of('live')}:*", count=AT_ONCE):
        for flat in _flat_tags(connection, key):
            users = {user_in(text) for text in flat.values()} - numbers.keys() - {""}
            added = dict(zip(sorted(users), range(len(numbers) + 1, MOST_NAMES + 1), strict=False))
            numbers |= added
            packed = {tag: packed_live(text, numbers) for tag, text in flat.items()}
            migration.write(partial(_write, key=key, packed=packed, dictionary=dictionary, added=added))


def _flat_tags(connection: Connection, key: str) -> Iterator[dict[str, str]]:
    """Yield the flat values of one live:R, some at a time."""
    cursor = 0
    while True:
        cursor, fields = connection.redis.execute_command(
            "HSCAN", key, cursor, "COUNT", AT_ONCE, **{NEVER_DECODE: True}
        )
        flat = {tag.decode(): value.decode() for tag, value in fields.items() if _is_flat(value)}
        if flat:
            yield flat
        if cursor == 0:
            return


def _is_flat(value: bytes) -> bool:
    try:
        packed_live(value.decode(), {})
    except ValueError:
        return False
    return True


def _write(pipe: Pipeline, key: str, packed: Mapping[Any, Any], dictionary: str, added: Mapping[Any, Any]) -> None:
    if added:
        pipe.hset(dictionary, mapping=added)
    pipe.hset(key, mapping=packed)
