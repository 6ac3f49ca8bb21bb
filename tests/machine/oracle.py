"""The policy of the model, as simply as it can be said, and written without a look at service/domain.

Keep the last N pushed digests or tags, and all that were pushed at the same time as the Nth. Protected tags, parts of
indexes and referrers are not counted.
"""

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, replace
from itertools import product
from typing import Any

from tests.fakes.images import CREATED
from tests.machine.goods import UNDATED

_CREATED_US = round(CREATED.timestamp()) * 1_000_000
_UNDATED = frozenset(image.digest for image in UNDATED)


@dataclass(frozen=True)
class Push:
    """The last push of a tag.

    Attributes:
        at_us: its push time; None if the push was not reported.
        other_us: another push time that pushprune may know as well, None included; -1 for no other.
        unannounced: True if at_us is the time at which a comparison found the tag. Such a tag may be among the last N,
            but pushes no other tag out of them.
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
    """The policy of one run.

    Attributes:
        keep: the N of the last N; 0 for a rule without `last`, which deletes no tag.
        count: what N counts, digests or tags.
        untagged: True if manifests without a tag are deleted at once.
        tags_first: True if tags are removed before their manifests are deleted, even if they are few.
        order: the order of the last N. With `created`, an image without a date counts as created at its push; all other
            images of the machine have the same date. With `name`, the last name is the first.
        step: number of images whose tags are moved to the same tombstone.
        revisions: number of the images that each tag lost last, and that are kept as long as the tag is kept.
        shared: "keep" if a tag is kept whose image another tag keeps.
        is_grouped: True if the rule counts each group of tags by itself; the group is the name up to its first hyphen.
        first: the `keep` of a rule before this one, about the tags of FIRST; with ", final" if this one skips them.
    """

    keep: int
    count: str
    untagged: bool
    tags_first: bool = False
    protect: frozenset[str] = frozenset({"latest"})
    order: str = "pushed"
    step: int = 100
    revisions: int = 0
    shared: str = "untag"
    is_grouped: bool = False
    first: str = ""


FIRST = ("v1", "v2")


def overflowing(pushes: Iterable[Push], rule: Rule, parts: Collection[str], bound: Collection[str]) -> set[str]:
    """The tags that are certainly beyond the last N.

    Args:
        parts: digests that an index lists.
        bound: tags of referrers.
    """
    choices = _for_all_push_times(tuple(pushes), rule, parts, bound)
    return set.intersection(*choices)


def perhaps_overflowing(pushes: Iterable[Push], rule: Rule, parts: Collection[str], bound: Collection[str]) -> set[str]:
    """The tags that are possibly beyond the last N: for at least one choice of the push times."""
    return set.union(*_for_all_push_times(tuple(pushes), rule, parts, bound))


def _for_all_push_times(
    pushes: tuple[Push, ...], rule: Rule, parts: Collection[str], bound: Collection[str]
) -> list[set[str]]:
    choices = product(*(push.times for push in pushes))
    dated = (tuple(replace(push, at_us=at) for push, at in zip(pushes, times, strict=True)) for times in choices)
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
    first = {push.tag for push in counted if rule.first and push.tag in FIRST}
    second = [push for push in counted if not (rule.first.endswith("final") and push.tag in first)]
    groups = {_group(push, rule) for push in second} - {""}
    beyond = {
        tag for group in groups for tag in _beyond([push for push in second if _group(push, rule) == group], rule)
    }
    beyond |= first if rule.first == "none, final" else set()
    beyond -= first if rule.first == "always" else set()
    kept = {push.digest for push in pushes if push.tag not in beyond} if rule.shared == "keep" else set()
    return {push.tag for push in counted if push.tag in beyond and push.digest not in kept}


def _group(push: Push, rule: Rule) -> str:
    if not rule.is_grouped:
        return "all"
    return push.tag.partition("-")[0] if "-" in push.tag else ""


def _beyond(counted: list[Push], rule: Rule) -> set[str]:
    """The tags beyond the last N of one group."""
    if not rule.keep:
        return set()
    counted.sort(key=lambda push: _age(push, rule), reverse=True)
    by_digest = rule.count == "digests"
    places: dict[str, int] = {}
    times: dict[str, Any] = {}
    slots: list[Any] = []
    for push in counted:
        thing = push.digest if by_digest else push.tag
        if thing not in places:
            places[thing], times[thing] = len(slots), _age(push, rule)
            slots += [] if push.unannounced and rule.order != "name" else [times[thing]]
    beyond = {thing for thing, place in places.items() if place >= rule.keep}
    tied = {thing for thing in beyond if times[thing] == slots[rule.keep - 1]}
    return {push.tag for push in counted if (push.digest if by_digest else push.tag) in beyond - tied}


def _age(push: Push, rule: Rule) -> Any:
    """Return the name, or when the image was created, as far as that counts, and when it was pushed."""
    if rule.order == "name":
        return push.tag
    pushed_us = push.at_us or 0
    is_dated = rule.order == "created" and push.digest not in _UNDATED
    return (_CREATED_US if is_dated else pushed_us, pushed_us)


def closure(digest: str, children: Mapping[str, tuple[str, ...]]) -> set[str]:
    """The digests of a manifest and of all that the manifest needs."""
    digests = {digest}
    for child in children.get(digest, ()):
        digests |= closure(child, children)
    return digests
