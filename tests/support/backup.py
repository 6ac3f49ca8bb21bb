"""The content of a Redis as a backup holds it, to be compared before and after."""

from typing import Any

from service.store.backup import SAVED, SavedValue
from service.wiring import Wiring

# An import writes these anew, so that no plan from before can commit, and none is made without a look at the registry.
ANEW = ("generation", "compared")


def content(wiring: Wiring) -> dict[tuple[str, str, str], SavedValue]:
    """Every value that a backup holds: key, repository and id → the value."""
    backup = wiring.store.backup
    values = [*backup.read_shared()]
    for name in backup.repositories():
        values += backup.read_repository(name)
    rows = {(saved.key, saved.repository, saved.id or f"+{saved.added}"): saved for saved in values}
    assert len(rows) == len(values)
    return {row: saved for row, saved in rows.items() if saved.key not in ANEW}


def forget_all(wiring: Wiring) -> None:
    """Redis has lost everything."""
    connection: Any = wiring.store.connection
    if keys := list(connection.client.scan_iter(match=f"{connection.keys.prefix}*", count=1000)):
        connection.client.delete(*keys)


def kinds() -> frozenset[str]:
    """The names of keys in the lines of a backup."""
    return frozenset(key.removesuffix(":R") for key in SAVED)
