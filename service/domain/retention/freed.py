"""What a plan frees for good once it is collected: the blobs that nothing which stays in the repository references."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from service.domain.retention.plan import Plan
from service.domain.retention.state import State

Layers = Mapping[str, tuple[tuple[str, int], ...]]


@dataclass(frozen=True, slots=True)
class Freed:
    """How much goes for good in a repository, each blob counted once; what other repositories share is not known.

    size_bytes: of config and layers of the manifests that go, as far as they are known. manifests: how many go, without
    indexes, which have no layers. unknown: of how many of them the layers are not known. at_most: something that stays
    may hold some of it: its layers are not known.
    """

    size_bytes: int = 0
    manifests: int = 0
    unknown: int = 0
    at_most: bool = False

    @property
    def is_unknown(self) -> bool:
        """Whether nothing is known of what goes."""
        return 0 < self.manifests == self.unknown


def freed(state: State, plan: Plan, layers: Layers) -> Freed:
    """What the plan frees. layers: digest of a manifest → (blob, size in bytes) of each, as far as they are known.

    The parts of an index go with it, unless a tag or another index holds them. What is known and not doomed stays.
    """
    doomed = {one.digest for one in plan.doomed}
    parts = _parts(state, doomed)
    standing = {verdict.tag.digest for verdict in plan.verdicts if verdict.kept or verdict.stays_as}
    nameless = {verdict.tag.digest for verdict in plan.untagged if verdict.kept}
    kept = standing | (nameless.union(layers, state.links) - doomed - parts)
    kept |= _parts(state, kept)
    going = (doomed | parts) - kept
    needed = {blob for digest in kept for blob, _ in layers.get(digest, ())}
    free = {blob: size for digest in going for blob, size in layers.get(digest, ()) if blob not in needed}
    return Freed(
        size_bytes=sum(free.values()),
        manifests=sum(not _is_index(state, digest) for digest in going),
        unknown=sum(not _is_known(state, digest, layers) for digest in going),
        at_most=not all(_is_known(state, digest, layers) for digest in kept),
    )


def freed_together(each: Iterable[Freed]) -> Freed:
    """What goes from several repositories: a blob of two of them counts in both."""
    each = tuple(each)
    return Freed(
        sum(one.size_bytes for one in each),
        sum(one.manifests for one in each),
        sum(one.unknown for one in each),
        any(one.at_most for one in each),
    )


def _parts(state: State, digests: Iterable[str]) -> set[str]:
    """Everything that these indexes list, at any depth."""
    return {part for digest in digests for part in state.closure(digest)[1:]}


def _is_known(state: State, digest: str, layers: Layers) -> bool:
    return digest in layers or _is_index(state, digest)


def _is_index(state: State, digest: str) -> bool:
    """Whether it is known to be one: then it has no layers of its own."""
    known = state.links.get(digest)
    return known is not None and bool(known.children)
