"""Protect images from deletion for a while, whatever the policy says. The history records who did that."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from service.dispatch import Dispatch
from service.domain.errors import NoSuchTag, unknown_tag
from service.domain.policy.units import spell_duration
from service.prune.approvals import plan_now
from service.store import Store

_MOST_NAMED = 20


@dataclass(frozen=True, slots=True)
class Protection:
    """Images that a user protected together.

    Attributes:
        until_us: until when (µs).
        moved: the tags that point at another image by now, which is not protected, as text; "" for none.
    """

    tags: int
    images: int
    until_us: int
    moved: str

    @property
    def until(self) -> str:
        """The end as text in UTC."""
        return f"{datetime.fromtimestamp(self.until_us // 1_000_000, UTC):%Y-%m-%d %H:%M} UTC"


def current_digests(store: Store, repository: str, tags: Sequence[str]) -> Mapping[str, str]:
    """Return the digest that each of these tags points at. Raises NoSuchTag if one of them does not exist."""
    live = {tag.name: tag.digest for tag in store.history.live(repository)}
    if unknown := next((tag for tag in tags if tag not in live), None):
        raise unknown_tag(f"{repository}:{unknown}", repository)
    return {tag: live[tag] for tag in tags}


def protect(
    store: Store, dispatch: Dispatch, repository: str, tags: Mapping[str, str], life_s: int, *, by: str
) -> Protection:
    """Protect images from every deletion, manual ones included.

    Args:
        tags: tag → the digest that the user saw there. The image is protected, whichever tags it has later.
        life_s: for how long. A protection that ends later is not shortened.

    Raises:
        NoSuchTag: no tag is named.
    """
    digests = _digests(tags)
    until_us = store.protections.protect(repository, digests, life_s)
    # This drops the plan. A deletion that is on its way is then restored; one that ended before shows in the live tags.
    plan_now(store, dispatch, [repository])
    live = {tag.name: tag.digest for tag in store.history.live(repository)}
    moved = _names(tag for tag, digest in tags.items() if live.get(tag) != digest)
    protection = Protection(len(tags), len(digests), until_us, moved)
    reason = f"for {spell_duration(life_s)}, until {protection.until}: {_names(tags)}"
    store.approvals.note(repository, "protected", by, reason)
    return protection


def end_protection(store: Store, dispatch: Dispatch, repository: str, tags: Mapping[str, str], *, by: str) -> int:
    """End the protection of these images. Return how many were protected; the policy decides about them again.

    Args:
        tags: tag → the digest that the user saw there.

    Raises:
        NoSuchTag: no tag is named.
    """
    ended = store.protections.end(repository, _digests(tags))
    if ended:
        store.approvals.note(repository, "unprotected", by, _names(tags))
        plan_now(store, dispatch, [repository])
    return ended


def _digests(tags: Mapping[str, str]) -> Sequence[str]:
    if not tags:
        raise NoSuchTag("no tag is selected: select at least one")
    return tuple(dict.fromkeys(tags.values()))


def _names(tags: Iterable[str]) -> str:
    names = sorted(tags)
    more = f" and {len(names) - _MOST_NAMED} more" if len(names) > _MOST_NAMED else ""
    return ", ".join(names[:_MOST_NAMED]) + more
