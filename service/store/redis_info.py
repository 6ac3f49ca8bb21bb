"""The Redis server's own report on how safe the history is."""

from dataclasses import dataclass
from typing import Any

import redis

from service.store.connection import Connection


@dataclass(frozen=True, slots=True)
class RedisInfo:
    """The facts that the Redis server reports about itself.

    Attributes:
        version: of Redis, or the version that Valkey is compatible with.
        limit_bytes: maxmemory, 0 for none.
        saves: snapshots are made; None if the server does not allow the question.
        writes_fail: the server's last attempt to write to disk failed.
        replays: the user `default` may do everything, which the server needs to read its append-only file at the next
            start; None if the user of redis.url may not ask.
    """

    name: str
    version: tuple[int, ...]
    eviction: str
    limit_bytes: int
    used_bytes: int
    appends: bool
    saves: bool | None
    writes_fail: bool
    replays: bool | None = True


def read_server(connection: Connection) -> RedisInfo:
    """Read the facts from the server. Raises StoreUnavailable when Redis is away."""
    info: dict[str, Any] = {}
    for section in ("server", "memory", "persistence"):
        info |= connection.redis.info(section)
    version = str(info.get("redis_version", "0"))
    is_valkey = "valkey_version" in info
    return RedisInfo(
        name=f"Valkey {info['valkey_version']}" if is_valkey else f"Redis {version}",
        version=tuple(int(part) for part in version.split(".") if part.isdigit()),
        eviction=str(info.get("maxmemory_policy", "")),
        limit_bytes=int(info.get("maxmemory", 0)),
        used_bytes=int(info.get("used_memory", 0)),
        appends=str(info.get("aof_enabled", 0)) == "1",
        saves=_saves(connection),
        writes_fail="err" in (info.get("aof_last_write_status"), info.get("rdb_last_bgsave_status")),
        replays=_replays(connection),
    )


def _replays(connection: Connection) -> bool | None:
    """Return True if the user `default` may do everything, None if the user of redis.url may not ask.

    The server reads its append-only file as this user, also while it is switched off, and drops each transaction that
    holds a command it may not send: nearly all of the history (measured on Redis 8.0.2 and Valkey 8.1.1).
    """
    try:
        user: Any = connection.client.acl_getuser("default")
    except redis.ResponseError:
        return None
    rights = [*user["categories"], *user["commands"]]
    may_all = "+@all" in rights and not any(right.startswith("-") for right in rights)
    return may_all and not {"~*", "*"}.isdisjoint(user["keys"])


def _saves(connection: Connection) -> bool | None:
    """Return True if the server makes snapshots; None if it refuses CONFIG, as managed servers do."""
    try:
        settings: Any = connection.client.config_get("save")
    except redis.ResponseError:
        return None
    return bool(settings.get("save"))
