"""Leases of manifests: a user declared an image to be in use, or restored it."""

from collections.abc import Mapping

from service.domain.retention.plan import Verdict
from service.domain.retention.state import State, Tag, subject_of


def leased_verdict(state: State, tag: Tag, rule: str | None, now_us: int) -> Verdict | None:
    """Return the verdict on a leased manifest that `rule` would delete; None if there is no lease."""
    until_us = leased_us(state, tag.digest)
    if now_us >= until_us:
        return None
    if now_us < _until_us(state, state.leased, tag.digest):
        reason = "protected by a user"
    elif now_us < state.restored.get(tag.digest, 0):
        reason = "protected for a while after a restore"
    else:
        reason = "a part of it is protected for a while after a restore"
    return Verdict(tag, True, reason, rule, until_us)


def leased_us(state: State, digest: str) -> int:
    """Return until when (µs) the manifest is leased. A lease of a part, at any depth, is a lease of its index."""
    return max(_until_us(state, state.leased, digest), _until_us(state, state.restored, digest))


def released_by(state: State, targets: Mapping[str, str]) -> Mapping[str, int]:
    """Return restored digest → end of its lease (µs), for the leases that a manual deletion ends.

    The request covers parts and referrers, too.

    A user who deletes a restored image manually no longer wants to keep it because of the restore. That also holds
    if the image remains as a part of an index. A digest at which another tag points is still kept: users may have
    restored that tag, and nobody asked to delete it.
    """
    if not state.restored:
        return {}
    tagged = {tag.digest for tag in state.tags if tag.name not in targets}
    whole = {part for digest in targets.values() if digest not in tagged for part in state.closure(digest)}
    whole -= tagged
    subjects = [(tag.digest, subject_of(tag.name, state.links.get(tag.digest))) for tag in state.tags]
    subjects += [(digest, known.subject) for digest, known in state.links.items() if known]
    referrers = {digest for digest, subject in subjects if subject in whole}
    return {digest: until for digest, until in state.restored.items() if digest in whole | referrers}


def _until_us(state: State, leases: Mapping[str, int], digest: str) -> int:
    return max(leases.get(leased, 0) for leased in state.closure(digest)) if leases else 0
