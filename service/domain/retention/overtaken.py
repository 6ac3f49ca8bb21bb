"""Decide if a plan is still valid although images were pushed since the state that it was made from.

A repository that is pushed to faster than it is planned would otherwise never be pruned. The argument is in
service/README.md, safety rule 2. Whatever is not understood here makes a plan invalid: it is made again.
"""

from collections.abc import Iterable
from dataclasses import dataclass

from service.domain.oci.manifest import References
from service.domain.policy.model import Keep, Policy, Rule
from service.domain.retention.plan import Plan
from service.domain.retention.state import State, Untagged, is_referrer_tag

# Orders in which the place of a tag cannot become worse when the tag is pushed again.
_RISING = ("pushed", "semver", "name")

# An image needs no other manifest.
_IMAGE = References()


@dataclass(frozen=True, slots=True)
class LaterPush:
    """A push of a manifest since the state.

    Attributes:
        tag: "" for a manifest that was pushed by its digest.
        references: of an index or a referrer, read at the registry. None: they are not read, so they may be anything.
    """

    tag: str
    digest: str
    references: References | None = _IMAGE


def is_still_valid(plan: Plan, state: State, policy: Policy, pushes: Iterable[LaterPush]) -> bool:
    """Return True if a plan made after these pushes would delete all that this plan deletes.

    Args:
        plan: made from the state by the policy.
        pushes: in order.
    """
    pushes = tuple(pushes)
    pushed = {push.digest for push in pushes}
    known, unused = _known(plan, state), _unused(state)
    if not pushed.isdisjoint(known | unused):
        return False
    needed = pushed | (unused - known)
    if not all(_needs_only(needed, push.references) for push in pushes):
        return False
    tags = {push.tag: push.digest for push in pushes if push.tag}
    if any(is_referrer_tag(name) for name in tags) or not state.lost.isdisjoint(tags):
        return False
    if not state.manual_deletions.keys().isdisjoint(tags):
        return False
    before = {tag.name: tag.digest for tag in state.tags if tag.name in tags}
    # A tag that did not exist may keep its revisions in another way than one that exists.
    if not state.revisions.keys().isdisjoint(tags.keys() - before.keys()):
        return False
    if not before:
        return True
    return (
        all(_only_rises(rule) for _, rule in policy.rules_for(state.repository))
        and {image.digest for image in plan.doomed}.isdisjoint(before.values())
        and _replaces_one_each(before, tags)
    )


def _known(plan: Plan, state: State) -> set[str]:
    """Return the digests of the state except `_unused`. A push of one may give an image a place, or need an image."""
    digests = {tag.digest for tag in state.tags}
    digests.update(image.digest for image in plan.doomed)
    digests.update(manifest.digest for manifest in state.untagged if not _is_unused(manifest))
    digests.update(manifest.index for manifest in state.untagged)
    for overwritten in state.revisions.values():
        digests.update(overwritten)
    for digest, known in state.links.items():
        digests.add(digest)
        if known:
            digests.update(known.children, [known.subject] if known.subject else [])
    digests |= state.subjects
    digests.update(state.leased, state.restored, state.approved, state.held, state.deleted, state.manual_deleted)
    digests.update(request.digest for request in state.manual_deletions.values())
    digests.update(verdict.after for image in plan.doomed for verdict in image.verdicts)
    return digests


def _unused(state: State) -> set[str]:
    """Return the manifests that were pushed without a tag, such as the images of an index that will be pushed."""
    return {manifest.digest for manifest in state.untagged if _is_unused(manifest)}


def _is_unused(manifest: Untagged) -> bool:
    return not (manifest.tag or manifest.index or manifest.by_pushprune or manifest.started)


def _needs_only(needed: set[str], references: References | None) -> bool:
    """True if an index lists only new images, and a referrer is about one of them, so that no other image is needed."""
    if references is None or not references.readable:
        return False
    subject = [references.subject] if references.subject else []
    return needed.issuperset((*references.children, *subject))


def _only_rises(rule: Rule) -> bool:
    """True if a tag that is pushed again gives no other tag a better place: it leaves no group, and falls in none."""
    keep = rule.keep
    if rule.older_than or rule.order not in _RISING:
        return False
    return not isinstance(keep, Keep) or keep.only_last_compares_tags


def _replaces_one_each(before: dict[str, str], tags: dict[str, str]) -> bool:
    """True if each new digest took tags of one image only.

    Where digests are counted, that image may have left its group; the new one took its place. Two images that both left
    for one new digest would make room for a third.
    """
    replaced: dict[str, str] = {}
    return all(replaced.setdefault(tags[name], digest) == digest for name, digest in before.items())
