"""What the Redis server says of itself: how safe the history is there."""

from dataclasses import dataclass
from typing import Any

import redis

from service.store.connection import Connection


@dataclass(frozen=True, slots=True)
class Server:
    """version: of Redis, or the one that Valkey is compatible with; limit_bytes: maxmemory, 0 for none.

    saves: whether snapshots are made, None where the server does not let itself be asked; writes_fail: its last attempt
    to write to disk failed.
    """

    name: str
    version: tuple[int, ...]
    eviction: str
    limit_bytes: int
    used_bytes: int
    appends: bool
    saves: bool | None
    writes_fail: bool


def read_server(connection: Connection) -> Server:
    """Asks the server. Raises StoreUnavailable when Redis is away."""
    with connection.reached() as client:
        told: dict[str, Any] = {}
        for section in ("server", "memory", "persistence"):
            told |= client.info(section)
    version = str(told.get("redis_version", "0"))
    is_valkey = "valkey_version" in told
    return Server(
        name=f"Valkey {told['valkey_version']}" if is_valkey else f"Redis {version}",
        version=tuple(int(part) for part in version.split(".") if part.isdigit()),
        eviction=str(told.get("maxmemory_policy", "")),
        limit_bytes=int(told.get("maxmemory", 0)),
        used_bytes=int(told.get("used_memory", 0)),
        appends=str(told.get("aof_enabled", 0)) == "1",
        saves=_saves(connection),
        writes_fail="err" in (told.get("aof_last_write_status"), told.get("rdb_last_bgsave_status")),
    )


def _saves(connection: Connection) -> bool | None:
    """Only CONFIG tells, which managed servers refuse."""
    try:
        told: Any = connection.client.config_get("save")
    except redis.ResponseError:
        return None
    return bool(told.get("save"))
