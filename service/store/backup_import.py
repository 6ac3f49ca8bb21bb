"""Write a backup to a store that no process uses meanwhile."""

import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from service.domain.errors import LeaseLost, StoreBusy, StoreUnavailable
from service.store import schema
from service.store.backup import LEFT_OUT, SAVED, SavedValue, name_of
from service.store.catalog import Catalog
from service.store.chunks import AT_ONCE
from service.store.connection import Connection
from service.store.dictionary import packed_row
from service.store.lease import COLLECT_MS, Lease, Leases
from service.store.live_tags import packed_live

# The epoch of repositories that were imported: no epoch is like it, so that each is compared before its first plan.
_IMPORTED = "imported"
_PAGE = 1000
_CHARACTERS = 4 << 20
_MOVED_ON = "equal or smaller"


@contextmanager
def begin_import(connection: Connection, version: int) -> Iterator["BackupImport"]:
    """Yield a writer to the store, which no process uses from then on until the import is finished.

    Args:
        version: of the schema that the values are of.

    Raises:
        StoreBusy: another import or a migration is under way, or a worker is deleting or collecting.
    """
    connection = connection.unchecked()
    leases = Leases(connection)
    _refuse_writers(leases)
    with leases.hold("schema", COLLECT_MS) as lease:
        if lease is None:
            raise StoreBusy("another import or migration of the data in Redis is under way: wait until it has finished")
        state = connection.redis.get(connection.keys.of("schema")) or ""
        before = (state or str(schema.VERSION)).removeprefix(schema.IMPORT_BEGINS)
        begins = f"{schema.IMPORT_BEGINS}{before}"
        try:
            _change_state(connection, state, begins)
            # Processes that run look at the schema this often, and wait then.
            time.sleep(2 * schema.WATCH_S)
            # A deletion that began meanwhile may still send its DELETE, and its trash would be lost (safety rule 4).
            _refuse_writers(leases)
            run_id = connection.run_id()
            _change_state(connection, begins, schema.IMPORTING)
        except BaseException:
            # Nothing was changed yet. Without the lease, the next process that looks restores the state.
            if lease.valid:
                connection.redis.set(connection.keys.of("schema"), before)
            raise
        yield BackupImport(connection, lease, version, run_id)


class BackupImport:
    """A writer that adds the values of a backup to the store."""

    def __init__(self, connection: Connection, lease: Lease, version: int, run_id: str) -> None:
        """run_id: of the server whose store was found free."""
        self._connection, self._keys, self._lease, self._version = connection, connection.keys, lease, version
        self._run_id = run_id
        self._now_us = connection.now_us()
        self._pipe: Any = connection.client.pipeline(transaction=False)
        self._numbers: Mapping[str, int] = {}
        self._characters = 0

    def empty(self) -> None:
        """Delete what an import replaces, and what follows from it; nothing that belongs to running processes."""
        replaced = {*SAVED, *LEFT_OUT["work"], *LEFT_OUT["anew"]}
        client = self._connection.redis
        page: list[str] = []
        for key in client.scan_iter(match=f"{self._keys.prefix}*", count=_PAGE):
            if name_of(key.removeprefix(self._keys.prefix)) in replaced:
                page.append(key)
            if len(page) >= AT_ONCE:
                self._check_lease()
                client.unlink(*page)
                page.clear()
        self._check_lease()
        if page:
            client.unlink(*page)

    def number(self, numbers: Mapping[str, int]) -> None:
        """Store the numbers of the names in entries of histories and of users in live:R. Called before `write`."""
        self._numbers = numbers
        if numbers:
            self._connection.redis.hset(self._keys.of("dictionary"), mapping=dict(numbers))

    def write(self, saved: SavedValue) -> None:
        """Queue a value; some hundred are written in one request."""
        kind, pipe = SAVED[saved.key], self._pipe
        key = self._keys.of(saved.key.removesuffix(":R"), saved.repository if saved.key.endswith(":R") else "")
        value: Any = saved.value
        if saved.added:
            self._set_added(key, saved.added)
        elif kind == "stream":
            pipe.xadd(key, packed_row(value, self._numbers) if saved.key == "history:R" else value, id=saved.id)
        elif kind == "field":
            pipe.hset(key, saved.repository, self._anew(saved))
        elif kind == "score":
            pipe.zadd(key, {saved.repository: value})
        elif kind == "member":
            pipe.sadd(key, saved.repository)
        elif kind in ("zset", "scores"):
            # All scores are times: no value of a backup replaces a later one.
            pipe.zadd(key, value, gt=True)
        elif saved.key == "live:R":
            pipe.hset(key, mapping={tag: packed_live(flat, self._numbers) for tag, flat in value.items()})
        elif kind == "hash":
            pipe.hset(key, mapping=value)
        else:
            pipe.set(key, value)
        if saved.expires_ms:
            pipe.pexpireat(key, saved.expires_ms)
        if saved.key == "generation":
            pipe.zadd(self._keys.of("due"), {saved.repository: self._now_us // 1000})
        self._characters += sum(map(len, map(str, value.values()))) if isinstance(value, Mapping) else 0
        if len(pipe) >= AT_ONCE or self._characters > _CHARACTERS:
            self._flush()

    def finish(self) -> None:
        """Write the rest, and let all processes use the store.

        Raises:
            StoreUnavailable: fewer than `redis.replicas` have received everything, or another server took over.
        """
        self._flush()
        Catalog(self._connection).correct_indexes()
        self._check_lease()
        # A script waits for the replicas, which receive the writes in their order: those of the pipelines before.
        _change_state(self._connection, schema.IMPORTING, schema.IMPORTING)
        if self._connection.run_id() != self._run_id:
            raise StoreUnavailable("Redis was restarted, or another server took over, and may have lost a part")
        _change_state(self._connection, schema.IMPORTING, str(self._version))

    def _anew(self, saved: SavedValue) -> str:
        """Return the field of a repository, so that no plan from before commits, and none is made without a look."""
        text = str(saved.value)
        if saved.key == "generation":
            # Later than any generation in this Redis, and than that of the backup (safety rule 2).
            return str(max(self._now_us, int(text) + 1))
        return f"{_IMPORTED} {text.rpartition(' ')[2]}" if saved.key == "compared" else text

    def _set_added(self, key: str, added: int) -> None:
        self._flush()
        client = self._connection.redis
        newest = client.xrevrange(key, count=1)
        # Redis before 7 has no such number.
        if newest and (known := client.xinfo_stream(key).get("entries-added")):
            client.execute_command("XSETID", key, newest[0][0], "ENTRIESADDED", max(known, added))

    def _check_lease(self) -> None:
        """Raise StoreBusy if another import may have begun, and even ended, while this process was paused."""
        try:
            self._lease.check()
        except LeaseLost as error:
            raise StoreBusy("this import was paused for too long") from error

    def _flush(self) -> None:
        self._check_lease()
        self._characters = 0
        with self._connection.reached():
            results = self._pipe.execute(raise_on_error=False)
            for result in results:
                # A request whose answer was lost is sent again, and its entries are there already.
                if isinstance(result, Exception) and _MOVED_ON not in str(result):
                    raise result


def _change_state(connection: Connection, before: str, after: str) -> None:
    """Change the state of the store. Raises StoreBusy if another process has changed it."""
    if not connection.run("set_schema", before=before, after=after):
        raise StoreBusy("this import was paused for too long, and another process uses the data in Redis")


def _refuse_writers(leases: Leases) -> None:
    if leases.writers() or leases.collecting():
        raise StoreBusy("a worker is deleting images or collecting garbage: wait until it has finished")
