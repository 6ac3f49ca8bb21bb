"""Write a backup: the values that belong to all repositories, then one repository after the other."""

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime

from service import __version__
from service.backup.lines import FORMAT, LONGEST_LINE, Header, packed_end, packed_value
from service.backup.values import check_value
from service.store import Store
from service.store.backup import SavedValue
from service.store.schema import VERSION

_MEMBERS = 500
_CHARACTERS = 1 << 20


def export(
    store: Store,
    shown: Callable[[Sequence[str]], Iterable[str]],
    counts: Counter[str],
    left_out: Callable[[str], object] = lambda _: None,
) -> Iterator[bytes]:
    """Yield the lines of a backup. A repository is as it was at one moment, also while the service runs.

    Args:
        shown: returns the names of the repositories, and shows the progress of going through them.
        counts: gets the number of lines of each key.
        left_out: called with each value that no import would take, and why, such as one that a user wrote to Redis. It
            must not make the rest of the backup useless.
    """
    # First of all, because this fails if the store cannot be used.
    names = store.backup.repositories()
    at = datetime.now(UTC).isoformat(timespec="seconds").replace("+00:00", "Z")
    yield Header(FORMAT, VERSION, __version__, at).packed()
    for saved in _values(store, shown(names)):
        name = saved.key.removesuffix(":R")
        for part in _parts(saved):
            for line in _lines(part, left_out):
                counts[name] += 1
                yield line
    yield packed_end(counts)


def _values(store: Store, names: Iterable[str]) -> Iterator[SavedValue]:
    for repository in names:
        yield from store.backup.read_repository(repository)
    yield from store.backup.read_shared()


def _lines(saved: SavedValue, left_out: Callable[[str], object]) -> Iterator[bytes]:
    """Yield the line of a value; if an import would refuse it, a line for each member that an import accepts."""
    line = packed_value(saved)
    fault = _fault(saved, line)
    if not fault:
        yield line
    elif saved.id or not isinstance(saved.value, Mapping) or len(saved.value) == 1:
        about = f" of {saved.repository}" if saved.repository else ""
        left_out(f"{saved.key.removesuffix(':R')}{about}: {fault}")
    else:
        for member, value in saved.value.items():
            yield from _lines(replace(saved, value={member: value}), left_out)


def _fault(saved: SavedValue, line: bytes) -> str:
    """Return why an import would refuse a value; "" if an import accepts it."""
    if len(line) >= LONGEST_LINE:
        return "it is too long"
    try:
        check_value(saved)
    except ValueError as error:
        return str(error)
    return ""


def _parts(saved: SavedValue) -> Iterator[SavedValue]:
    """Yield a value in parts, so that no line is long because a repository has many tags or much trash."""
    if not isinstance(saved.value, Mapping) or saved.id:
        yield saved
        return
    part: dict[str, object] = {}
    length = 0
    for member, value in saved.value.items():
        if part and (len(part) >= _MEMBERS or length + len(str(value)) > _CHARACTERS):
            yield SavedValue(saved.key, saved.repository, part, expires_ms=saved.expires_ms)
            part, length = {}, 0
        part[member] = value
        length += len(str(value))
    yield SavedValue(saved.key, saved.repository, part, expires_ms=saved.expires_ms)
