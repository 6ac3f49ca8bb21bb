"""Where a tag stood, from when to when: its history as intervals."""

from collections.abc import Iterable
from dataclasses import dataclass, replace

from service.domain.history.entry import Entry
from service.domain.retention.state import Tag

_BEGINS = frozenset({"push", "adopted", "restored", "healed"})
_ENDS = frozenset({"delete", "pruned", "still listed", "vanished", "lost"})
_FORGOTTEN = "it is gone, and nothing says when or why any more"


@dataclass(frozen=True, slots=True)
class Interval:
    """A tag at one digest. Times are µs since the epoch.

    from_us: since when, as far as is known; None: before the record begins. to_us: until when; None while it stands
    there, or where nobody knows. how: what brought it there: push, adopted (found there), restored or healed; "" where
    that is not recorded. by, useragent: whose push it was. pushed_us, pushes: its last push while it stood there, and
    how many were heard. ended: why it stands there no longer, "" while it does; ended_by: who did that, rule: by which
    rule of the policy. deleted: the tag went, and did not only move on.
    """

    digest: str
    from_us: int | None
    to_us: int | None = None
    how: str = ""
    by: str = ""
    useragent: str = ""
    media_type: str = ""
    size_bytes: int = 0
    pushed_us: int | None = None
    pushes: int = 0
    ended: str = ""
    ended_by: str = ""
    rule: str = ""
    deleted: bool = False


def intervals(tag: str, entries: Iterable[Entry], standing: Tag | None) -> tuple[Interval, ...]:
    """The intervals of a tag, the latest first.

    entries: of its repository, in the order of arrival, also those of other tags. standing: the tag, where it is live;
    it has the last word, as the record may have been cut.
    """
    about = sorted((one for one in entries if one.tag in (tag, "")), key=lambda one: one.at_us)
    found: list[Interval] = []
    for entry in about:
        if entry.tag and entry.action in _BEGINS:
            _begin(found, entry)
        elif entry.action in _ENDS and (entry.tag or entry.action == "delete"):
            _end(found, entry)
    _close(found, standing)
    return tuple(reversed(found))


def _begin(found: list[Interval], entry: Entry) -> None:
    pushed = entry.action == "push"
    last = found[-1] if found and not found[-1].ended else None
    if last and last.digest == entry.digest:
        if pushed:
            seen = replace(last, pushed_us=entry.at_us, pushes=last.pushes + 1, by=last.by or entry.actor)
            found[-1] = replace(seen, media_type=last.media_type or entry.media_type)
        return
    if last:
        by = f" by {entry.actor}" if pushed and entry.actor else ""
        found[-1] = replace(last, to_us=entry.at_us, ended=f"overwritten{by}", ended_by=entry.actor)
    known = next((one for one in reversed(found) if one.digest == entry.digest), None)
    found.append(
        Interval(
            entry.digest,
            entry.at_us,
            how=entry.action,
            by=entry.actor,
            useragent=entry.useragent,
            media_type=entry.media_type or (known.media_type if known else ""),
            size_bytes=entry.size_bytes or (known.size_bytes if known else 0),
            pushed_us=entry.at_us if pushed else None,
            pushes=1 if pushed else 0,
        )
    )


def _end(found: list[Interval], entry: Entry) -> None:
    """What is deleted by its digest takes only the tags along that stand there."""
    last = found[-1] if found and not found[-1].ended else None
    if last and entry.digest not in ("", last.digest):
        return
    if last is None:
        if not (entry.tag and entry.digest) or any(one.digest == entry.digest for one in found):
            return  # nobody knows where it stood, or it is told already
        found.append(Interval(entry.digest, None, size_bytes=entry.size_bytes))
        last = found[-1]
    by = f" by {entry.actor}" if entry.actor else ""
    ended = entry.reason or f"deleted{by}"
    found[-1] = replace(
        last, to_us=entry.at_us, ended=ended, ended_by=entry.actor, rule=entry.rule, deleted=True
    )  # fmt: skip


def _close(found: list[Interval], standing: Tag | None) -> None:
    last = found[-1] if found and not found[-1].ended else None
    if standing is None:
        if last:
            found[-1] = replace(last, ended=_FORGOTTEN, deleted=True)
        return
    if last and last.digest == standing.digest:
        pushed_us = last.pushed_us or standing.pushed_us
        found[-1] = replace(last, pushed_us=pushed_us, size_bytes=standing.size_bytes or last.size_bytes)
        return
    if last:
        found[-1] = replace(last, to_us=standing.pushed_us, ended="overwritten")
    at_us = standing.pushed_us
    found.append(Interval(standing.digest, at_us, by=standing.actor, size_bytes=standing.size_bytes, pushed_us=at_us))
