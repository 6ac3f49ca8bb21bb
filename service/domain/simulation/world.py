"""A repository in its past: what stands there at a moment, changed by one happening after the other."""

from collections import Counter
from collections.abc import Iterable
from dataclasses import replace

from service.domain.retention.state import State, Tag, Untagged
from service.domain.simulation.timeline import Chronicle, Happening


class Past:
    """One repository while its chronicle is lived through. It begins without tags.

    From the present it takes what the record does not tell. What an index lists and when an image was made never
    change; manifests that are still without a tag have been since the time that stands there; and what is leased today
    counts as leased all along.
    """

    def __init__(self, chronicle: Chronicle) -> None:
        present, announced = chronicle.present, chronicle.announced
        self._present = present
        self._standing: dict[str, Tag] = {}
        self._holders: Counter[str] = Counter()  # digest → how many tags stand there
        self._used: dict[str, int] = {}  # tag or @digest → its last pull
        self._untagged = {one.digest: one for one in present.untagged}
        self._revisions = {
            tag: tuple(digest for digest in digests if digest not in announced)
            for tag, digests in present.revisions.items()
        }
        self._links = dict(present.links)
        self._sizes = {tag.digest: tag.size_bytes for tag in present.tags}
        self._created = {tag.digest: tag.created_us for tag in present.tags}

    def state(self) -> State:
        """What a plan is made from."""
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
        """The tags that stand, by name."""
        return tuple(self._as_used(self._standing[name]) for name in sorted(self._standing))

    def has_tag(self, name: str) -> bool:
        return name in self._standing

    def holds(self, tag: str, digest: str) -> bool:
        """Whether the tag stands at the digest; without a tag, whether the digest is there without one."""
        if not tag:
            return digest in self._untagged
        return tag in self._standing and self._standing[tag].digest == digest

    def size_bytes(self, digest: str) -> int:
        return self._sizes.get(digest, 0)

    def lost_tag(self, digest: str) -> str:
        """The tag that a digest without one had last, or ""."""
        untagged = self._untagged.get(digest)
        return untagged.tag if untagged else ""

    def parts(self, digest: str) -> tuple[str, ...]:
        """What an index lists."""
        known = self._links.get(digest) or self._present.links.get(digest)
        return known.children if known else ()

    def use(self, pull: Happening) -> None:
        """A pull by digest counts for every tag that stands there."""
        self._used[pull.tag or _at(pull.digest)] = pull.at_us

    def change(self, one: Happening) -> None:
        """Anything but a pull and a prune."""
        if one.kind in ("pushed", "adopted"):
            self._push(one)
        elif one.digest and not one.tag:
            self.remove([tag.name for tag in self._standing.values() if tag.digest == one.digest], one)
        elif one.tag in self._standing:
            tag = self._untag(one.tag)
            self._untagged[tag.digest] = Untagged(tag.digest, one.at_us, tag.name)

    def untag(self, tags: Iterable[str], at_us: int) -> None:
        """These tags go, and their manifest stays."""
        for name in tags:
            tag = self._untag(name)
            self._untagged[tag.digest] = Untagged(tag.digest, at_us, name)

    def remove(self, tags: Iterable[str], gone: Happening) -> None:
        """A digest goes with these tags of it, and the parts of an index lose what held them.

        Where another tag holds the digest it stays: only these went.
        """
        names = [name for name in tags if name and self.holds(name, gone.digest)]
        lost = names[0] if names else self.lost_tag(gone.digest)
        for name in names:
            self._untag(name)
        if self._holders[gone.digest]:
            return
        self._untagged.pop(gone.digest, None)
        known = self._links.pop(gone.digest, None)
        for child in known.children if known else ():
            self._untagged[child] = Untagged(child, gone.at_us, lost, index=gone.digest)

    def _push(self, one: Happening) -> None:
        self._sizes[one.digest] = max(one.size_bytes, self.size_bytes(one.digest))
        known = self._present.links.get(one.digest)
        if known:
            self._links[one.digest] = known
        if not one.tag:
            self._push_untagged(one)
            return
        standing = self._standing.get(one.tag)
        self._holders[one.digest] += 1
        if standing:
            self._holders[standing.digest] -= 1
        if standing and standing.digest != one.digest:
            self._untagged[standing.digest] = Untagged(standing.digest, one.at_us, one.tag)
            before = (digest for digest in self._revisions.get(one.tag, ()) if digest != one.digest)
            self._revisions[one.tag] = tuple(dict.fromkeys((standing.digest, *before)))
        self._untagged.pop(one.digest, None)
        pushed_us = one.at_us if one.kind == "pushed" else one.pushed_us
        created_us, size_bytes = self._created.get(one.digest), self.size_bytes(one.digest)
        self._standing[one.tag] = Tag(one.tag, one.digest, pushed_us, size_bytes, one.actor, None, created_us)

    def _push_untagged(self, one: Happening) -> None:
        """Of one that is not known to be without an index nobody can say which held it, and so until when."""
        before = self._untagged.get(one.digest)
        if before:
            self._untagged[one.digest] = replace(before, since_us=one.at_us)

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
