"""The exact model: the tags that users want at the registry, and the deletions that the policy ever allowed.

Decisions take time, so what may be missing is not only what the policy drops now: a push is *condemned* once it was
dropped at a moment since everything was last quiet, by what is true or by what was heard. Pushing again pardons it.
"""

from collections.abc import Mapping, Set
from dataclasses import dataclass, field, replace
from typing import Any

from service.clock import now_us
from service.domain.oci import tombstone
from service.domain.retention.state import Tag
from tests.machine.goods import children_of, subject_by_name, subject_in
from tests.machine.moves import Moves
from tests.machine.oracle import Push, Rule, closure, perhaps_overflowing
from tests.machine.shops import Shop


@dataclass(frozen=True)
class Happened:
    """A manifest event of the registry, as the model reads it. number: the same for the same event."""

    number: int
    ours: bool
    action: str
    tag: str
    digest: str
    at_us: int


@dataclass
class Believed:
    """The state that follows from the reported events: the last push or the deletion of each tag."""

    pushes: dict[str, Push] = field(default_factory=dict)
    times: dict[str, int] = field(default_factory=dict)
    digests: dict[str, int] = field(default_factory=dict)
    taken: dict[str, Push] = field(default_factory=dict)
    moves: Moves = field(default_factory=Moves)

    def put_back(self, tag: str, digest: str) -> None:
        """Keep the old push time of a tag that pushprune deleted and restored."""
        before = self.taken.get(tag)
        if before and before.digest == digest:
            self.pushes.setdefault(tag, before)

    def hear(self, event: Happened) -> None:
        if event.action == "push":
            self.digests[event.digest] = max(event.at_us, self.digests.get(event.digest, 0))
        elif not event.tag and self.digests.get(event.digest, 0) <= event.at_us:
            self.digests.pop(event.digest, None)
        if event.tag and event.action == "push":
            self.moves.push(event.tag, event.digest, event.at_us)
        elif event.tag:
            self.moves.delete(event.tag, event.at_us)
        if not event.tag or event.at_us < self.times.get(event.tag, 0):
            return
        self.times[event.tag] = event.at_us
        if event.action == "push":
            self.pushes[event.tag] = Push(event.number, event.tag, event.digest, event.at_us)
        else:
            self.pushes.pop(event.tag, None)


