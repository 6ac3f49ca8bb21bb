"""The policy of the model, as simply as it can be said, and written without a look at service/domain.

Keep the last N pushed: digests or tags, and all that have the time of the Nth. What is protected, part of an index, or
about another image is not counted.
"""

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, replace
from itertools import product

from tests.fakes.images import CREATED
from tests.machine.goods import UNDATED

_CREATED_US = round(CREATED.timestamp()) * 1_000_000
_UNDATED = frozenset(image.digest for image in UNDATED)


@dataclass(frozen=True)
class Push:
    """The last push of a tag. at_us: None when nobody heard of it; other_us: what it may be as well, -1 = nothing.

    unannounced: at_us is when somebody saw the tag, unannounced: it has a place, and takes none.
    """

    number: int
    tag: str
    digest: str
    at_us: int | None
    other_us: int | None = -1
    unannounced: bool = False

    @property
    def times(self) -> tuple[int | None, ...]:
        return (self.at_us,) if self.other_us == -1 else (self.at_us, self.other_us)


@dataclass(frozen=True)
class Rule:
    """The policy of one run. untagged: True if manifests without a tag are deleted at once.

    tags_first: whether the deletion takes tags off before digests, however few there are. order: what `last`
    counts by; with `created`, an image without a date counts as created when it was pushed; all others have one date.
    """

    keep: int
    count: str
    untagged: bool
    tags_first: bool = False
    protect: frozenset[str] = frozenset({"latest"})
    order: str = "pushed"


def overflowing(pushes: Iterable[Push], rule: Rule, parts: Collection[str], bound: Collection[str]) -> set[str]:
    """The tags beyond the last N, as far as is certain.

    parts: digests that an index lists; bound: tags of what is about another image.
    """
    gone = _in_every_world(tuple(pushes), rule, parts, bound)
    return set.intersection(*gone)


def perhaps_overflowing(pushes: Iterable[Push], rule: Rule, parts: Collection[str], bound: Collection[str]) -> set[str]:
    """The same, as far as is possible."""
    return set.union(*_in_every_world(tuple(pushes), rule, parts, bound))


def _in_every_world(
    pushes: tuple[Push, ...], rule: Rule, parts: Collection[str], bound: Collection[str]
) -> list[set[str]]:
    worlds = product(*(push.times for push in pushes))
    dated = (tuple(replace(push, at_us=at) for push, at in zip(pushes, world, strict=True)) for world in worlds)
    return [_overflowing(known, rule, parts, bound) for known in dated]


def _overflowing(pushes: tuple[Push, ...], rule: Rule, parts: Collection[str], bound: Collection[str]) -> set[str]:
    counted = [
        push
        for push in pushes
        if push.at_us is not None
        and push.tag not in rule.protect
        and push.tag not in bound
        and push.digest not in parts
    ]
    counted.sort(key=lambda push: _age(push, rule), reverse=True)
    by_digest = rule.count == "digests"
    places: dict[str, int] = {}
    times: dict[str, tuple[int, int]] = {}
    slots: list[tuple[int, int]] = []
    for push in counted:
        thing = push.digest if by_digest else push.tag
        if thing not in places:
            places[thing], times[thing] = len(slots), _age(push, rule)
            slots += [] if push.unannounced else [times[thing]]
    beyond = {thing for thing, place in places.items() if place >= rule.keep}
    tied = {thing for thing in beyond if times[thing] == slots[rule.keep - 1]}
    return {push.tag for push in counted if (push.digest if by_digest else push.tag) in beyond - tied}


def _age(push: Push, rule: Rule) -> tuple[int, int]:
    """Return when the image was created, as far as that counts, and when it was pushed."""
    pushed_us = push.at_us or 0
    is_dated = rule.order == "created" and push.digest not in _UNDATED
    return (_CREATED_US if is_dated else pushed_us, pushed_us)


def closure(digest: str, children: Mapping[str, tuple[str, ...]]) -> set[str]:
    """A manifest with all that it needs."""
    digests = {digest}
    for child in children.get(digest, ()):
        digests |= closure(child, children)
    return digests
