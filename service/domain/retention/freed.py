"""The disk space that a plan frees after the next collection: the blobs that no kept manifest references."""

from collections.abc import Iterable
from dataclasses import dataclass

from service.domain.retention.plan import Plan
from service.domain.retention.sizes import Layers, is_index
from service.domain.retention.state import State


@dataclass(frozen=True, slots=True)
class Freed:
    """The disk space freed in one repository. Each blob counts once; blobs shared with other repositories are unknown.

    Attributes:
        size_bytes: of config and layers of the deleted manifests, as far as they are known.
        manifests: number of deleted manifests, without indexes, which have no layers.
        unknown: number of these manifests whose layers are not known.
        at_most: True if size_bytes is an upper bound: the layers of a kept manifest are not known, so that it may share
            some of these blobs.
    """

    size_bytes: int = 0
    manifests: int = 0
    unknown: int = 0
    at_most: bool = False

    @property
    def is_unknown(self) -> bool:
        """True if manifests are deleted and the layers of none of them are known."""
        return 0 < self.manifests == self.unknown


def freed(state: State, plan: Plan, layers: Layers) -> Freed:
    """Return the disk space that the plan frees.

    Args:
        layers: digest of a manifest → (blob, size in bytes) of its config and layers, as far as they are known.
    """
    doomed = {digest.digest for digest in plan.doomed}
    # The parts of an index are deleted with it, unless a tag or another index holds them.
    parts = _parts(state, doomed)
    tagged = {verdict.tag.digest for verdict in plan.verdicts if verdict.kept or verdict.kept_as}
    without_tag = {verdict.tag.digest for verdict in plan.untagged if verdict.kept}
    # A manifest that is known in any way and not doomed is kept.
    kept = tagged | (without_tag.union(layers, state.links) - doomed - parts)
    kept |= _parts(state, kept)
    deleted = (doomed | parts) - kept
    needed = {blob for digest in kept for blob, _ in layers.get(digest, ())}
    free = {blob: size for digest in deleted for blob, size in layers.get(digest, ()) if blob not in needed}
    return Freed(
        size_bytes=sum(free.values()),
        manifests=sum(not is_index(state, digest) for digest in deleted),
        unknown=sum(not _is_known(state, digest, layers) for digest in deleted),
        at_most=not all(_is_known(state, digest, layers) for digest in kept),
    )


def freed_together(each: Iterable[Freed]) -> Freed:
    """Return the sum over several repositories. A blob that two of them share counts twice."""
    each = tuple(each)
    return Freed(
        sum(part.size_bytes for part in each),
        sum(part.manifests for part in each),
        sum(part.unknown for part in each),
        any(part.at_most for part in each),
    )


def _parts(state: State, digests: Iterable[str]) -> set[str]:
    return {part for digest in digests for part in state.closure(digest)[1:]}


def _is_known(state: State, digest: str, layers: Layers) -> bool:
    return digest in layers or is_index(state, digest)
