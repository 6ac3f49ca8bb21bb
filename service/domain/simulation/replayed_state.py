"""The replayed state of a repository, changed by one event after the other."""

from collections import Counter
from collections.abc import Iterable
from dataclasses import replace

from service.domain.retention.state import State, Tag, Untagged
from service.domain.simulation.timeline import Timeline, TimelineEvent


class ReplayedState:
    """The replayed state of one repository. It begins without tags.

    The current state completes the record. The parts of an index and the creation time of an image never change. A
    manifest that has no tag now had none since the recorded time. A current lease counts for the whole replay.
    """

    def __init__(self, timeline: Timeline) -> None:
        present, announced = timeline.present, timeline.announced
        self._present = present
        self._standing: dict[str, Tag] = {}
        # Digest → number of tags that point at it.
        self._holders: Counter[str] = Counter()
        # Tag or @digest → its last pull.
        self._used: dict[str, int] = {}
        self._untagged = {untagged.digest: untagged for untagged in present.untagged}
        self._revisions = {
            tag: tuple(digest for digest in digests if digest not in announced)
            for tag, digests in present.revisions.items()
        }
        self._links = dict(present.links)
        self._sizes = {tag.digest: tag.size_bytes for tag in present.tags}
        self._created = {tag.digest: tag.created_us for tag in present.tags}

    def state(self) -> State:
        """Return the state that a plan is made from."""
        return State(
            repository=self._present.repository,
            tags=tuple(self._as_used(tag) for tag in tuple(self._standing.values())),
            links=self._links,
            untagged=tuple(self._untagged.values()),
            revisions=self._revisions,
            leased=self._present.leased,
            restored=self._present.restored,
        )

    def tags(self) -> tuple[Tag, ...]:
        """Return the live tags, sorted by name."""
        return tuple(self._as_used(self._standing[name]) for name in sorted(self._standing))

    def has_tag(self, name: str) -> bool:
        """True if the tag is live."""
        return name in self._standing

    def holds(self, tag: str, digest: str) -> bool:
        """True if the tag points at the digest; for tag "", True if the digest exists without a tag."""
        if not tag:
            return digest in self._untagged
        return tag in self._standing and self._standing[tag].digest == digest

    def size_bytes(self, digest: str) -> int:
        """Return the size of the image; 0 if it is not known."""
        return self._sizes.get(digest, 0)

    def lost_tag(self, digest: str) -> str:
        """Return the last tag of a digest without a tag, or ""."""
        untagged = self._untagged.get(digest)
        return untagged.tag if untagged else ""

    def parts(self, digest: str) -> tuple[str, ...]:
        """Return the digests that an index lists; () for other manifests."""
        known = self._links.get(digest) or self._present.links.get(digest)
        return known.children if known else ()

    def use(self, pull: TimelineEvent) -> None:
        """Apply a pull. A pull by digest counts for every tag that points at it."""
        self._used[pull.tag or _at(pull.digest)] = pull.at_us

    def change(self, event: TimelineEvent) -> None:
        """Apply an event that is neither a pull nor a prune."""
        if event.kind in ("pushed", "adopted"):
            self._push(event)
        elif event.digest and not event.tag:
            self.remove([tag.name for tag in self._standing.values() if tag.digest == event.digest], event)
        elif event.tag in self._standing:
            tag = self._untag(event.tag)
            self._untagged[tag.digest] = Untagged(tag.digest, event.at_us, tag.name)

    def untag(self, tags: Iterable[str], at_us: int) -> None:
        """Delete these tags and keep their manifest."""
        for name in tags:
            tag = self._untag(name)
            self._untagged[tag.digest] = Untagged(tag.digest, at_us, name)

    def remove(self, tags: Iterable[str], deletion: TimelineEvent) -> None:
        """Delete a digest with these tags. The parts of a deleted index become manifests without a tag.

        If another tag points at the digest, only these tags are deleted.
        """
        names = [name for name in tags if name and self.holds(name, deletion.digest)]
        lost = names[0] if names else self.lost_tag(deletion.digest)
        for name in names:
            self._untag(name)
        if self._holders[deletion.digest]:
            return
        self._untagged.pop(deletion.digest, None)
        known = self._links.pop(deletion.digest, None)
        for child in known.children if known else ():
            self._untagged[child] = Untagged(child, deletion.at_us, lost, index=deletion.digest)

    def _push(self, event: TimelineEvent) -> None:
        self._sizes[event.digest] = max(event.size_bytes, self.size_bytes(event.digest))
        known = self._present.links.get(event.digest)
        if known:
            self._links[event.digest] = known
        if not event.tag:
            self._push_untagged(event)
            return
        previous = self._standing.get(event.tag)
        self._holders[event.digest] += 1
        if previous:
            self._holders[previous.digest] -= 1
        if previous and previous.digest != event.digest:
            self._untagged[previous.digest] = Untagged(previous.digest, event.at_us, event.tag)
            # Docker may have pushed the parts of an index under its tag. They are no revisions (lib/revisions.lua).
            others = {event.digest, *self.parts(event.digest)}
            older = (previous.digest, *self._revisions.get(event.tag, ()))
            self._revisions[event.tag] = tuple(digest for digest in dict.fromkeys(older) if digest not in others)
        self._untagged.pop(event.digest, None)
        pushed_us = event.at_us if event.kind == "pushed" else event.pushed_us
        created_us, size_bytes = self._created.get(event.digest), self.size_bytes(event.digest)
        self._standing[event.tag] = Tag(event.tag, event.digest, pushed_us, size_bytes, event.actor, None, created_us)

    def _push_untagged(self, event: TimelineEvent) -> None:
        """Apply a push without a tag, of a manifest that is known to have no tag."""
        # Any other manifest may be part of an index. The record does not say of which index, and until when.
        before = self._untagged.get(event.digest)
        if before:
            self._untagged[event.digest] = replace(before, since_us=event.at_us)

    def _untag(self, name: str) -> Tag:
        self._revisions.pop(name, None)
        tag = self._standing.pop(name)
        self._holders[tag.digest] -= 1
        return tag

    def _as_used(self, tag: Tag) -> Tag:
        pulled_us = max(self._used.get(tag.name, 0), self._used.get(_at(tag.digest), 0))
        if pulled_us > (tag.pulled_us or 0):
            tag = self._standing[tag.name] = replace(tag, pulled_us=pulled_us)
        return tag


def _at(digest: str) -> str:
    return f"@{digest}"
