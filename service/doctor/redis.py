"""Whether the history is safe in Redis: nothing evicted, everything kept, and room left."""

from collections.abc import Iterator

from service.doctor.case import Case
from service.domain.errors import StoreUnavailable
from service.domain.finding import Finding, error, fine, warning
from service.store.server import Server, read_server

_NAME = "redis"
_OLDEST = (6, 2)


def check(case: Case) -> Iterator[Finding]:
    try:
        server = read_server(case.wiring.connection)
    except StoreUnavailable as away:
        yield error(_NAME, str(away), "redis: {url: redis://HOST:6379/0}   # where it really is; then start it")
        return
    found = [*_version(server), *_eviction(server), *_memory(server), *_persistence(server)]
    yield from found
    if not found:
        kept = "appends every write to disk" if server.appends else "saves snapshots"
        yield fine(_NAME, f"{server.name} {kept} and evicts nothing")


def _version(server: Server) -> Iterator[Finding]:
    if server.version[:2] < _OLDEST:
        yield error(
            _NAME, f"{server.name} is too old: 6.2 is needed", "docker pull valkey/valkey:8   # or Redis >= 6.2"
        )


def _eviction(server: Server) -> Iterator[Finding]:
    """Also the volatile policies evict: leases, and what keeps an event from being recorded twice, have a life."""
    if server.eviction in ("noeviction", ""):
        return
    mend = "redis-cli CONFIG SET maxmemory-policy noeviction   # and `maxmemory-policy noeviction` in redis.conf"
    said = f"{server.name} evicts keys when its memory is full (maxmemory-policy {server.eviction}): history gets lost"
    if server.limit_bytes:
        yield error(_NAME, said, mend)
    else:
        yield warning(_NAME, f"{said}; it has no maxmemory now", mend)


def _memory(server: Server) -> Iterator[Finding]:
    if not server.limit_bytes:
        return
    share = server.used_bytes / server.limit_bytes
    said = f"{share:.0%} of maxmemory is in use ({server.used_bytes >> 20} of {server.limit_bytes >> 20} MiB)"
    mend = f"redis-cli CONFIG SET maxmemory {2 * (server.limit_bytes >> 20) or 64}mb   # and `maxmemory` in redis.conf"
    if share >= 0.95:
        yield error(_NAME, f"{said}: writes are refused, or keys evicted, at 100%", mend)
    elif share >= 0.8:
        yield warning(_NAME, said, mend)


def _persistence(server: Server) -> Iterator[Finding]:
    mend = "redis-cli CONFIG SET appendonly yes   # and `appendonly yes` in redis.conf"
    if server.writes_fail:
        yield error(
            _NAME,
            f"{server.name} fails to write to its disk: its next start loses history",
            "df -h   # on its machine: make room",
        )
    if server.appends:
        return
    if server.saves is None:
        said = f"{server.name} appends nothing to disk and refuses CONFIG: whether it saves snapshots is not known"
        yield warning(
            _NAME, said, "appendonly yes   # in the settings of the managed server, or see that it has backups"
        )
    elif server.saves:
        yield warning(_NAME, f"{server.name} only saves snapshots: a crash loses what came after the last one", mend)
    else:
        yield error(_NAME, f"{server.name} keeps nothing on disk: its next start loses the whole history", mend)
