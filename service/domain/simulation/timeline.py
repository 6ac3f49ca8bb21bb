"""The timeline of one repository: its recorded events, and the events that they imply."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Literal

from service.domain.retention.state import State, Tag

Kind = Literal["pushed", "adopted", "deleted", "vanished", "pruned", "pulled"]

_MADE_LIVE: tuple[Kind, ...] = ("pushed", "adopted")
_PROVES_BEFORE: tuple[Kind, ...] = ("pulled", "pruned")


@dataclass(frozen=True, slots=True)
class TimelineEvent:
    """One event in a repository at at_us (µs since the epoch).

    Attributes:
        kind: the kind of event:
            pushed    push of a tag, or of a manifest without a tag (tag "")
            adopted   import of a tag that a comparison found at the registry
            deleted   deletion by a user: of a tag (digest ""), or of a digest with all its tags (tag "")
            vanished  a comparison no longer found the tag
            pruned    deletion by the current policy
            pulled    pull by tag, or by digest (tag "")
        pushed_us: the push time of an imported tag; None if it is not known.
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
class Timeline:
    """The recorded events of one repository, in any order. present: the current state of the repository."""

    present: State
    events: tuple[TimelineEvent, ...] = ()

    @property
    def repository(self) -> str:
        """The name of the repository."""
        return self.present.repository

    @property
    def begins_us(self) -> int | None:
        """The start of the record in µs; None if nothing is recorded. Earlier deletions are not known."""
        return min((event.at_us for event in self.events if event.kind != "pulled"), default=None)

    @property
    def announced(self) -> frozenset[str]:
        """The digests whose push or import is recorded."""
        return frozenset(event.digest for event in self.events if event.kind in _MADE_LIVE)


def with_implied_events(timeline: Timeline) -> tuple[TimelineEvent, ...]:
    """Return all events in the order of time, with the implied imports of tags that existed before the record begins.

    These are the current tags whose push is not recorded, at their push time, and tags that were pulled or pruned
    before any recorded push. The push time of the latter is not known: they count as pushed just before the record
    begins, so that they are older than all recorded events.
    """
    recorded = sorted(timeline.events, key=lambda event: event.at_us)
    # Sorting is stable: implied events come before the recorded events of the same moment.
    everything = (
        *_current_tags(timeline),
        *_known_before_recording(timeline, recorded),
        *_dated(timeline, recorded),
    )
    return tuple(sorted(everything, key=lambda event: event.at_us))


def _dated(timeline: Timeline, recorded: list[TimelineEvent]) -> Iterator[TimelineEvent]:
    """Yield the recorded events, with push times of imported tags from the current tag or from a later prune."""
    push_times = {(tag.name, tag.digest): tag.pushed_us for tag in timeline.present.tags if tag.pushed_us is not None}
    pruned = {(event.tag, event.digest): event.at_us for event in recorded if event.kind == "pruned"}
    for event in recorded:
        if event.kind != "adopted":
            yield event
            continue
        known = (event.tag, event.digest)
        pushed_us = push_times.get(known, event.at_us + 1)
        if pushed_us <= event.at_us:
            yield replace(event, pushed_us=pushed_us)
        else:
            # The current policy prunes only images of known push time. So a pruned image was pushed before its import.
            yield replace(event, pushed_us=event.at_us if pruned.get(known, 0) > event.at_us else None)


def _current_tags(timeline: Timeline) -> Iterator[TimelineEvent]:
    """Yield imports of the current tags without a recorded push, at their push time."""
    explained = {(event.tag, event.digest) for event in timeline.events if event.kind in _MADE_LIVE}
    for tag in timeline.present.tags:
        if (tag.name, tag.digest) not in explained:
            at_us = tag.pushed_us if tag.pushed_us is not None else timeline.begins_us or 0
            yield _implied(tag, at_us)


def _known_before_recording(timeline: Timeline, recorded: list[TimelineEvent]) -> Iterator[TimelineEvent]:
    """Yield imports of the tags whose first recorded event is a pull or a prune."""
    current = {tag.name: tag for tag in timeline.present.tags}
    for name, first in _first_mentions(recorded).items():
        present = current.get(name)
        if first.kind not in _PROVES_BEFORE or (present and _existed_already(present, first)):
            continue
        begins_us = first.at_us if timeline.begins_us is None else timeline.begins_us
        at_us = min(first.at_us, begins_us) - 1
        yield _implied(Tag(name, first.digest, at_us, first.size_bytes), at_us)


def _existed_already(present: Tag, first: TimelineEvent) -> bool:
    """True if the current tag was already the pulled image, so that its push time is known."""
    return present.digest == first.digest and (present.pushed_us or 0) <= first.at_us


def _first_mentions(recorded: list[TimelineEvent]) -> Mapping[str, TimelineEvent]:
    mentions: dict[str, TimelineEvent] = {}
    for event in recorded:
        if event.tag:
            mentions.setdefault(event.tag, event)
    return mentions


def _implied(tag: Tag, at_us: int) -> TimelineEvent:
    return TimelineEvent("adopted", at_us, tag.name, tag.digest, tag.size_bytes, tag.actor, pushed_us=tag.pushed_us)
