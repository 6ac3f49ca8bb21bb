"""Check a whole backup, and only then replace the store by it."""

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import BinaryIO

from service.backup.lines import FORMAT, Header, cut_off, lines_of, read_header, read_value
from service.backup.values import check_value, entry_id
from service.domain.errors import ImportIncomplete, PushpruneError, UnusableBackup
from service.store import Store
from service.store.backup import SAVED, SavedValue
from service.store.backup_import import begin_import
from service.store.dictionary import MOST_NAMES, names_in
from service.store.live_tags import user_in
from service.store.schema import MIGRATIONS, VERSION

# Shows the progress while the values of a backup are read.
Shown = Callable[[Iterable[SavedValue]], Iterable[SavedValue]]


@dataclass(slots=True)
class CheckedBackup:
    """A backup that was read to its end and can be imported.

    Attributes:
        stream: the file, which is read again.
        counts: the number of its lines by key, and of the tags and deleted images in them.
        numbers: of the names in entries of histories and of users of tags, for the dictionary.
    """

    stream: BinaryIO
    name: str
    header: Header
    counts: Counter[str] = field(default_factory=Counter)
    numbers: dict[str, int] = field(default_factory=dict)

    @property
    def lines(self) -> int:
        """The number of values."""
        return sum(self.counts.values())

    def values(self) -> Iterator[SavedValue]:
        """Yield all values."""
        for number, line in lines_of(self.stream, self.name):
            if number > 1 and isinstance(value := read_value(line), SavedValue):
                yield value


def check(stream: BinaryIO, name: str, shown: Shown) -> CheckedBackup:
    """Read a backup to its end, and check every line.

    Args:
        stream: a file that can be read again.
        name: of the file, for sentences.

    Raises:
        UnusableBackup: it is no backup, or of a newer pushprune, or cut off, or has a line that cannot be imported.
    """
    first = next((line for _, line in lines_of(stream, name)), b"")
    header = read_header(first, name)
    if header.format > FORMAT or header.schema > VERSION:
        raise UnusableBackup(
            f"{name} was written by pushprune {header.version[:20]} (format {header.format}, schema {header.schema}), "
            f"which is newer than this one (format {FORMAT}, schema {VERSION}): install that version"
        )
    if any(version not in MIGRATIONS for version in range(header.schema, VERSION)):
        raise UnusableBackup(f"{name} has schema {header.schema}, which this pushprune cannot migrate")
    backup = CheckedBackup(stream, name, header)
    for value in shown(_checked(backup)):
        backup.counts[value.key.removesuffix(":R")] += 1
        for word in _names(value):
            if len(backup.numbers) < MOST_NAMES:
                backup.numbers.setdefault(word, len(backup.numbers) + 1)
    return backup


def _names(saved: SavedValue) -> Iterable[str]:
    """Return the names in a value that get a number."""
    if isinstance(saved.value, Mapping) and saved.key == "live:R":
        return filter(None, map(user_in, saved.value.values()))
    return names_in(saved.value) if isinstance(saved.value, Mapping) and saved.key == "history:R" else ()


def _checked(backup: CheckedBackup) -> Iterator[SavedValue]:
    """Yield the values of a backup, each checked. Raises UnusableBackup with the number of a bad line."""
    end: dict[str, int] | None = None
    before = SavedValue("")
    for number, line in lines_of(backup.stream, backup.name):
        if number == 1:
            continue
        if end is not None or not line.endswith(b"\n"):
            raise cut_off(backup.name)
        try:
            value = read_value(line)
            if isinstance(value, dict):
                end = value
                continue
            check_value(value)
            _check_order(before, value)
        except ValueError as error:
            raise UnusableBackup(f"{backup.name}, line {number}: {error}; nothing was imported") from error
        yield value
        before = value
    if end is None or end != dict(backup.counts):
        raise cut_off(backup.name)


def _check_order(before: SavedValue, value: SavedValue) -> None:
    """Raise ValueError if an entry does not follow the one before it: Redis accepts entries only in order."""
    is_next = SAVED[value.key] == "stream" and (before.key, before.repository) == (value.key, value.repository)
    if is_next and value.id and before.id and entry_id(value.id) <= entry_id(before.id):
        raise ValueError(f"the entry {value.id} does not come after {before.id}")


def is_free(store: Store) -> bool:
    """Return True if an import loses nothing: the store is empty, or only a part of another import."""
    return store.backup.is_empty() or store.backup.is_incomplete()


def write(store: Store, backup: CheckedBackup, shown: Shown) -> None:
    """Replace the store by a backup. No process uses the store meanwhile.

    Raises:
        StoreBusy: nothing was changed, because other work is under way.
        ImportIncomplete: the import stopped, and must be repeated.
    """
    with begin_import(store.connection, backup.header.schema) as running:
        try:
            running.empty()
            running.number(backup.numbers)
            for value in shown(backup.values()):
                running.write(value)
            running.finish()
        except PushpruneError as error:
            raise ImportIncomplete(
                f"the import stopped ({error}): run it again; until then no process uses the data in Redis"
            ) from error
