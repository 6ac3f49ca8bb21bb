"""Check that the history is safe in Redis: no eviction, writes kept on disk, and memory left."""

from collections.abc import Iterator

from service.doctor.case import Case
from service.domain.errors import StoreBusy, StoreRefuses, StoreUnavailable
from service.domain.finding import Finding, error, fine, warning, worst
from service.store.redis_info import RedisInfo, read_server

_NAME = "redis"
_OLDEST = (6, 2)
# The least rights of the user of redis.url, as the manual gives them.
RIGHTS = (
    "'~pushprune:*' '&pushprune:*' -@all +@read +@write +@connection +@scripting +@transaction +@pubsub -@dangerous "
    "+time +info +wait '+config|get' '+acl|getuser'"
)
# Words of a refusal → the line that fixes it.
_MENDS = {
    "is older than": "pushprune worker   # of this version: it migrates the data in Redis",
    "is newer than": "pip install --upgrade pushprune   # or the image of the version that wrote the data in Redis",
    "permission": f"redis-cli ACL SETUSER NAME {RIGHTS}   # NAME: pushprune's user",
    # Redis 6.2, of a command in a script.
    "can't run this command": f"redis-cli ACL SETUSER NAME {RIGHTS}   # NAME: pushprune's user",
    "read only replica": "redis: {url: redis://PRIMARY:6379/0}   # the server that takes writes; this one is a replica",
    "maxmemory": "redis-cli CONFIG SET maxmemory 0   # or a larger one, also in redis.conf",
    "disk": "df -h   # on the machine of Redis: make room",
}


def check(case: Case) -> Iterator[Finding]:
    """Check that Redis can be reached and written, and that it keeps its data."""
    refusal = None
    try:
        try:
            case.wiring.store.connection.pulse()
        except StoreRefuses as refuses:
            refusal = error(_NAME, str(refuses), fix_of(str(refuses)))
        server = read_server(case.wiring.store.connection)
    except StoreRefuses as refuses:
        yield error(_NAME, str(refuses), fix_of(str(refuses)))
        return
    except StoreBusy as busy:
        yield error(_NAME, str(busy), "pushprune doctor   # afterwards; or pushprune import FILE, if none runs")
        return
    except StoreUnavailable as away:
        yield error(_NAME, str(away), "redis: {url: redis://HOST:6379/0}   # its real address; and start Redis there")
        return
    findings = [*_version(server), *_eviction(server), *_memory(server), *_persistence(server)]
    # Another error, such as full memory, already explains the refusal and its fix.
    if refusal and worst(findings) != "error":
        findings.append(refusal)
    yield from findings
    if not findings:
        kept = "appends every write to disk" if server.appends else "saves snapshots"
        yield fine(_NAME, f"{server.name} {kept} and evicts nothing")


def fix_of(refusal: str, otherwise: str = "redis-cli INFO   # and the log of Redis: it says more") -> str:
    """Return the line that ends a refusal of Redis; `otherwise` if its words are not known."""
    for words, line in _MENDS.items():
        if words in refusal:
            return line
    return otherwise


def _version(server: RedisInfo) -> Iterator[Finding]:
    if server.version[:2] < _OLDEST:
        yield error(
            _NAME, f"{server.name} is too old: 6.2 is needed", "docker pull valkey/valkey:8   # or Redis >= 6.2"
        )


def _eviction(server: RedisInfo) -> Iterator[Finding]:
    """Check that Redis evicts no key.

    The `volatile-*` policies are as harmful as the others: leases and the keys against recording an event twice expire.
    """
    if server.eviction in ("noeviction", ""):
        return
    fix = "redis-cli CONFIG SET maxmemory-policy noeviction   # and `maxmemory-policy noeviction` in redis.conf"
    sentence = (
        f"{server.name} evicts keys when its memory is full (maxmemory-policy {server.eviction}): history gets lost"
    )
    if server.limit_bytes:
        yield error(_NAME, sentence, fix)
    else:
        yield warning(_NAME, f"{sentence}; it has no maxmemory now", fix)


def _memory(server: RedisInfo) -> Iterator[Finding]:
    if not server.limit_bytes:
        return
    share = server.used_bytes / server.limit_bytes
    sentence = f"{share:.0%} of maxmemory is in use ({server.used_bytes >> 20} of {server.limit_bytes >> 20} MiB)"
    more = max(64, 2 * (max(server.used_bytes, server.limit_bytes) >> 20))
    fix = f"redis-cli CONFIG SET maxmemory {more}mb   # and `maxmemory` in redis.conf"
    if share >= 0.95:
        yield error(_NAME, f"{sentence}: writes are refused, or keys evicted, at 100%", fix)
    elif share >= 0.8:
        yield warning(_NAME, sentence, fix)


def _replay(server: RedisInfo) -> Iterator[Finding]:
    line = "user default off ~* &* +@all   # in redis.conf or its ACL file: off: no client can log in as this user"
    if server.replays is False:
        sentence = (
            f"the user `default` of {server.name} may not do everything. At its start {server.name} reads the "
            "append-only file as this user, so the next start loses most of the history"
        )
        yield error(_NAME, sentence, line)
    elif server.replays is None:
        sentence = (
            f"not known if the user `default` of {server.name} may do everything, because pushprune's user may not "
            "read its rules: if it may not, the next start loses most of the history"
        )
        yield warning(_NAME, sentence, line)


def _persistence(server: RedisInfo) -> Iterator[Finding]:
    fix = "redis-cli CONFIG SET appendonly yes   # and `appendonly yes` in redis.conf"
    if server.writes_fail:
        yield error(
            _NAME,
            f"{server.name} fails to write to its disk: its next start loses history",
            "df -h   # on its machine: make room",
        )
    if server.appends:
        yield from _replay(server)
        return
    if server.saves is None:
        sentence = f"{server.name} appends nothing to disk and refuses CONFIG: whether it saves snapshots is not known"
        yield warning(
            _NAME, sentence, "appendonly yes   # in the settings of the managed server, or see that it has backups"
        )
    elif server.saves:
        yield warning(_NAME, f"{server.name} only saves snapshots: a crash loses what came after the last one", fix)
    else:
        yield error(_NAME, f"{server.name} keeps nothing on disk: its next start loses the whole history", fix)
