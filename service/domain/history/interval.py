"""The history of a tag as intervals, in each of which it pointed at one digest."""

from collections.abc import Iterable
from dataclasses import dataclass, replace

from service.domain.history.entry import Entry
from service.domain.oci.manifest import INDEX_TYPES
from service.domain.retention.state import Tag

_BEGINS = frozenset({"push", "adopted", "restored", "healed"})
_ENDS = frozenset({"delete", "pruned", "still listed", "vanished", "lost"})
_ONE_PUSH_US = 10 * 1_000_000
_FORGOTTEN = "it was deleted; the history no longer says when and why"


@dataclass(frozen=True, slots=True)
class Interval:
    """An interval in which a tag pointed at one digest. Times are in µs since the epoch.

    Attributes:
        from_us: the start, as far as is known; None if it was before the first entry of the history.
        to_us: the end; None while the tag points at the digest, and if the end is not known.
        how: the action that started the interval: push, adopted (imported), restored or healed; "" if not recorded.
        by: the user of the first recorded push.
        useragent: the client of the action that started the interval.
        pushed_us: the last push in the interval; None if none is known.
        pushes: number of recorded pushes.
        ended: why the interval ended; "" while the tag points at the digest.
        ended_by: the user who ended it.
        rule: the rule of the policy that ended it.
        deleted: True if the tag was deleted; False if it moved to another digest.
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


def intervals(tag: str, entries: Iterable[Entry], current: Tag | None) -> tuple[Interval, ...]:
    """Return the intervals of a tag, the latest first.

    Args:
        entries: the history of its repository in the order of arrival, with the entries of other tags.
        current: the tag if it is live, else None. It overrules the entries, because old entries may be missing.
    """
    relevant = sorted((entry for entry in entries if entry.tag in (tag, "")), key=lambda entry: entry.at_us)
    spans: list[Interval] = []
    for entry in relevant:
        if entry.tag and entry.action in _BEGINS:
            _begin(spans, entry)
        elif entry.action in _ENDS and (entry.tag or entry.action == "delete"):
            _end(spans, entry)
    _close(spans, current)
    return tuple(reversed(spans))


def _begin(spans: list[Interval], entry: Entry) -> None:
    pushed = entry.action == "push"
    if pushed and entry.media_type in INDEX_TYPES:
        _drop_parts(spans, entry)
    last = spans[-1] if spans and not spans[-1].ended else None
    if last and last.digest == entry.digest:
        if pushed:
            updated = replace(last, pushed_us=entry.at_us, pushes=last.pushes + 1, by=last.by or entry.actor)
            spans[-1] = replace(updated, media_type=last.media_type or entry.media_type)
        return
    if last:
        by = f" by {entry.actor}" if pushed and entry.actor else ""
        spans[-1] = replace(last, to_us=entry.at_us, ended=f"overwritten{by}", ended_by=entry.actor)
    known = next((span for span in reversed(spans) if span.digest == entry.digest), None)
    spans.append(
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


def _drop_parts(spans: list[Interval], index: Entry) -> None:
    """Drop the images that the client pushed under the tag right before this index.

    Docker with the containerd image store pushes the parts of an index so (github.com/moby/moby/pull/49949 ended that).
    No user pushed them as images of the tag.
    """
    count = len(spans)
    while spans and _is_part(spans[-1], index):
        spans.pop()
    if spans and len(spans) < count and spans[-1].digest == index.digest and not spans[-1].deleted:
        spans[-1] = replace(spans[-1], to_us=None, ended="", ended_by="")


def _is_part(span: Interval, index: Entry) -> bool:
    is_same_client = (span.by, span.useragent) == (index.actor, index.useragent)
    is_image = span.how == "push" and bool(span.media_type) and span.media_type not in INDEX_TYPES
    is_recent = span.from_us is not None and index.at_us - span.from_us < _ONE_PUSH_US
    return is_same_client and is_image and is_recent and not span.deleted


def _end(spans: list[Interval], entry: Entry) -> None:
    last = spans[-1] if spans and not spans[-1].ended else None
    # A DELETE by digest removes only the tags that point at that digest.
    if last and entry.digest not in ("", last.digest):
        return
    if last is None:
        # Without a tag and a digest it is not known where the tag pointed. A known digest was deleted before.
        if not (entry.tag and entry.digest) or any(span.digest == entry.digest for span in spans):
            return
        spans.append(Interval(entry.digest, None, size_bytes=entry.size_bytes))
        last = spans[-1]
    by = f" by {entry.actor}" if entry.actor else ""
    ended = entry.reason or f"deleted{by}"
    spans[-1] = replace(
        last, to_us=entry.at_us, ended=ended, ended_by=entry.actor, rule=entry.rule, deleted=True
    )  # fmt: skip


def _close(spans: list[Interval], current: Tag | None) -> None:
    """Make the last interval agree with the live tag."""
    last = spans[-1] if spans and not spans[-1].ended else None
    if current is None:
        if last:
            spans[-1] = replace(last, ended=_FORGOTTEN, deleted=True)
        return
    if last and last.digest == current.digest:
        pushed_us = last.pushed_us or current.pushed_us
        spans[-1] = replace(last, pushed_us=pushed_us, size_bytes=current.size_bytes or last.size_bytes)
        return
    if last:
        spans[-1] = replace(last, to_us=current.pushed_us, ended="overwritten")
    at_us = current.pushed_us
    spans.append(Interval(current.digest, at_us, by=current.actor, size_bytes=current.size_bytes, pushed_us=at_us))
