"""The flags of a command line as somebody pasted it, with or without the program's name in front."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from service.importers.translation import NotImportable, shown

MOST = 1_000_000


@dataclass(frozen=True)
class Flags:
    """The values given for each flag, by the flag's own name and in their order."""

    given: Mapping[str, tuple[str, ...]]
    dash: str = "-"

    def __contains__(self, name: str) -> bool:
        return name in self.given

    def all(self, name: str) -> tuple[str, ...]:
        return self.given.get(name, ())

    def last(self, name: str, default: str = "") -> str:
        """The value that counts: the last one given."""
        return self.given.get(name, (default,))[-1]

    def is_on(self, name: str) -> bool:
        """Whether a switch is set; NotImportable when it says neither yes nor no."""
        value = self.last(name, "false").lower()
        if value not in ("true", "t", "1", "false", "f", "0"):
            raise NotImportable(f"{self.dash}{name}={shown(value)} is neither true nor false")
        return value in ("true", "t", "1")

    def count(self, name: str, default: int = 0) -> int:
        return parse_count(self.last(name, str(default)), f"{self.dash}{name}")


def parse_count(text: str, flag: str) -> int:
    """A whole number from 0; NotImportable names the flag."""
    if not (text.isascii() and text.isdigit()):
        raise NotImportable(f"{flag} {shown(text)}: this is no whole number from 0 up")
    if len(text) > 9 or int(text) > MOST:
        raise NotImportable(f"{flag} {shown(text)}: this is more than {MOST}; nothing would ever be deleted")
    return int(text)


def without_program(words: Sequence[str], programs: Sequence[str]) -> tuple[str, ...]:
    """The words behind the program's name, be it a path or an image; all of them when they begin with a flag."""
    rest = list(words)
    while rest and not rest[0].startswith("-"):
        called = [at for at, word in enumerate(rest) if _program(word) in programs]
        if not called:
            raise NotImportable(
                f"{shown(rest[0])!r} is neither a flag nor a file; give the flags, or a file that holds them"
            )
        del rest[: called[0] + 1]
    return tuple(rest)


def parse_flags(words: Sequence[str], valued: Sequence[str], switches: Sequence[str], dash: str = "-") -> Flags:
    """Flags as Go's programs read them: -name value, --name value, -name=value. valued: those that need a value.
    dash: how the tool writes them.

    NotImportable names the word that is no such flag.
    """
    given: dict[str, tuple[str, ...]] = {}
    known = ", ".join(f"{dash}{name}" for name in (*valued, *switches))
    rest = list(words)
    while rest:
        word = rest.pop(0)
        name, sign, value = word.lstrip("-").partition("=")
        if not word.startswith("-") or name not in (*valued, *switches):
            raise NotImportable(f"{shown(word)!r} is no flag that is known here; known: {known}")
        if name in valued and not sign:
            if not rest:
                raise NotImportable(f"{shown(word)} needs a value behind it")
            value = rest.pop(0)
        given[name] = (*given.get(name, ()), value if sign or name in valued else "true")
    return Flags(given, dash)


def _program(word: str) -> str:
    """The last part of a path or of an image's name, without the image's tag."""
    return word.rpartition("/")[2].partition(":")[0]