class Model:
    """The model. wanted: the last push of each tag; pruned: of deleted tags; manifests: pushed by users, by digest."""

    def __init__(self, rule: Rule, registry: Shop) -> None:
        self.rule, self.registry = rule, registry
        self.wanted: dict[str, Push] = {}
        self.pruned: dict[str, Push] = {}
        self.manifests: set[str] = set()
        self.condemned: set[int] = set()
        self.dropped: set[str] = set()  # digests that nothing uncondemned held at some moment
        self.once_dropped: set[str] = set()  # the same, whatever was pushed again since
        self.vague: set[str] = set()  # digests that a lost event was about: nobody can know what becomes of them
        self.believed = Believed()
        self.moves = Moves()
        self._late: set[str] = set()  # tags that the policy perhaps drops by what was heard
        self.doubted: set[str] = set()  # tags of forged events: docs/security.md admits that these end revisions
        self.contents: dict[str, tuple[str, bytes]] = {}
        self.children: dict[str, tuple[str, ...]] = {}
        self.subjects: dict[str, str] = {}
        self.heard: list[Happened] = []
        self.taken: list[tuple[str, str]] = []  # (tag, digest) of every removal of ours
        # Users' deletes of tags, by event: tag, the digests where it stood or was believed to stand until then, time.
        self.deleted: dict[int, tuple[str, set[str], int]] = {}
        self.heard_us: dict[int, int] = {}  # when we heard of an event
        self.put_back: list[tuple[str, str]] = []
        self.trash: dict[tuple[str, str], Push] = {}  # (tag, digest) → what was pruned, for ever
        self.pushed: dict[tuple[str, str], set[int | None]] = {}  # (tag, digest) → when it was pushed
        self.binned: set[str] = set()  # digests that we ever deleted
        # Digests that a user restored, with the parts that had to be put back, until a user deletes all of their tags,
        # or an index that lists them while they have no tag.
        self.leased: set[str] = set()
        self.restored_alone: set[str] = set()  # those that a user restored by digest, and nobody deleted since
        self.gone: set[str] = set()  # digests that a user or a client deleted, and nobody pushed or restored since
        # Children of indexes that were deleted, and what lost to us the last tag heard of; nobody pushed them since.
        self.orphans: set[str] = set()
        self.unplanned: set[str] = set()  # digests whose tag we took off and did not note, and that no plan dooms now
        self.left_late: set[str] = set()  # digests whose push was told when its tag had gone on
        self._unheard: dict[str, Push] = {}  # tags whose delete nobody will ever hear of, as they are believed to stand
        self._taken_from: dict[str, str] = {}  # where each tag stood before we last took it off
        self._to_heal: dict[str, Push] = {}  # what we took off by a plan that was dropped: until it is healed it counts
        self.unread: set[str] = set()  # parts of indexes that users deleted before a worker had read what they list
        self.to_go: dict[str, int] = {}  # tag → the push that somebody wants gone, by hand
        self._last_deletes: dict[str, int] = {}  # digest → its last delete, if nobody pushed or restored it since
        self._numbers = 0
        self._put_at: dict[str, int] = {}  # when we last put a tag back
        self._before: dict[str, str] = {}  # where each tag stood before what happens now
        self._last: dict[str, str] = {}  # where each tag stood last
        self.stood: dict[str, set[str]] = {}  # every digest that a tag ever stood at

    # What happens.

    def saw(self, event: Happened) -> None:
        """Record an act of the registry."""
        self._learn()
        if event.ours:
            self._saw_ours(event)
        elif event.action == "push":
            self._saw_push(event)
        elif event.action == "delete":
            self._saw_delete(event)
        self._before = self.registry.tags()
        self._last |= self._before
        self.assess()

    def hear(self, event: Happened) -> None:
        """Record that an event of a user was reported."""
        if event.action == "push" and event.tag and event.at_us < self.believed.times.get(event.tag, 0):
            self.left_late.update(closure(event.digest, self.children))
        self.heard.append(event)
        self.heard_us[event.number] = now_us()
        self.believed.hear(event)
        for tag, digests, _ in self.deleted.values():
            if tag == event.tag:
                digests.add(event.digest)
        if self._last_deletes.get(event.digest) == event.number:
            self.gone.add(event.digest)
        self.assess()

    def plan(self, live: dict[str, Tag], going: set[str]) -> None:
        """Record a plan that the product makes now: the digest and push time of each tag, and the digests to delete.

        A push without a notification counts from when its image was made, or its tag first seen.
        """
        for tag, push in self.wanted.items():
            seen = live.get(tag)
            if seen and None in push.times and seen.digest == push.digest and seen.pushed_us:
                dated = replace(push, at_us=seen.pushed_us, other_us=-1, unannounced=seen.unannounced)
                self.wanted[tag] = self.believed.pushes[tag] = dated
        standing = self.registry.tags()
        for tag, digest in self._taken_from.items():
            if tag in live and live[tag].digest == digest != standing.get(tag):
                (self.unplanned.discard if digest in going else self.unplanned.add)(digest)
        self._to_heal = {
            tag: push
            for tag, push in self.believed.taken.items()
            if tag in live and live[tag].digest == push.digest != standing.get(tag) and push.digest not in going
        }
        self.assess()

    def asked(self, asks: Mapping[str, str], tagged: set[str]) -> None:
        """Record a manual deletion: tag → the digest that the user saw there. tagged: where other tags point then.

        The restore of another tag still keeps its image, also if the image is a part of what is deleted.
        """
        heard = {event.number for event in self.heard}
        for tag, digest in asks.items():
            if digest not in tagged:
                self.leased -= closure(digest, self.children) - tagged
            for push in (self.wanted.get(tag), self.believed.pushes.get(tag)):
                if push and push.digest == digest:
                    self.condemned.add(push.number)
            push = self.wanted.get(tag)
            if push and push.digest == digest and push.number in heard:
                self.to_go[tag] = push.number
            if tag == digest:
                self.gone.add(digest)
        self.restored_alone &= self.leased
        self.assess()

    def change_rule(self, rule: Rule, begun: Set[str] = frozenset()) -> None:
        """Put another rule in force: existing images that the rule keeps must not be deleted any more.

        begun: digests whose deletion may have begun, by the rule before.
        """
        self.rule, standing = rule, self.registry.tags()
        kept = [push for tag, push in self.wanted.items() if standing.get(tag) == push.digest]
        self.condemned -= {push.number for push in kept if push.digest not in begun}
        self.assess()

    def protected(self, tag: str, digest: str) -> None:
        """Protect the image of a tag: a deletion that is under way at this moment must be undone."""
        self.leased.add(digest)
        self.believed.put_back(tag, digest)
        if tag in self.pruned and self.pruned[tag].digest == digest:
            self.wanted.setdefault(tag, self.pruned.pop(tag))
        push, needed = self.wanted.get(tag), closure(digest, self.children)
        if needed & self._last_deletes.keys():
            return  # a user has deleted a part of the index, so that the registry does not accept the index again
        if push and push.digest == digest:
            self.condemned.discard(push.number)
            self.manifests |= needed
        self.dropped -= needed
        self.orphans -= needed
        self.assess()

    def deleted_unread(self, digest: str) -> None:
        """Record a user's delete of a manifest that no worker has read: its parts are known only from events."""
        self.unread |= closure(digest, self.children) - {digest}

    def lose(self, events: list[Happened]) -> None:
        """Drop events that the registry lost by a restart."""
        about: dict[str, int] = {}
        for event in events:
            about[event.tag] = about.get(event.tag, 0) + 1
            self._blur(event.digest)
        lost = {event.number for event in events}
        for tag in about.keys() - {""}:
            self._lose_tag(tag, lost, about[tag])
        self.assess()

    def rest(self) -> None:
        """Pardon the tags that still exist when no work is left."""
        standing, manifests = self.registry.tags(), self.registry.manifests()
        self.wanted = {tag: push for tag, push in self.wanted.items() if standing.get(tag) == push.digest}
        self.manifests &= manifests.keys()
        self.condemned.clear()
        self.to_go.clear()
        self._unheard.clear()
        self.dropped.clear()
        self.once_dropped.clear()
        self.believed.pushes = {tag: push for tag, push in self.believed.pushes.items() if tag in standing}
        self.pruned.clear()
        self.assess()

    # What follows.

    def parts(self) -> set[str]:
        """The digests that an existing index lists."""
        return {child for digest in self.registry.manifests() for child in self.children.get(digest, ())}

    def known_parts(self) -> set[str]:
        """Return the parts of the indexes that are known to exist."""
        standing = self.registry.manifests().keys() & self.believed.digests.keys()
        return {child for digest in standing for child in self.children.get(digest, ())}

    def subject_of(self, tag: str, digest: str) -> str | None:
        """The image that a referrer is about."""
        return self.subjects.get(digest) or subject_by_name(tag)

    def bound(self, pushes: dict[str, Push]) -> set[str]:
        """Return the tags that are about another image."""
        return {tag for tag, push in pushes.items() if self.subject_of(tag, push.digest)}

    def in_use(self, pushes: dict[str, Push]) -> set[str]:
        """The leased ones of some tags, which the policy counts and keeps."""
        return {tag for tag, push in pushes.items() if closure(push.digest, self.children) & self.leased}

    def restored(self, deleted: Push, tag: str, missing: set[str], referrers: tuple[str, ...]) -> None:
        """Note that a pruned tag was restored with the time of its push; missing: the manifests restored with it.

        referrers: tags of what is about it, which went after it, and is back with it.
        """
        for referrer in referrers:
            back = self.trash.get((referrer, self.registry.tags().get(referrer, "")))
            if back:
                self.wanted.setdefault(referrer, back)
        self.pushed.setdefault((tag, deleted.digest), set()).add(deleted.at_us)
        self._numbers -= 1
        push = Push(self._numbers, tag, deleted.digest, deleted.at_us)
        for pushes in (self.wanted, self.believed.pushes):
            before = pushes.get(tag)
            if before is None or before.digest != push.digest:  # else it was pushed again since: that counts
                pushes[tag] = push
        for moves in (self.moves, self.believed.moves):
            moves.restore(tag, push.digest, push.at_us or now_us())
        self.believed.times[tag] = max(self._put_at[tag], self.believed.times.get(tag, 0))
        self.pruned.pop(tag, None)
        needed = closure(push.digest, self.children)
        self.leased |= missing | {push.digest}
        self.orphans -= needed
        self.dropped -= needed
        self.manifests |= needed
        self.condemned.discard(self.wanted[tag].number)
        self.assess()

    def went_back(self, push: Push, replaced: str, missing: set[str], referrers: tuple[str, ...]) -> None:
        """Record that a tag points at its earlier image again, which no worker may delete for a day."""
        kept = closure(replaced, self.children)
        self.leased.add(replaced)
        self.dropped -= kept
        self.orphans -= kept
        self.manifests |= kept
        self.restored(push, push.tag, missing, referrers)

    def was_restored_alone(self, digest: str, missing: set[str], referrers: tuple[str, ...]) -> None:
        """Record that a manifest was restored without a tag: it is kept until its lease ends or it is deleted again."""
        self.restored_alone.add(digest)
        self._exists_again(digest)
        needed = closure(digest, self.children)
        self.leased |= missing | {digest}
        self.orphans -= needed
        self.dropped -= needed
        self.manifests |= needed
        for referrer in referrers:
            back = self.trash.get((referrer, self.registry.tags().get(referrer, "")))
            if back:
                self.wanted.setdefault(referrer, back)
        self.assess()

    def _exists_again(self, digest: str) -> None:
        self.gone.discard(digest)
        self._last_deletes.pop(digest, None)

    def leases_end(self) -> None:
        """End the leases: the policy decides again about all restored images."""
        self.leased.clear()
        self.restored_alone.clear()
        self.assess()

    def must_not_come_back(self) -> set[str]:
        """Return the images that were deleted by a user or a client, and neither pushed nor restored since."""
        return self.gone - self.subjects.keys() - {part for parts in self.children.values() for part in parts}

    def held(self) -> set[str]:
        """The digests that an uncondemned tag needs."""
        safe = [push.digest for push in self.wanted.values() if push.number not in self.condemned]
        safe += self.leased & self.manifests
        safe += self.revisions()
        return {held for digest in safe for held in closure(digest, self.children)}

    def revisions(self, tags: Set[str] | None = None) -> set[str]:
        """The images that tags lost and that `revisions` keeps for certain, by what is true and by what was heard."""
        safe = {tag for tag, push in self.wanted.items() if push.number not in self.condemned}
        safe -= self.bound(self.wanted) | self._late | self.doubted
        kept = (set.intersection(*self._lost(tag)) for tag in (safe if tags is None else safe & tags))
        return (set().union(*kept) & self.manifests) - self.subjects.keys()

    def perhaps_revisions(self) -> set[str]:
        """The images that tags lost, of which a worker that heard of them in another order may keep others."""
        return {digest for digests in self.stood.values() for digest in digests} if self.rule.revisions else set()

    def _lost(self, tag: str) -> list[set[str]]:
        """The revisions of a tag by what is true and by what was heard, each with all parts and with known parts."""
        known, standing = self.children.keys(), self.registry.manifests().keys()
        views = ((self.moves, self.wanted.get(tag)), (self.believed.moves, self.believed.pushes.get(tag)))
        return [
            set(moves.lost(tag, push.digest, self.children, indexes)[: self.rule.revisions] if push else ())
            for moves, push in views
            for indexes in (known, standing)
        ]

    def assess(self) -> None:
        """Condemn the tags that the policy drops at this moment."""
        believed = {
            tag: push
            for tag, push in self.believed.pushes.items()
            if self.wanted.get(tag, push).number == push.number or tag not in self.wanted
        }
        heard = self._to_heal | self.believed.pushes
        parts = self.parts()
        late = perhaps_overflowing(heard.values(), self.rule, self.known_parts(), self.bound(heard))
        late -= self.in_use(heard)
        self._late = late
        self.condemned |= {believed[tag].number for tag in late & believed.keys()}
        now = perhaps_overflowing(self.wanted.values(), self.rule, parts, self.bound(self.wanted))
        in_use = self.in_use(self.wanted)
        now -= in_use
        self.condemned |= {self.wanted[tag].number for tag in now}
        standing = self.registry.tags()  # of a push that a delete of ours took along, no look can tell
        reported = {heard[tag].digest for tag in late - standing.keys()}
        self._drop(reported)
        for tag in self.bound(self.wanted):
            push = self.wanted[tag]
            if tag not in in_use and not self.stands(str(self.subject_of(tag, push.digest))):
                self.condemned.add(push.number)
        self._drop(reported)

    def was_deleted_unheard(self, tag: str, digest: str, at_us: int) -> bool:
        """True if a user had deleted a tag by then and no event had reported it."""
        return any(
            deleted == tag and digest in digests and deleted_us <= at_us < self.heard_us.get(number, at_us + 1)
            for number, (deleted, digests, deleted_us) in self.deleted.items()
        )

    def was_under(self, tag: str) -> set[str]:
        """The manifests that ever belonged to a tag."""
        return {held for digest in self.stood.get(tag, ()) for held in closure(digest, self.children)}

    def stands(self, digest: str) -> bool:
        """True if an image is kept, so that its referrers are kept as well."""
        return digest in self.held() or (digest in self.manifests and digest not in self.dropped)

    def _drop(self, reported: set[str]) -> None:
        """Drop images. reported: digests to delete by the reported events, whatever is true."""
        held = self.held()
        going = {push.digest for push in self.wanted.values() if push.number in self.condemned}
        going |= reported | {push.digest for push in self.pruned.values()}
        going |= {child for digest in going for child in closure(digest, self.children)}
        for digest in self.manifests - held - self.dropped:
            subject = self.subjects.get(digest)
            if subject and self.stands(subject):
                continue
            if self.rule.untagged or digest in going | self.orphans or subject:
                self.dropped.add(digest)
                self.once_dropped.add(digest)

    def _saw_push(self, event: Happened) -> None:
        for digest in closure(event.digest, self.children):
            self.dropped.discard(digest)
            self.left_late.discard(digest)
        self._exists_again(event.digest)
        self.orphans.discard(event.digest)
        self.unplanned.discard(event.digest)
        self.unread.discard(event.digest)
        self.manifests.add(event.digest)
        if event.tag:
            before = self.wanted.get(event.tag)
            if before and self._taken_from.get(event.tag) == before.digest:
                self.orphans.discard(before.digest)  # a take-off met its push; it is this one that it lost its tag to
            self.stood.setdefault(event.tag, set()).add(event.digest)
            self.pushed.setdefault((event.tag, event.digest), set()).add(event.at_us)
            self.moves.push(event.tag, event.digest, event.at_us)
            self.wanted[event.tag] = Push(event.number, event.tag, event.digest, event.at_us)
            self.pruned.pop(event.tag, None)
            self._unheard.pop(event.tag, None)

    def _saw_delete(self, event: Happened) -> None:
        if event.tag:
            self._unheard.pop(event.tag, None)
            believed = self.believed.pushes.get(event.tag)
            digests = {self._last.get(event.tag, ""), believed.digest if believed else ""}
            self.deleted[event.number] = (event.tag, digests, event.at_us)
            self.moves.delete(event.tag, event.at_us)
            self.wanted.pop(event.tag, None)
            self.pruned.pop(event.tag, None)
            return
        self.manifests.discard(event.digest)
        self.restored_alone.discard(event.digest)
        self._last_deletes[event.digest] = event.number
        self._orphan(event.digest)
        for tag in [tag for tag, push in self.wanted.items() if push.digest == event.digest]:
            del self.wanted[tag]

    def _orphan(self, digest: str) -> None:
        """Condemn the parts of a deleted image. Parts of another tag, as far as was reported, end with that tag."""
        holding = {*self.registry.tags().values(), *(push.digest for push in self.believed.pushes.values())} - {digest}
        there = holding & self.registry.manifests().keys()
        held = {part for holder in there for part in closure(holder, self.children)}
        lost = closure(digest, self.children) - {digest} - held
        self.orphans |= lost
        self.unread -= lost

    def _saw_ours(self, event: Happened) -> None:
        if event.action == "delete" and not event.tag:
            self.believed.digests.pop(event.digest, None)
            self.binned.add(event.digest)
            self._orphan(event.digest)
        elif event.action == "delete" or event.digest in tombstone.DIGESTS:
            self._saw_taken(event.tag)
        elif event.action == "push":
            self._saw_put_back(event)

    def _saw_taken(self, tag: str) -> None:
        push = self.wanted.get(tag)
        digest = self._before.get(tag, "")
        if digest not in ("", *tombstone.DIGESTS):
            self._taken_from[tag] = digest
        self.taken.append((tag, self._last.get(tag, "")))  # a DELETE by digest tells of its tags when all are off
        if tag in self.believed.pushes:
            self.taken.append((tag, self.believed.pushes[tag].digest))  # of a newer push nobody has heard
        known = {push.digest for other, push in self.believed.pushes.items() if other != tag}
        if digest and digest not in known.union(self.registry.tags().values()):
            self.orphans.add(digest)
        if push and push.number in self.condemned:
            self.pruned[tag] = self.trash[tag, push.digest] = self.wanted.pop(tag)
            for moves in (self.moves, self.believed.moves):
                moves.delete(tag, push.at_us or 0)
            believed = self.believed.pushes.get(tag)
            if believed and believed.number == push.number:
                self.believed.taken[tag] = self.believed.pushes.pop(tag)

    def _saw_put_back(self, event: Happened) -> None:
        self.put_back.append((event.tag, event.digest))
        if event.tag or event.digest not in self.gone:
            self._exists_again(event.digest)
        self._put_at[event.tag] = event.at_us
        self.orphans.discard(event.digest)
        self.believed.put_back(event.tag, event.digest)
        self._count_again(event.tag)
        before = self.trash.get((event.tag, event.digest))
        if before and event.tag not in self.wanted and event.tag in self.pruned:
            self.wanted[event.tag] = before
            self.pruned.pop(event.tag, None)

    def _count_again(self, tag: str) -> None:
        """Count the last push of a restored tag again, as the deletion by its user is never reported."""
        lost = self._unheard.get(tag)
        if lost and tag not in self.wanted and self.registry.tags().get(tag) == lost.digest:
            self.wanted[tag] = lost

    def _lose_tag(self, tag: str, lost: set[int], times: int) -> None:
        push, before = self.wanted.get(tag), self.believed.pushes.get(tag)
        for each in (push, before):
            if each:
                self._blur(each.digest)
        if push is None:
            if before:  # nobody heard that it was deleted: until the next look at the registry it counts
                self._unheard[tag] = before
                self._count_again(tag)
            return
        if push.number in lost and self.registry.tags().get(tag) != push.digest:
            del self.wanted[tag]  # a delete took it along, and nobody is left who knows of it
            if before:  # until the next look at the registry what was heard before counts
                self._unheard[tag] = before
                self._count_again(tag)
        elif push.number in lost:
            if before is None or before.digest != push.digest:
                self.wanted[tag] = Push(push.number, tag, push.digest, None)
            else:
                other = -1 if times == 1 else None
                self.wanted[tag] = Push(before.number, tag, push.digest, before.at_us, other)

    def _blur(self, digest: str) -> None:
        self.vague |= closure(digest, self.children) if digest else set()

    def _learn(self) -> None:
        manifests: Any = self.registry.manifests()
        for digest, stored in manifests.items():
            if digest not in self.contents:
                self.contents[digest] = (stored.media_type, stored.content)
                self.children[digest] = children_of(stored.media_type, stored.content)
                subject = subject_in(stored.content)
                if subject:
                    self.subjects[digest] = subject
