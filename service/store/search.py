"""A search over the tags, manifests and users of many repositories, in Redis itself."""

import base64
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from service.domain.history.search import ParsedSearch, TagMatch, UserMatch
from service.domain.retention.state import Tag
from service.store.connection import Connection
from service.store.dictionary import Dictionary
from service.store.keys import decoded, long
from service.store.live_tags import unpack_live
from service.store.trash import PackedDeletion

# A script blocks Redis while it runs, here for some milliseconds: between two runs, Redis can serve other clients.
_CHUNK = 200
_MOST_FIELDS = 1_000
_EVENTS = 500
_DELETIONS = ("pruned", "still listed", "delete", "vanished")


@dataclass(frozen=True, slots=True)
class SearchPlace:
    """The place that a search over repositories has reached.

    Attributes:
        searched: the number of repositories that were searched to their end.
        kind: the kind of key in the next repository, as in the script.
        cursor: of HSCAN in that key.
    """

    searched: int = 0
    kind: int = 1
    cursor: str = "0"


@dataclass(frozen=True, slots=True)
class SearchStep:
    """The matches between two places.

    Attributes:
        place: the place that was reached.
        count: the number of matches; only some of them may be listed.
    """

    place: SearchPlace
    count: int
    tags: tuple[TagMatch, ...] = ()
    users: tuple[UserMatch, ...] = field(default=())


@dataclass(frozen=True, slots=True)
class SearchedEvents:
    """The matches in a page of the recorded events.

    Attributes:
        before: the id of the oldest event that was read; None if there are no older ones.
        from_us: its time (µs).
    """

    before: str | None
    from_us: int
    tags: tuple[TagMatch, ...]
    users: tuple[str, ...]


class Searcher:
    """Search in Redis. Every method raises StoreUnavailable when Redis is away."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def step(
        self, repositories: Sequence[str], query: ParsedSearch, place: SearchPlace, most: int, ranks: int
    ) -> SearchStep:
        """Search these repositories for some milliseconds, from a place on.

        Args:
            most: matches of each rank to list.
            ranks: the ranks to list, from the best one; matches of other ranks are only counted.
        """
        chosen, digest = repositories[place.searched : place.searched + _CHUNK], query.digest
        searched, kind, cursor, count, *flat = self._connection.run_undecoded(
            "search", repositories=chosen, text=query.text, short=_short_prefix(digest), packed=_packed_prefix(digest),
            digest=digest, most=most, ranks=ranks, most_fields=_MOST_FIELDS, kind=place.kind, cursor=place.cursor,
        )  # fmt: skip
        name_of = Dictionary(self._connection).name
        rows = [_row(name_of, *flat[at : at + 5]) for at in range(0, len(flat), 5)]
        users = tuple(UserMatch(name, tags) for _, kind, name, tags, _ in rows if kind == "user")
        tags = [
            match
            for row in rows
            if row[1] != "user"
            for match in _matches(chosen[row[0] - 1], digest, *row[1:])
            # The script compares 6 bits at a time, which is less than the whole text of a digest.
            if match.state == "part" or query.matches(match.tag, match.digest)
        ]
        return SearchStep(SearchPlace(place.searched + searched, kind, cursor.decode()), count, tuple(tags), users)

    def events(self, query: ParsedSearch, before: str | None) -> SearchedEvents:
        """Search a page of the events of all repositories, newest first. before: only those older than this event."""
        read, last, at_us, *flat = self._connection.run(
            "search_events", before=before or "", count=_EVENTS, text=query.text, digest=query.digest,
            actions=_DELETIONS,
        )  # fmt: skip
        rows = [flat[at : at + 8] for at in range(0, len(flat), 8)]
        users = tuple(user for kind, *_, user, _, _ in rows if kind == "user")
        tags = tuple(
            TagMatch(repository, tag, digest, "deleted" if action in _DELETIONS else "earlier", int(at), user, reason)
            for kind, repository, action, tag, digest, user, at, reason in rows
            if kind != "user"
        )
        return SearchedEvents(last if read == _EVENTS else None, int(at_us or 0), tags, users)


def _row(name_of: Callable[[str], str], number: int, kind: bytes, name: bytes, value: Any, pushed: bytes) -> list[Any]:
    """Return a row of the answer with texts; with the tag as the value of a live one."""
    if kind == b"live":
        tag = unpack_live(name.decode(), value, name_of, int(float(pushed or 0)) or None)
        return [number, "live", tag.name, tag, ""]
    return [number, *map(decoded, (kind, name, value, pushed))]


def _matches(repository: str, digest: str, kind: str, name: str, value: Any, _: str) -> Iterator[TagMatch]:
    if kind == "live":
        tag: Tag = value
        yield TagMatch(repository, name, tag.digest, "live", tag.pushed_us, tag.actor)
    elif kind == "deleted":
        deleted = PackedDeletion(repository, name, *value.split(" ", 4)).unpacked()
        yield TagMatch(
            repository, deleted.tag, deleted.digest, "deleted", deleted.at_us, "", deleted.reason, restorable=True
        )
    elif kind == "untagged":
        since_us, _, _ = value.partition(" ")
        yield TagMatch(repository, "", long(name), "untagged", int(since_us) or None)
    elif kind == "earlier":
        for entry in value.split():
            at_us, _, known = entry.partition(":")
            if long(known).startswith(digest):
                yield TagMatch(repository, name, long(known), "earlier", int(at_us) or None)
    elif kind == "part":
        yield TagMatch(repository, "", name, "part")


def _packed_prefix(digest: str) -> bytes:
    """Return the first bytes in live:R of all digests that begin like this one."""
    algorithm, _, hexadecimal = digest.partition(":")
    if algorithm != "sha256":
        return digest.encode()
    return b"#" + bytes.fromhex(hexadecimal[: len(hexadecimal) // 2 * 2])


def _short_prefix(digest: str) -> str:
    """Return the first characters of the short digests of all digests that begin like this one."""
    algorithm, _, hexadecimal = digest.partition(":")
    if algorithm != "sha256":
        return digest
    whole = hexadecimal + "0" * (len(hexadecimal) % 2)
    return base64.urlsafe_b64encode(bytes.fromhex(whole)).decode()[: len(hexadecimal) * 4 // 6]
