"""Leases of manifests: a user declared an image to be in use, or restored it."""

from collections.abc import Mapping

from service.domain.retention.plan import Verdict
from service.domain.retention.state import State, Tag


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


def _until_us(state: State, leases: Mapping[str, int], digest: str) -> int:
    return max(leases.get(leased, 0) for leased in state.closure(digest)) if leases else 0
