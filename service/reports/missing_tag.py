"""The sentence on a tag that does not exist: when, by whom and why it was deleted, and how to restore it."""

from collections.abc import Callable, Iterable

from service.domain.history.entry import Deleted
from service.reports.inventory import Inventory

_BECAME = {
    "pruned": "was deleted",
    "still listed": "was deleted",
    "delete": "was deleted",
    "vanished": "was found missing",
}


def describe_missing_tag(
    inventory: Inventory,
    restorable: Iterable[Deleted],
    repository: str,
    tag: str,
    entries: int,
    when: Callable[[int], str],
) -> str:
    """Return the sentence on what happened to a tag that does not exist; "" if nothing is recorded about the tag.

    Args:
        restorable: the deletions in the repository that can be undone.
        entries: the number of entries of the repository's history that are read.
        when: formats a time, in µs since the epoch.
    """
    newest = inventory.last_entry(repository, tag, entries)
    name = f"{repository}:{tag}"
    if newest is None:
        return ""
    if newest.action not in _BECAME:
        return f"{name} no longer exists; `pushprune history {name}` shows its events"
    by = f" by {newest.actor}" if newest.actor else ""
    why = f": {newest.reason}" if newest.reason else ""
    # The reason of a manual deletion already names the user.
    by_and_why = why if f"manually{by}" in newest.reason else by + why
    back = any(image.tag == tag and image.digest == newest.digest for image in restorable)
    hint = f"; `pushprune restore {name}` restores it" if back else ""
    return f"{name} {_BECAME[newest.action]} {when(newest.at_us)}{by_and_why}{hint}"
