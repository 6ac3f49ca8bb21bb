"""The version of the schema in Redis: refuse a newer one, migrate an older one before anything else is done.

Every process looks at the key `schema` before its first use of the store, and those of the service look again every
second. A missing key is stored with the version of the process: an empty Redis is a new one, and if Redis was wiped,
processes of this version wrote what is there since. Every version must understand this file, and the keys schema,
lease:schema and fence.
"""

import time
from collections.abc import Callable, Mapping, Sequence

import redis
from redis.client import Pipeline

from service.domain.errors import SchemaTooNew, StoreBusy, StoreRefuses, StoreUnavailable
from service.log import log
from service.store.connection import Connection
from service.store.lease import Leases
from service.store.migrations import pack_live_tags

VERSION = 2
# The value of the key while an import deletes what it replaces, and writes.
IMPORTING = "import"
# Its value right before that: this prefix and the previous value. Nothing is changed yet.
IMPORT_BEGINS = "import "
# Its value during a migration is this and the version to migrate from. Processes of that version stop at it.
_MIGRATING = "migrating "
# After so long, each running process knows of an import or a migration.
WATCH_S = 1.0


class Migration:
    """One migration under way: from a version to the next."""

    def __init__(self, connection: Connection, version: int) -> None:
        self.connection = connection
        self._version = version

    def begin(self) -> None:
        """Return once no process of the older version uses the store any more. Raises StoreBusy as `write`."""
        mark = f"{_MIGRATING}{self._version}"
        # A process that began this migration and died may have died before the others knew of it.
        self._write(lambda pipe: pipe.set(self.connection.keys.of("schema"), mark), (str(self._version), mark))
        time.sleep(2 * WATCH_S)

    def write(self, fill: Callable[[Pipeline], object]) -> None:
        """Execute the commands that `fill` adds to a transaction.

        Raises:
            StoreBusy: this process was paused, and another process has finished the migration meanwhile.
        """
        self._write(fill, (f"{_MIGRATING}{self._version}",))

    def _write(self, fill: Callable[[Pipeline], object], states: Sequence[str]) -> None:
        key = self.connection.keys.of("schema")
        with self.connection.redis.pipeline() as pipe:
            pipe.watch(key)
            is_current = pipe.get(key) in states
            pipe.multi()
            fill(pipe)
            try:
                # A transaction that is not executed writes nothing.
                done = is_current and pipe.execute()
            except redis.WatchError:
                done = False
        if done is False:
            raise StoreBusy("another process has migrated the data in Redis meanwhile")

    def finish(self) -> None:
        """Store the next version."""
        self.write(lambda pipe: pipe.set(self.connection.keys.of("schema"), self._version + 1))


# From which version → the function that migrates to the next. It writes by `Migration.write` only. It begins anew after
# a crash, so it must accept keys that it has changed already. Nothing else uses the store meanwhile.
MIGRATIONS: Mapping[int, Callable[[Migration], None]] = {1: pack_live_tags}


class Schema:
    """The check that a connection makes before its first use (`Connection.check_schema`).

    Args:
        migrates: this process migrates an older store; else it refuses one.
    """

    def __init__(
        self,
        *,
        migrates: bool,
        version: int = VERSION,
        migrations: Mapping[int, Callable[[Migration], None]] = MIGRATIONS,
    ) -> None:
        self._migrates = migrates
        self._version = version
        self._migrations = migrations

    def __call__(self, connection: Connection) -> None:
        """Return once the store has the version of this pushprune.

        Raises:
            SchemaTooNew: the store was written by a newer pushprune.
            StoreBusy: the store is being migrated or imported.
            StoreRefuses: the store is older, and this process does not migrate.
        """
        version = self._found(connection)
        if version == self._version:
            return
        if not self._migrates:
            raise StoreRefuses(
                f"the data in Redis has schema version {version}, which is older than version {self._version} of this "
                "pushprune: start its web process or a worker, which migrates it"
            )
        with Leases(connection).hold("schema") as lease:
            if lease is None:
                raise StoreBusy("another process migrates the data in Redis: wait until it has finished")
            while (version := self._found(connection)) < self._version:
                log.info("migrating the data in Redis", from_version=version, to_version=version + 1)
                migration = Migration(connection, version)
                migration.begin()
                self._migrations[version](migration)
                migration.finish()

    def _found(self, connection: Connection) -> int:
        """Return the version of the store, this version at most. Raises SchemaTooNew or StoreBusy."""
        key, client = connection.keys.of("schema"), connection.redis
        text = client.get(key)
        if text is None:
            try:
                client.set(key, self._version, nx=True)
                text = client.get(key)
            except StoreRefuses:
                # A server that takes no write can be read, so that the doctor can say why.
                return self._version
        if text and text.startswith(IMPORT_BEGINS):
            text = self._given_up(connection, text)
        if text == IMPORTING:
            raise StoreBusy(
                "an import into Redis has begun and has not ended: wait for it, or run `pushprune import` again"
            )
        state = str(text)
        if state.startswith(_MIGRATING):
            text = state.removeprefix(_MIGRATING)
            if not self._migrates or not text.isdecimal() or int(text) >= self._version:
                raise StoreBusy("the data in Redis is being migrated by a newer pushprune: wait until it has finished")
        if not str(text).isdecimal() or int(text) > self._version:
            raise SchemaTooNew(str(text), self._version)
        return int(text)

    def _given_up(self, connection: Connection, state: str) -> str:
        """Return the state from before an import whose process has died. Raises StoreBusy while the import runs."""
        before = state.removeprefix(IMPORT_BEGINS)
        with Leases(connection).hold("schema") as lease:
            if lease is None or not connection.run("set_schema", before=state, after=before):
                raise StoreBusy("an import into Redis has begun: wait until it has finished")
        return before


class SchemaWatch:
    """A watch on the version of the store for as long as a process of the service runs."""

    # A newer process may migrate the store, or a user import one, while this process runs.

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._trouble = ""

    def wait(self) -> None:
        """Return once the store can be used, or Redis is away. Raises SchemaTooNew."""
        while True:
            try:
                self._connection.check_schema()
            except SchemaTooNew:
                raise
            except StoreBusy as error:
                self._tell(str(error))
                time.sleep(WATCH_S)
            except StoreUnavailable as error:
                self._tell(str(error))
                return
            else:
                return

    def run(self) -> None:
        """Look every second. While the store must not be used, every use of it fails."""
        while True:
            time.sleep(WATCH_S)
            try:
                self._connection.check_schema()
                self._tell("")
            except StoreUnavailable as error:
                self._tell(str(error))

    def _tell(self, trouble: str) -> None:
        if trouble and trouble != self._trouble:
            log.warning("Redis cannot be used yet; pushprune tries again every second", reason=trouble)
        elif self._trouble and not trouble:
            log.info("Redis can be used again")
        self._trouble = trouble
