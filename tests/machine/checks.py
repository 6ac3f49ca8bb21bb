"""The rules that must hold once all work is done."""

from collections import Counter

from service.domain.history.entry import Entry
from service.domain.oci import tombstone
from tests.machine.goods import called
from tests.machine.oracle import closure, overflowing
from tests.machine.shops import SHOP
from tests.machine.world import World

_MANY = 10_000

# What is left as it is, and why; take a name out here when it is mended.
KNOWN_GAPS = frozenset(
    {
        # That a tag is not seen proves nothing about its manifest: its storage may be away for a moment. Rather a leak.
        "a vanished tag untags nothing",
        # Each look is a request, and one into every artifact of a repository that drops nothing is not worth the leak:
        # the next plan that dooms anything looks into all of them first.
        "nobody looks into an artifact while nothing is doomed",
        # A plan is dropped while its tags are being taken off, and a user pushes or deletes the tag before that is
        # healed or planned again: perhaps the next plan would keep the image. What he replaced goes by the rule for
        # what has no tag, as if he had come first. Rather a leak.
        "a delete whose plan was dropped meanwhile is not noted",
        # The event of a push that a delete of ours met comes later, and the tag has gone on: whether the manifest is
        # there, nobody knows, and nothing is to be done about what has no tag and may stay. So what is about it stays.
        "a manifest without a tag is not looked for while it may stay",
        # A delete of ours took the last tag off, and then it is told that another tag had stood there as well, which
        # has gone on: when, nobody can tell before the pushes in between are told, too. Rather a leak.
        "what a push that was told late has left goes by that",
    }
)


def nothing_kept_is_missing(world: World) -> None:
    """Check that no kept tag, manifest or part of an index is missing."""
    model, standing = world.model, world.registry.tags()
    manifests = world.registry.manifests()
    for tag, push in model.wanted.items():
        if tag in standing:
            assert standing[tag] == push.digest, f"{tag} does not stand at its last push"
        else:
            assert push.number in model.condemned, f"{tag} is kept, and missing"
    for tag, digest in standing.items():
        broken = (closure(digest, model.children) & model.manifests) - manifests.keys()
        broken -= model.vague if world.lost else set()  # to be found at the next look at the registry
        assert not broken, f"{tag} cannot be pulled: {[called(missed) for missed in sorted(broken)]} is missing"
    unkept = {held for digest in model.restored_alone for held in closure(digest, model.children)} - manifests.keys()
    assert not unkept, f"{[called(missed) for missed in sorted(unkept)]} was restored by digest, and is missing"
    lost = model.manifests - manifests.keys() - model.once_dropped - model.vague
    assert not lost, f"{[called(missed) for missed in sorted(lost)]} went although nothing said so"
    for digest in manifests.keys() & model.contents.keys():
        stored = manifests[digest]
        assert (stored.media_type, stored.content) == model.contents[digest], f"{digest} has other bytes"


def nothing_dropped_remains(world: World) -> None:
    """Check that no tag beyond the limit, no referrer of a deleted image and no unused manifest remains."""
    model, standing = world.model, world.registry.tags()
    unwanted = standing.keys() - model.wanted.keys()
    assert not unwanted, f"{sorted(unwanted)} stands, and nobody wants it"
    wanted = {tag: push for tag, push in model.wanted.items() if tag in standing}
    parts, bound = model.parts(), model.bound(wanted)
    left = overflowing(wanted.values(), model.rule, parts, bound)
    left &= overflowing(wanted.values(), model.rule, model.known_parts(), bound)
    perhaps = {child for digest in model.vague for child in model.children.get(digest, ())}
    left &= overflowing(wanted.values(), model.rule, parts | perhaps, bound)
    left -= model.in_use(wanted)
    assert not left, f"{sorted(left)} should be gone"
    stays = {tag for tag, number in model.to_go.items() if tag in wanted and wanted[tag].number == number}
    stays -= world.refused() | model.in_use(wanted)
    assert not stays, f"{sorted(stays)} was to go by hand"
    back = _deleted_but_existing(world)
    assert not back, f"{[called(missed) for missed in sorted(back)]} was deleted, and has come back or remained"
    following = left_behind(world)
    assert not following, f"{sorted(following)} is about an image that is gone"
    left_over = left_without_a_tag(world)
    assert not left_over, f"{[called(missed) for missed in sorted(left_over)]} should be gone"


def _deleted_but_existing(world: World) -> set[str]:
    """Return the manifests that a user or a client deleted, and that no tag, index, image or restore keeps."""
    model = world.model
    kept = model.leased | set(world.registry.tags().values()) | world.refused()
    return (model.must_not_come_back() & world.registry.manifests().keys()) - kept


def left_behind(world: World) -> set[str]:
    """Return the tags of referrers whose image is known to be deleted."""
    model, manifests = world.model, world.registry.manifests()
    wanted = {tag: push for tag, push in model.wanted.items() if tag in world.registry.tags() and push.at_us}
    following = model.bound(wanted) - model.in_use(wanted)
    subjects = {tag: str(model.subject_of(tag, wanted[tag].digest)) for tag in following}
    there = manifests.keys() | model.vague | _thought_to_stand(world)
    left = {tag for tag, subject in subjects.items() if subject not in there}
    return {tag for tag in left if wanted[tag].digest not in _closed(world)}


