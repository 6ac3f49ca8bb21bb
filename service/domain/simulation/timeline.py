"""A chronicle: all that is known to have happened in one repository, and what must have happened for that to be so."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Literal

from service.domain.retention.state import State, Tag

Kind = Literal["pushed", "adopted", "deleted", "vanished", "pruned", "pulled"]

_MADE_LIVE: tuple[Kind, ...] = ("pushed", "adopted")
_PROVES_BEFORE: tuple[Kind, ...] = ("pulled", "pruned")


@dataclass(frozen=True, slots=True)
class Happening:
    """One thing that happened in a repository at at_us (µs since the epoch).

    pushed: of a tag, or of a manifest without one (tag ""). adopted: found at the registry; pushed_us is when it was
    pushed, None when nobody knows. deleted: by somebody, a tag (digest "") or a digest with all its tags (tag "").
    vanished: a tag that was no longer there. pruned: by today's policy. pulled: by tag, or by digest (tag "").
    """

    kind: Kind
    at_us: int
    tag: str = ""
    digest: str = ""
    size_bytes: int = 0
    actor: str = ""
    useragent: str = ""
    address: str = ""
    pushed_us: int | None = None


@dataclass(frozen=True, slots=True)
class Chronicle:
    """What is recorded of one repository, in any order. present: the repository as it stands now."""

    present: State
    happenings: tuple[Happening, ...] = ()

    @property
    def repository(self) -> str:
        return self.present.repository

    @property
    def begins_us(self) -> int | None:
        """When the record begins, in µs: what was deleted before is not known. None when nothing is recorded."""
        return min((one.at_us for one in self.happenings if one.kind != "pulled"), default=None)

    @property
    def announced(self) -> frozenset[str]:
        """The digests whose push or adoption is recorded."""
        return frozenset(one.digest for one in self.happenings if one.kind in _MADE_LIVE)


def told(chronicle: Chronicle) -> tuple[Happening, ...]:
    """Everything in the order of time, with what the record implies: tags that must have been there before it begins.

    These are the present tags whose push is not recorded, at the time of that push, and tags that were pulled or
    pruned before any push of theirs is recorded. When those were pushed is not known: they count as pushed just
    before the record begins, older than all that is in it.
    """
    recorded = sorted(chronicle.happenings, key=lambda one: one.at_us)
    # Sorting is stable: what is implied comes before what was recorded for the same moment.
    everything = (*_still_there(chronicle), *_there_before(chronicle, recorded), *_dated(chronicle, recorded))
    return tuple(sorted(everything, key=lambda one: one.at_us))


def _dated(chronicle: Chronicle, recorded: list[Happening]) -> Iterator[Happening]:
    """What is recorded, adoptions with the time of push where the present or a later prune tells it.

    Today's policy prunes only what it knows the push of: what it pruned was pushed before it was adopted.
    """
    standing = {(tag.name, tag.digest): tag.pushed_us for tag in chronicle.present.tags if tag.pushed_us is not None}
    pruned = {(one.tag, one.digest): one.at_us for one in recorded if one.kind == "pruned"}
    for one in recorded:
        if one.kind != "adopted":
            yield one
            continue
        known = (one.tag, one.digest)
        pushed_us = standing.get(known, one.at_us + 1)
        if pushed_us <= one.at_us:
            yield replace(one, pushed_us=pushed_us)
        else:
            yield replace(one, pushed_us=one.at_us if pruned.get(known, 0) > one.at_us else None)


def _still_there(chronicle: Chronicle) -> Iterator[Happening]:
    """The present tags that no recorded push explains, at the time of their push."""
    explained = {(one.tag, one.digest) for one in chronicle.happenings if one.kind in _MADE_LIVE}
    for tag in chronicle.present.tags:
        if (tag.name, tag.digest) not in explained:
            at_us = tag.pushed_us if tag.pushed_us is not None else chronicle.begins_us or 0
            yield _implied(tag, at_us)


def _there_before(chronicle: Chronicle, recorded: list[Happening]) -> Iterator[Happening]:
    """The tags that the record first speaks of as pulled or pruned."""
    standing = {tag.name: tag for tag in chronicle.present.tags}
    for name, first in _first_mentions(recorded).items():
        still = standing.get(name)
        if first.kind not in _PROVES_BEFORE or (still and _stood_already(still, first)):
            continue
        begins_us = first.at_us if chronicle.begins_us is None else chronicle.begins_us
        at_us = min(first.at_us, begins_us) - 1
        yield _implied(Tag(name, first.digest, at_us, first.size_bytes), at_us)


def _stood_already(present: Tag, first: Happening) -> bool:
    """Whether it is the present tag that was pulled: its push is known then."""
    return present.digest == first.digest and (present.pushed_us or 0) <= first.at_us


def _first_mentions(recorded: list[Happening]) -> Mapping[str, Happening]:
    mentions: dict[str, Happening] = {}
    for one in recorded:
        if one.tag:
            mentions.setdefault(one.tag, one)
    return mentions


def _implied(tag: Tag, at_us: int) -> Happening:
    return Happening("adopted", at_us, tag.name, tag.digest, tag.size_bytes, tag.actor, pushed_us=tag.pushed_us)
