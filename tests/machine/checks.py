"""What must hold once things are quiet."""

from collections import Counter

from service.domain import tombstone
from service.store.entry import Entry
from tests.machine.goods import called
from tests.machine.oracle import Push, closure, overflowing
from tests.machine.shops import SHOP
from tests.machine.world import World

_MANY = 10_000

# Reported and not yet mended; take a name out here when it is.
KNOWN_GAPS = frozenset(
    {
        "a vanished tag untags nothing",
        "nobody looks into an artifact while nothing is doomed",
    }
)


def nothing_kept_is_missing(world: World) -> None:
    """Tags, manifests, and every part of a kept index."""
    model, standing = world.model, world.registry.tags()
    manifests, risen = world.registry.manifests(), _risen(world)
    for tag, push in model.wanted.items():
        if tag in standing and tag not in risen:
            assert standing[tag] == push.digest, f"{tag} does not stand at its last push"
        elif tag not in risen:
            assert push.number in model.condemned, f"{tag} is kept, and missing"
    for tag, digest in standing.items():
        broken = (closure(digest, model.children) & model.manifests) - manifests.keys()
        broken -= model.vague if world.lost else set()  # to be found at the next look at the registry
        assert not broken, f"{tag} cannot be pulled: {[called(one) for one in sorted(broken)]} is missing"
    lost = model.manifests - manifests.keys() - model.once_dropped - model.vague
    assert not lost, f"{[called(one) for one in sorted(lost)]} went although nothing said so"
    for digest in manifests.keys() & model.contents.keys():
        stored = manifests[digest]
        assert (stored.media_type, stored.content) == model.contents[digest], f"{digest} has other bytes"


def nothing_dropped_remains(world: World) -> None:
    """Tags beyond the limit, what is about an image that is gone, and manifests that nothing holds any more."""
    model, standing = world.model, world.registry.tags()
    unwanted = standing.keys() - model.wanted.keys() - _risen(world)
    assert not unwanted, f"{sorted(unwanted)} stands, and nobody wants it"
    wanted = {tag: push for tag, push in model.wanted.items() if tag in standing}
    believed = model.believed.pushes
    for tag in _risen(world):
        at_us = believed[tag].at_us if tag in believed else None
        wanted[tag] = Push(-1, tag, standing[tag], None, at_us)
    parts, bound = model.parts(), model.bound(wanted)
    left = overflowing(wanted.values(), model.rule, parts, bound)
    left &= overflowing(wanted.values(), model.rule, model.known_parts(), bound)
    perhaps = {child for digest in model.vague for child in model.children.get(digest, ())}
    if "a delete whose plan was dropped meanwhile is not noted" in KNOWN_GAPS:
        perhaps |= model.once_parts  # the index is thought to be there still
    left &= overflowing(wanted.values(), model.rule, parts | perhaps, bound)
    left -= model.in_use(wanted)
    assert not left, f"{sorted(left)} should be gone"
    following = left_behind(world)
    assert not following, f"{sorted(following)} is about an image that is gone"
    left_over = left_without_a_tag(world)
    assert not left_over, f"{[called(one) for one in sorted(left_over)]} should be gone"


def left_behind(world: World) -> set[str]:
    """Tags of what is about an image that is gone, as far as anybody can know."""
    model, manifests = world.model, world.registry.manifests()
    wanted = {tag: push for tag, push in model.wanted.items() if tag in world.registry.tags() and push.at_us}
    following = model.bound(wanted) - model.in_use(wanted)
    subjects = {tag: str(model.subject_of(tag, wanted[tag].digest)) for tag in following}
    left = {tag for tag, subject in subjects.items() if subject not in manifests.keys() | model.vague}
    return {tag for tag in left if wanted[tag].digest not in _closed(world)}


def left_without_a_tag(world: World) -> set[str]:
    """Manifests that nothing holds, and that should be gone."""
    model, manifests = world.model, world.registry.manifests()
    in_use = {digest for digest in manifests if closure(digest, model.children) & model.leased}
    held = {held for digest in in_use.union(world.registry.tags().values()) for held in closure(digest, model.children)}
    left = set()
    for digest in manifests.keys() - held - model.vague - _vanished(world):
        subject = model.subjects.get(digest)
        if subject:
            goes = subject not in manifests.keys() | model.vague
        else:
            goes = model.rule.untagged or (digest in model.orphans - model.parts())
        if goes:
            left.add(digest)
    if "a push that crossed our delete and is heard late leaks its manifest" in KNOWN_GAPS:
        left -= model.crossed
    return left - _closed(world)


