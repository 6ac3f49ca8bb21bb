"""The flags of a command line as a user pastes it, with or without the name of the program."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from types import MappingProxyType

from service.documents.reader import shown
from service.importers.translation import NotImportable

MOST = 1_000_000


@dataclass(frozen=True)
class Flags:
    """The values of each flag in their order, by the flag's name without dashes."""

    given: Mapping[str, tuple[str, ...]]
    dash: str = "-"

    def __contains__(self, name: str) -> bool:
        return name in self.given

    def all(self, name: str) -> tuple[str, ...]:
        """Return all values of a flag."""
        return self.given.get(name, ())

    def last(self, name: str, default: str = "") -> str:
        """Return the last value of the flag, which is the one that counts."""
        return self.given.get(name, (default,))[-1]

    def is_on(self, name: str) -> bool:
        """True if a switch is set.

        Raises:
            NotImportable: its value is neither true nor false.
        """
        value = self.last(name, "false").lower()
        if value not in ("true", "t", "1", "false", "f", "0"):
            raise NotImportable(f"{self.dash}{name}={shown(value)} is neither true nor false")
        return value in ("true", "t", "1")

    def count(self, name: str, default: int = 0) -> int:
        """Return the value of a flag as a whole number."""
        return parse_count(self.last(name, str(default)), f"{self.dash}{name}")


def parse_count(text: str, flag: str) -> int:
    """Return a whole number from 0 to MOST.

    Raises:
        NotImportable: the text is no such number; the message names the flag.
    """
    if not (text.isascii() and text.isdigit()):
        raise NotImportable(f"{flag} {shown(text)}: this is no whole number from 0 up")
    number = number_of(text)
    if number is None:
        raise NotImportable(f"{flag} {shown(text)}: this is more than {MOST}; nothing would ever be deleted")
    return number


@contextmanager
def naming(flag: str) -> Iterator[None]:
    """Name the flag in the message of a NotImportable that the block raises."""
    try:
        yield
    except NotImportable as error:
        raise NotImportable(f"{flag}: {error}") from error


def number_of(text: str) -> int | None:
    """Return the whole number that these digits write, from 0 to MOST; None if the text is no such number."""
    digits = text.lstrip("0") or text[:1]
    # The length is checked first, because Python refuses to convert thousands of digits.
    if not (text.isascii() and text.isdigit()) or len(digits) > len(str(MOST)) or int(digits) > MOST:
        return None
    return int(digits)


def without_program(words: Sequence[str], programs: Sequence[str]) -> tuple[str, ...]:
    """Return the words after the name of the program, which may be a path or an image.

    Words that begin with a flag are returned unchanged.

    Raises:
        NotImportable: the first word is neither a flag nor one of these programs.
    """
    rest = list(words)
    while rest and not rest[0].startswith("-"):
        called = [at for at, word in enumerate(rest) if _program(word) in programs]
        if not called:
            raise NotImportable(
                f"{shown(rest[0])!r} is neither a flag nor a file; give the flags, or a file that holds them"
            )
        del rest[: called[0] + 1]
    return tuple(rest)


def parse_flags(
    words: Sequence[str],
    valued: Sequence[str],
    switches: Sequence[str],
    dash: str = "-",
    short: Mapping[str, str] = MappingProxyType({}),
) -> Flags:
    """Parse flags as Go programs do: -name value, --name value, -name=value.

    Args:
        dash: the dashes with which the tool writes its flags, for error messages.
        short: the flags of `valued` by their one letter, for -f value, -f=value and -fvalue.

    Raises:
        NotImportable: a word is no such flag; the message names it.
    """
    given: dict[str, tuple[str, ...]] = {}
    known = ", ".join(f"{dash}{name}" for name in (*valued, *switches))
    rest = list(words)
    while rest:
        word = rest.pop(0)
        name, sign, value = word.lstrip("-").partition("=")
        if word[:1] == "-" and word[1:2] in short:
            name, sign, value = short[word[1]], word[2:], word[2:].removeprefix("=")
        if not word.startswith("-") or name not in (*valued, *switches):
            raise NotImportable(f"{shown(word)!r} is no flag; known: {known}")
        if name in valued and not sign:
            if not rest:
                raise NotImportable(f"{shown(word)} needs a value behind it")
            value = rest.pop(0)
        given[name] = (*given.get(name, ()), value if sign or name in valued else "true")
    return Flags(given, dash)


def _program(word: str) -> str:
    """Return the last part of a path or of the name of an image, without the tag of the image."""
    return word.rpartition("/")[2].partition(":")[0]
