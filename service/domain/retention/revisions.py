"""The overwritten digests of tags that rules keep by `revisions`."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property

from service.domain.policy.model import Keep
from service.domain.retention.selection import Selections
from service.domain.retention.state import State


@dataclass(frozen=True, slots=True)
class Revision:
    """An overwritten digest of a tag. The rule keeps it as long as the tag is kept."""

    tag: str
    reason: str
    rule: str


class Revisions:
    """The revisions of all tags of one state."""

    def __init__(self, state: State, selections: Selections) -> None:
        self._state, self._selections = state, selections

    def of(self, digest: str) -> Iterator[Revision]:
        """Yield the revisions as which rules keep the digest, one per tag, as long as that tag is kept."""
        for name, number in self._overwritten.get(digest, ()):
            for rule_name, rule in self._selections.naming(name):
                most = rule.keep.revisions if isinstance(rule.keep, Keep) else 0
                if number <= most:
                    place = "the last revision" if most == 1 else f"number {number} of the last {most} revisions"
                    yield Revision(name, f"{place} of {name} (rule {rule_name})", rule_name)
                    break

    @cached_property
    def _overwritten(self) -> Mapping[str, tuple[tuple[str, int], ...]]:
        """Digest → (tag, number of the digest among the revisions of that tag, from 1), sorted by tag."""
        if not any(isinstance(rule.keep, Keep) and rule.keep.revisions for _, rule in self._selections.rules):
            return {}
        revisions: dict[str, list[tuple[str, int]]] = {}
        for name, digests in sorted(self._state.revisions.items()):
            for number, digest in enumerate(digests, 1):
                revisions.setdefault(digest, []).append((name, number))
        return {digest: tuple(numbers) for digest, numbers in revisions.items()}
