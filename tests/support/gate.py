"""Pushes as the write gate sees them: reported blobs and manifests, and time that passes."""

from typing import Any

from service.store.connection import Connection
from service.store.history import History
from tests.support.record import digest, event, record

X = digest("x")


def earlier(connection: Connection, name: str, by_s: float) -> None:
    """Let time pass: make the entries of this zset, or the beginning of the gate's state, older."""
    client: Any = connection.client
    key = connection.keys.of(name)
    if name == "gate":
        client.hset(key, "since_ms", int(client.hget(key, "since_ms")) - int(by_s * 1000))
        return
    for member, score in client.zrange(key, 0, -1, withscores=True):
        client.zadd(key, {member: score - by_s * 1000})


def heard(history: History, *blobs: str, number: int = 1, who: str = "10.0.0.7:4711", tag: str | None = "v1") -> None:
    record(history, event(number, tag=tag, address=who, blobs=tuple((blob, 1) for blob in blobs)))


def blob_heard(history: History, blob: str = X, number: int = 90, **more: Any) -> None:
    fields: dict[str, Any] = {
        "tag": None,
        "digest": blob,
        "media_type": "application/octet-stream",
        "address": "10.0.0.7:4711",
        **more,
    }
    record(history, event(number, **fields))


def told(connection: Connection, who: str = "10.0.0.7:4711") -> None:
    """The registry tells of a blob that was pushed: the push is no mere claim."""
    blob_heard(History(connection), digest(f"told {who}"), 80 + len(who), address=who)
