"""The part of Redis that a backup holds, read one repository at a time."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from service.store import schema
from service.store.chunks import AT_ONCE, by_id
from service.store.connection import Connection
from service.store.dictionary import Dictionary
from service.store.keys import decoded, paired
from service.store.live_tags import flat_live

Kind = Literal["string", "hash", "zset", "stream", "field", "score", "member", "scores"]

# The keys that a backup holds, with the kind of their values. Of a key of all repositories each has its own value: the
# `field` of a hash, the `score` in a zset, a `member` of a set, or `scores` of several members.
SAVED: Mapping[str, Kind] = {
    "generation": "field", "compared": "field", "planned": "field", "unapproved": "field", "unannounced": "field",
    "sizes": "field", "unseen": "score", "unconfirmed": "member", "held": "member", "trashed": "scores",
    "hold:R": "string", "rejection:R": "string", "tags:R": "zset", "live:R": "hash", "pulled:R": "zset",
    "leased:R": "zset", "restored:R": "zset", "approvals:R": "zset", "untagged:R": "hash", "revisions:R": "hash",
    "created:R": "hash", "layers:R": "hash", "links:R": "hash", "dry_run:R": "hash", "trash:R": "hash",
    "deleted:R": "hash", "history:R": "stream",
    "policy": "string", "policy:last": "string", "counters": "hash", "troubles": "hash", "usage:now": "hash",
    "usage": "stream", "rejected": "stream", "gc:runs": "stream", "gc:totals": "hash", "gc:logs": "hash",
    "gc:rehearsal": "string", "gc:garbage": "string", "gc:restorable": "hash", "reconcile:last": "hash",
    "events": "stream", "pulls": "stream",
}  # fmt: skip
# The keys that a backup does not hold, and why. An import deletes those of work and those that are made anew.
LEFT_OUT: Mapping[str, Sequence[str]] = {
    "work": (
        "doomed:R", "manual:R", "manual_deleted:R", "heal:R", "touched:R", "untagging:R", "own_puts:R", "dangling:R",
        "voided:R", "doomed", "healing", "enforce", "late:NAME", "attempts", "gc:due", "gc:undelete", "gc:grace",
        "gc:dry_run", "gc:retry", "gc:waiting", "gc:traces", "reconcile:due", "reconcile:run", "reconcile:todo",
        "reconcile:attempts", "reconcile:pause", "reconcile:sent", "policy:comparison",
        "webhook_queue:NAME",
    ),
    "anew": (
        "webhook:NAME", "webhook_held:NAME", "due", "by_name", "by_push", "by_tags", "live_tags", "pushes:R",
        "dictionary", "shrunk", "relabeled", "reconcile:epoch", "gc:deletes", "gc:bytes",
    ),
    "running": (
        "gc:state", "gc:scheduled", "gc:unverified", "gc:deleting", "gc:pins", "gc:readonly", "gc:noted", "gc:noting",
        "gc:claimed", "gc:unlinked", "gc:look_again", "gc:journal", "reconcile:scheduled", "writers", "gate",
        "gate:opens", "gate:memory", "gate:forgot", "gates", "gates:seen", "pushing", "manifest_puts", "unreferenced",
        "unread_manifests", "seen:N", "meter", "flushed:NAME", "schema", "lease:NAME", "fence", "clock", "workers",
        "registries", "policy:read", "pulse", "change_limit", "signout:NAME", "probe:NAME", "doctor:last",
    ),
    "observed": ("capabilities", "restarts", "started", "instances", "last_notification"),
    "secret": ("word", "sign_in:NAME"),
}  # fmt: skip
# Troubles about images. All other troubles are noted again while they exist.
_OF_IMAGES = ("lost ", "broken ")
_PAGE = 1000
_OF_ALL = tuple(name for name, kind in SAVED.items() if ":R" not in name and kind in ("string", "hash", "stream"))


@dataclass(frozen=True, slots=True)
class SavedValue:
    """A value of a key, or a part of one.

    Attributes:
        key: its name in SAVED.
        repository: "" if it belongs to all.
        value: a text or a score; the mapping of a hash; the mapping member → score of a zset; or the fields of an
            entry.
        id: of an entry of a stream.
        expires_ms: when Redis forgets the key; 0: never.
        added: of a stream: how many entries it ever had. There is no value then.
    """

    key: str
    repository: str = ""
    value: str | int | float | Mapping[str, Any] = ""
    id: str = ""
    expires_ms: int = 0
    added: int = 0


class Backup:
    """A reader of what a backup holds. Every method raises StoreUnavailable when Redis is away."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._keys = connection.keys

    def repositories(self) -> tuple[str, ...]:
        """Return the names of all repositories, sorted; also of those of which only images in use are known."""
        leased = self._keys.of("leased", "")
        client = self._connection.redis
        names = {name for name, _ in client.hscan_iter(self._keys.of("generation"), count=AT_ONCE)}
        # A user may have declared images to be in use before their repository was heard of.
        prefix = f"{leased}:"
        names |= {key.removeprefix(prefix) for key in client.scan_iter(match=f"{prefix}*", count=_PAGE)}
        return tuple(sorted(names))

    def read_repository(self, repository: str) -> Iterator[SavedValue]:
        """Yield the values of a repository, all of one moment, then its history until then."""
        rows = self._connection.run_undecoded("read_repository", repository)
        dictionary = Dictionary(self._connection)
        newest = ""
        for name, expires_ms, packed in zip(map(decoded, rows[::3]), rows[1::3], rows[2::3], strict=True):
            value: Any = _flat_tags(packed, dictionary.name) if name == "live" else decoded(packed)
            if name == "history":
                newest = value
                continue
            key = name if name in SAVED else f"{name}:R"
            plain = paired(value) if isinstance(value, list) else value
            if isinstance(plain, str):
                plain = _score(plain) if SAVED[key] == "score" else plain
            elif SAVED[key] in ("zset", "scores"):
                plain = {member: _score(text) for member, text in plain.items()}
            yield SavedValue(key, repository, plain, expires_ms=int(expires_ms or 0))
        if newest:
            for identifier, fields in by_id(self._connection.redis, self._keys.of("history", repository), last=newest):
                yield SavedValue("history:R", repository, dictionary.flat_row(fields), identifier)

    def read_shared(self) -> Iterator[SavedValue]:
        """Yield the values that belong to no repository."""
        for name in _OF_ALL:
            key, kind = self._keys.of(name), SAVED[name]
            if kind == "stream":
                yield from self._stream(name)
                continue
            client = self._connection.redis
            value = client.get(key) if kind == "string" else dict(client.hscan_iter(key, count=AT_ONCE))
            left_ms, now_ms = client.pttl(key), self._connection.now_ms()
            if name == "troubles":
                value = {about: text for about, text in value.items() if about.startswith(_OF_IMAGES)}
            if value:
                yield SavedValue(name, value=value, expires_ms=now_ms + left_ms if left_ms > 0 else 0)

    def is_empty(self) -> bool:
        """Return True if nothing is known of any repository, and no image was declared to be in use."""
        names = ("generation", "events", "trashed", "gc:runs", "pulls")
        client = self._connection.unchecked().redis
        if client.exists(*(self._keys.of(name) for name in names)):
            return False
        # An import would delete these leases, and users rely on them.
        return not any(client.scan_iter(match=f"{self._keys.of('leased')}:*", count=_PAGE))

    def is_incomplete(self) -> bool:
        """Return True if an import has begun and has not ended."""
        state = self._connection.unchecked().redis.get(self._keys.of("schema")) or ""
        # Another import may have begun since, and have died before it changed anything.
        return str(state).removeprefix(schema.IMPORT_BEGINS) == schema.IMPORTING

    def _stream(self, name: str) -> Iterator[SavedValue]:
        client = self._connection.redis
        if not client.exists(self._keys.of(name)):
            return
        about = client.xinfo_stream(self._keys.of(name))
        for identifier, fields in by_id(client, self._keys.of(name), last=about["last-generated-id"]):
            yield SavedValue(name, value=fields, id=identifier)
        # Redis before 7 does not have this number.
        if added := about.get("entries-added"):
            yield SavedValue(name, added=added)


def name_of(key: str) -> str:
    """Return the name that keys.py gives a key without its prefix, such as `tags:R`."""
    known = {*SAVED, *(name for names in LEFT_OUT.values() for name in names)}
    if key in known:
        return key
    before = key.partition(":")[0]
    return next((name for name in (f"{before}:R", f"{before}:NAME", f"{before}:N") if name in known), "")


def _flat_tags(live: Sequence[bytes], name_of: Callable[[str], str]) -> list[str]:
    """Return the fields and values of live:R, in their flat form."""
    flat = []
    for name, packed in zip(live[::2], live[1::2], strict=True):
        try:
            text = flat_live(packed, name_of)
        except ValueError:
            # No import takes this value, and `export` says so.
            text = packed.decode(errors="replace")
        flat += [name.decode(), text]
    return flat


def _score(text: str) -> int | float | str:
    """Return a score as a number, or as Redis writes it if it is infinite. Users may store fractions of a ms."""
    if text.lstrip("-").isdecimal():
        return int(text)
    return text if text.endswith("inf") else float(text)