def history_tells_the_truth(world: World) -> None:
    """The live tags are the registry's, and each entry tells of something that happened, once."""
    live = {tag.name: tag.digest for tag in world.history.live(SHOP)}
    unheard = _risen(world) - live.keys()
    standing = {tag: digest for tag, digest in world.registry.tags().items() if tag not in unheard}
    assert live == standing, "the history and the registry differ"
    entries = world.history.entries(SHOP, _MANY)
    heard = Counter((one.action, one.tag, one.digest, one.at_us) for one in world.model.heard)
    said = Counter(
        (entry.action, entry.tag, entry.digest, entry.at_us) for entry in entries if entry.action in ("push", "delete")
    )
    assert said == heard, f"pushes and deletes are not those that were heard: {said - heard} {heard - said}"
    for entry in entries:
        assert entry.digest != tombstone.DIGEST, "a tombstone stands in the history"
        if entry.action == "pruned" and entry.tag:
            assert _was_taken(world, entry), f"{entry.tag} was not pruned at {entry.digest}"
        if entry.action == "restored":
            assert (entry.tag, entry.digest) in world.model.put_back, f"{entry.tag} was not restored at {entry.digest}"
        if entry.action == "healed":
            assert _was_put_back(world, entry), f"{entry.tag} was not put back at {entry.digest}"


def what_was_deleted_can_be_undone(world: World) -> None:
    """The trash lists what the history says was pruned, and not restored since, with the times of the pushes."""
    listed = {(one.tag, one.digest): one for one in world.deleted()}
    for one in listed.values():
        assert one.at_us in world.model.pushed.get((one.tag, one.digest), {None}) | {None}, f"{one} was not pushed then"
    last: dict[tuple[str, str], Entry] = {}
    for entry in sorted(world.history.entries(SHOP, _MANY), key=lambda entry: entry.at_us):
        if entry.tag and entry.action in ("pruned", "restored"):
            last[entry.tag, entry.digest] = entry
    for (tag, digest), entry in last.items():
        if entry.action == "pruned":
            assert (tag, digest) in listed, f"{tag} was pruned, and is not in the trash"


def no_tombstone_is_left(world: World) -> None:
    """2.8 deletes a tag by way of one."""
    assert tombstone.DIGEST not in world.registry.manifests(), "a tombstone is left"


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
    """What nobody has looked into, with its parts, and artifacts whose image is thought to be there still."""
    found: set[str] = set()
    snapshot = world.history.snapshot(SHOP)
    if "nobody looks into an artifact while nothing is doomed" in KNOWN_GAPS:
        unknown = (digest for digest, known in snapshot.links.items() if known is None)
        found |= {held for digest in unknown for held in closure(digest, world.model.children)}
    if "a delete whose plan was dropped meanwhile is not noted" in KNOWN_GAPS:
        believed = {one.digest for one in snapshot.untagged}
        found |= {digest for digest, subject in world.model.subjects.items() if subject in believed}
    return found


def _vanished(world: World) -> set[str]:
    """What stood under a tag that was seen to be gone before it was heard why."""
    if "a vanished tag untags nothing" not in KNOWN_GAPS:
        return set()
    entries = world.history.entries(SHOP, _MANY)
    return {held for entry in entries if entry.action == "vanished" for held in world.model.was_under(entry.tag)}


def _risen(world: World) -> set[str]:
    """Tags that stand where we put them back, and where no user wants them any more."""
    found = set()
    for tag, digest in world.registry.tags().items():
        push = world.model.wanted.get(tag)
        if (tag, digest) not in world.model.put_back or (push and push.digest == digest):
            continue
        if push is None and "a delete that crossed our healing is undone" in KNOWN_GAPS:
            found.add(tag)
        doomed = push is not None and push.number in world.model.condemned
        if doomed and "a tag that we put back is adopted when its newer push is doomed" in KNOWN_GAPS:
            found.add(tag)
    return found