def left_without_a_tag(world: World) -> set[str]:
    """The manifests without a tag that nothing keeps and that should be deleted."""
    model, manifests = world.model, world.registry.manifests()
    in_use = {digest for digest in manifests if closure(digest, model.children) & model.leased}
    held = {held for digest in in_use.union(world.registry.tags().values()) for held in closure(digest, model.children)}
    listed = {part for digest in manifests for part in closure(digest, model.children) - {digest}}  # at any depth
    left = set()
    for digest in manifests.keys() - held - model.vague - _vanished(world):
        subject = model.subjects.get(digest)
        if subject:
            goes = subject not in manifests.keys() | model.vague
        else:
            goes = model.rule.untagged or (digest in model.orphans - model.unread - listed)
        if goes:
            left.add(digest)
    if "what a push that was told late has left goes by that" in KNOWN_GAPS and not model.rule.untagged:
        left -= model.left_late
    if "a delete whose plan was dropped meanwhile is not noted" in KNOWN_GAPS:
        left -= {part for digest in model.unplanned for part in closure(digest, model.children)}
    kept = {held for digest in model.perhaps_revisions() for held in closure(digest, model.children)}
    return left - kept - _closed(world) - _thought_to_stand(world)


def history_tells_the_truth(world: World) -> None:
    """Check that the live tags are the registry's, and that each entry of the history happened, once."""
    # A tag that cannot be restored is live, and in trouble, until its user pushes it again.
    lost = world.history.snapshot(SHOP).lost
    live = {tag.name: tag.digest for tag in world.history.live(SHOP) if tag.name not in lost}
    assert live == world.registry.tags(), "the history and the registry differ"
    entries = world.history.entries(SHOP, _MANY)
    heard = Counter((event.action, event.tag, event.digest, event.at_us) for event in world.model.heard)
    recorded = Counter(
        (entry.action, entry.tag, entry.digest, entry.at_us) for entry in entries if entry.action in ("push", "delete")
    )
    assert recorded == heard, f"pushes and deletes are not those that were heard: {recorded - heard} {heard - recorded}"
    for entry in entries:
        by_user = entry.action == "delete"  # who deletes the digest of a tombstone has done so
        assert entry.digest not in tombstone.DIGESTS or by_user, "a tombstone stands in the history"
        if entry.action == "pruned" and entry.tag:
            assert _was_taken(world, entry), f"{entry.tag} was not pruned at {entry.digest}"
        if entry.action == "restored":
            assert (entry.tag, entry.digest) in world.model.put_back, f"{entry.tag} was not restored at {entry.digest}"
        if entry.action == "healed":
            assert _was_put_back(world, entry), f"{entry.tag} was not put back at {entry.digest}"


def what_was_deleted_can_be_undone(world: World) -> None:
    """Check that the trash lists the pruned images that were not restored since, with the times of the pushes."""
    listed = {(image.tag, image.digest): image for image in world.deleted()}
    entries = world.history.entries(SHOP, _MANY)
    unannounced = {(entry.tag, entry.digest) for entry in entries if entry.action in ("adopted", "dated")}
    for image in listed.values():
        if (image.tag, image.digest) in unannounced:
            continue  # it counts as pushed when it was first seen
        assert image.at_us in world.model.pushed.get((image.tag, image.digest), {None}) | {None}, (
            f"{image} was not pushed then"
        )
    last: dict[tuple[str, str], Entry] = {}
    for entry in sorted(entries, key=lambda entry: entry.at_us):
        if entry.tag and entry.action in ("pruned", "restored"):
            last[entry.tag, entry.digest] = entry
    for (tag, digest), entry in last.items():
        if entry.action == "pruned":
            assert (tag, digest) in listed, f"{tag} was pruned, and is not in the trash"


def no_tombstone_is_left(world: World) -> None:
    """Check that no tag points at a tombstone, by which Distribution 2.8 deletes a tag."""
    assert not tombstone.DIGESTS & set(world.registry.manifests()), "a tombstone is left"


def _was_taken(world: World, entry: Entry) -> bool:
    if (entry.tag, entry.digest) in world.model.taken:
        return True
    if world.model.was_deleted_unheard(entry.tag, entry.digest, entry.at_us):
        return True  # it was to go, and a delete of ours may have met it: nobody can know whose took it
    known = [known.get(entry.tag, {""}) for named, known in world.watch.deletions if named in (entry.tag, entry.digest)]
    return any(stood & {entry.digest, ""} for stood in known)


def _was_put_back(world: World, entry: Entry) -> bool:
    if entry.tag and ":" not in entry.tag and (entry.tag, entry.digest) in world.model.put_back:
        return True
    parts = closure(entry.digest, world.model.children)
    return any(digest in parts for tag, digest in world.model.put_back if not tag)


def _closed(world: World) -> set[str]:
    """Return the images that no worker has read, with their parts."""
    if "nobody looks into an artifact while nothing is doomed" not in KNOWN_GAPS:
        return set()
    unknown = (digest for digest, known in world.history.snapshot(SHOP).links.items() if known is None)
    return {held for digest in unknown for held in closure(digest, world.model.children)}


def _thought_to_stand(world: World) -> set[str]:
    """Return the missing images that no comparison has noticed, with their parts."""
    if "a manifest without a tag is not looked for while it may stay" not in KNOWN_GAPS or world.model.rule.untagged:
        return set()
    thought = {item.digest for item in world.history.snapshot(SHOP).untagged} - world.registry.manifests().keys()
    return {held for digest in thought for held in closure(digest, world.model.children)}


def _vanished(world: World) -> set[str]:
    """Return the images of tags that were seen to be missing before the reason was reported."""
    if "a vanished tag untags nothing" not in KNOWN_GAPS:
        return set()
    entries = world.history.entries(SHOP, _MANY)
    return {held for entry in entries if entry.action == "vanished" for held in world.model.was_under(entry.tag)}
