"""The tags of large repositories as this process read them last, so that the next snapshot reads only what changed."""

from collections import OrderedDict
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from threading import Lock
from typing import Any

from service.domain.retention.settled import Settled
from service.domain.retention.state import Tag
from service.store.keys import long, paired, short
from service.store.live_tags import short_in, unpack_live

# Returns the name behind its number in `dictionary`.
NameOf = Callable[[str], str]

# In repositories with fewer tags, reading all of them is cheap.
LEAST_TAGS = 2_000
# Of all repositories together: about 150 MB, with what plans remember of them.
MOST_TAGS = 250_000
# Plans decide about changed tags again and again, until all tags count as just read.
_MOST_CHANGED = 1_000


@dataclass(slots=True)
class PlanMemory:
    """The tags that the last whole plan found to be settled. All snapshots since all tags were read share it."""

    settled: Settled | None = None


@dataclass(frozen=True, slots=True)
class ReadTags:
    """The tags of a repository at one moment.

    Attributes:
        server: the Redis that they were read from, since it started or took over; "" if it does not say that.
        generation: of the repository.
        relabeled: the number of changes that leave the generation as it is.
        pulled, created: the values of pulled:R and created:R.
        tags: name → tag, in the order of tags:R.
        changed: the names of all tags that have changed since all were read; any other tag is the same object.
        memory: of the plans since then.
    """

    server: str
    generation: str
    relabeled: str
    pulled: Mapping[str, str]
    created: Mapping[str, str]
    tags: dict[str, Tag]
    changed: frozenset[str] = frozenset()
    memory: PlanMemory = field(default_factory=PlanMemory)


class RememberedTags:
    """The tags of the repositories that were read last. Several threads may use it."""

    def __init__(self, least_tags: int = LEAST_TAGS) -> None:
        """Remember nothing yet. least_tags: that a repository must have."""
        self._least_tags = least_tags
        self._read: OrderedDict[str, ReadTags] = OrderedDict()
        self._lock = Lock()

    def of(self, repository: str) -> ReadTags | None:
        """Return the tags as they were read last; None if they are not remembered."""
        return self._read.get(repository)

    def remember(self, repository: str, read: ReadTags) -> bool:
        """Remember these tags instead of those that were read before; forget those that were not read for longest.

        Returns:
            False if the repository has too few tags to remember them.
        """
        is_large = len(read.tags) >= self._least_tags
        with self._lock:
            self._read.pop(repository, None)
            if is_large:
                self._read[repository] = read
            while sum(len(each.tags) for each in self._read.values()) > MOST_TAGS:
                self._read.popitem(last=False)
        return is_large


class UnreadableTag(ValueError):
    """A tag whose value in live:R is missing or has another form. Its argument is the name."""


def unpack_tags(answer: Mapping[str, Any], name_of: NameOf) -> ReadTags:
    """Return the tags behind an answer of snapshot.lua that has all of them."""
    pulled, created = paired(answer["pulled"]), paired(answer["created"])
    tags = _unpacked(paired(answer["tags"]), answer["live"], pulled, created, name_of)
    return ReadTags(answer["server"], answer["generation"], answer["relabeled"], pulled, created, tags)


def with_changes(known: ReadTags, answer: Mapping[str, Any], name_of: NameOf) -> ReadTags | None:
    """Return the known tags with the changes in an answer of snapshot.lua; None if these are not all changes."""
    pulled, created = paired(answer["pulled"]), paired(answer["created"])
    times = paired(answer["tags"])
    existing = {name: score for name, score in times.items() if score}
    read = _unpacked(existing, answer["live"], pulled, created, name_of)
    tags, names = _merged(known, times, read, pulled, created)
    # A deletion is noted in voided:R, but only for a day, and only the latest.
    if answer["counts"] != [len(tags), len(tags)]:
        return None
    changed, memory = known.changed | names, known.memory
    if len(changed) > _MOST_CHANGED:
        changed, memory = frozenset(), PlanMemory()
    return ReadTags(known.server, answer["generation"], answer["relabeled"], pulled, created, tags, changed, memory)


def _unpacked(
    times: Mapping[str, str],
    live: Mapping[str, bytes],
    pulled: Mapping[str, str],
    created: Mapping[str, str],
    name_of: NameOf,
) -> dict[str, Tag]:
    tags: dict[str, Tag] = {}
    used_us, created_us = None, None
    for name, score in times.items():
        packed = live.get(name, b"")
        if pulled or created:
            digest = short_in(packed)
            used_us, created_us = _used_us(name, digest, pulled), _created_us(digest, created)
        # A score of 0 means that no push was seen.
        try:
            tags[name] = unpack_live(name, packed, name_of, int(float(score)) or None, used_us, created_us)
        except ValueError as error:
            raise UnreadableTag(name) from error
    return tags


def _used_us(name: str, digest: str, pulled: Mapping[str, str]) -> int | None:
    # A pull by digest counts for every tag that points at the digest.
    return int(max(float(pulled.get(name, 0)), float(pulled.get(f"@{digest}", 0)))) or None


def _created_us(digest: str, created: Mapping[str, str]) -> int | None:
    return int(created[digest]) if digest in created else None


def _merged(
    known: ReadTags,
    times: Mapping[str, str],
    changed: dict[str, Tag],
    pulled: Mapping[str, str],
    created: Mapping[str, str],
) -> tuple[dict[str, Tag], set[str]]:
    """Return the known tags with these changes, and the names of those that changed.

    Args:
        known: the tags.
        times: of tags that may have changed; "" for a tag that does not exist any more.
        changed: those of them that exist; the unchanged ones are removed.
        pulled: all pulls.
        created: all creation dates.
    """
    # `dict(…)` takes five times as long once a key was deleted.
    tags = known.tags.copy()
    names: set[str] = set()
    for name in times:
        if tags.get(name) != changed.get(name):
            tags.pop(name, None)
            names.add(name)
        else:
            changed.pop(name, None)
    used = _used_or_dated(known, tags, pulled, created)
    for name in used:
        digest = short(tags[name].digest)
        used_us, created_us = _used_us(name, digest, pulled), _created_us(digest, created)
        tags[name] = replace(tags[name], pulled_us=used_us, created_us=created_us)
    newest = next(reversed(tags.values()), None)
    added = sorted(changed.values(), key=_pushed_and_name)
    tags.update((tag.name, tag) for tag in added)
    if newest and added and _pushed_and_name(added[0]) < _pushed_and_name(newest):
        tags = {tag.name: tag for tag in sorted(tags.values(), key=_pushed_and_name)}
    return tags, names | used


def _used_or_dated(
    known: ReadTags, tags: Mapping[str, Tag], pulled: Mapping[str, str], created: Mapping[str, str]
) -> set[str]:
    """Return the names of these tags whose pulls or creation dates have changed."""
    members = {member for member, _ in known.pulled.items() ^ pulled.items()}
    digests = {long(member[1:]) for member in members if member.startswith("@")}
    digests.update(long(digest) for digest, _ in known.created.items() ^ created.items())
    names = {name for name in members if name in tags}
    return names | {tag.name for tag in tags.values() if tag.digest in digests} if digests else names


def _pushed_and_name(tag: Tag) -> tuple[int, str]:
    return (tag.pushed_us or 0, tag.name)
