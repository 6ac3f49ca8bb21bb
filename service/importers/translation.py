"""A policy translated from another tool: its rules, notes on differences, and its YAML text."""

import json
import textwrap
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from service.documents.reader import Location
from service.domain.policy.units import spell_duration

LONGEST_NAME = 64
_TRY = "pushprune prune --dry-run --policy FILE; pushprune policy simulate FILE"
_WIDTH = 110
_EVERY_EXPRESSION = frozenset(
    f"re:{expression}"
    for expression in ("", ".*", "^.*", ".*$", "^.*$", ".+", "^.+$", "^(?:.*)$", "^(?:.+)$", "^", "(?:.*)", "(.*)")
)
_EVERY_TAG = _EVERY_EXPRESSION | {"*", "**"}
_EVERY_REPOSITORY = _EVERY_EXPRESSION | {"**"}


class NotImportable(ValueError):
    """The input is no policy of that tool, or its meaning is not certain. The message is one sentence.

    Attributes:
        at: the place in the document; () for the whole input.
    """

    def __init__(self, message: str, at: Location = ()) -> None:
        super().__init__(message)
        self.at = at


@dataclass(frozen=True)
class ImportedRule:
    """One rule: its keys in the policy language, in the order in which they are written, and its comments."""

    keys: Mapping[str, Any]
    notes: tuple[str, ...] = ()

    @property
    def name(self) -> str:
        """The name of the rule."""
        return str(self.keys["name"])

    @property
    def selects_every_tag(self) -> bool:
        """True if the rule neither names tags nor an age."""
        return "tags" not in self.keys and "older_than" not in self.keys


@dataclass(frozen=True)
class Translation:
    """A whole translated policy.

    Attributes:
        tool: the name of the tool in the first comments.
        settings: the top-level keys besides `rules`.
        notes: the comments about the whole policy.
    """

    tool: str
    rules: tuple[ImportedRule, ...] = ()
    settings: Mapping[str, Any] = field(default_factory=dict)
    notes: tuple[str, ...] = ()

    @property
    def values(self) -> dict[str, Any]:
        """The policy without its comments, as values of the policy language."""
        return {**self.settings, "rules": [_plain(rule.keys) for rule in self.rules]}

    @property
    def text(self) -> str:
        """The policy as YAML, with comments about everything that has no equivalent or a different meaning."""
        return "\n".join(self._lines()) + "\n"

    def _lines(self) -> Iterator[str]:
        yield from _comment(f"Try it first: {_TRY}")
        yield from _comment(f"Imported from {self.tool}.")
        for note in self.notes:
            yield from _comment(note)
        for key, value in self.settings.items():
            yield f"{key}: {_written(key, value)}"
        yield "rules:" if self.rules else "rules: []"
        for rule in self.rules:
            for note in rule.notes:
                yield from _comment(note)
            for number, (key, value) in enumerate(rule.keys.items()):
                yield f"{'  ' if number else '- '}{key}: {_written(key, value)}"


# Tools that keep an image with all of its tags if one of its tags is kept.
_DELETE_WHOLE_IMAGES = frozenset({"deckschrubber", "registry-cli", "Harbor", "ECR", "Google Artifact Registry"})


def translation(
    tool: str, rules: Iterable[ImportedRule], notes: Iterable[str] = (), *, dry_run: bool = False
) -> Translation:
    """Make a translation. Each rule gets a unique name."""
    settings: dict[str, Any] = {"dry_run": True} if dry_run else {}
    named = tuple(_named_apart(rules))
    if named and tool in _DELETE_WHOLE_IMAGES:
        settings["shared"] = "keep"
    return Translation(tool, named, settings, tuple(notes))


def imported_rule(
    name: str,
    *,
    keep: Any,
    repos: Sequence[str] = (),
    tags: Sequence[str] = (),
    notes: Iterable[str] = (),
    older_than: int = 0,
    order: str | None = None,
    count: str | None = None,
    untagged: int | None = None,
    referrers: str | None = None,
    final: bool = False,
) -> ImportedRule:
    """Make a rule without the keys that have their default. Durations are in seconds."""
    given = {
        "name": _printable(name)[:LONGEST_NAME].strip() or "imported",
        "repos": _without(repos, _EVERY_REPOSITORY),
        "tags": _without(tags, _EVERY_TAG),
        "older_than": spell_duration(older_than) if older_than else None,
        "order": order if "last" in keep else None,
        "count": count if "last" in keep or "last_pulled" in keep else None,
        "keep": keep,
        "untagged": None if untagged is None else spell_duration(untagged),
        "referrers": referrers,
        "final": final,
    }
    keys = {key: value for key, value in given.items() if value not in (None, (), False)}
    return ImportedRule(keys, tuple(notes))


def keep_of(
    last: int = 0, *, last_pulled: int = 0, pushed_within: int = 0, pulled_within: int = 0, needs_all: bool = False
) -> Any:
    """Return the value of `keep` for these limits; `none` if there is no limit.

    Args:
        last, last_pulled: numbers; 0 = no such limit.
        pushed_within, pulled_within: seconds; 0 = no such limit.
        needs_all: True if a tag is kept only if all limits keep it.
    """
    limits = {
        "last": last or None,
        "last_pulled": last_pulled or None,
        "pushed_within": spell_duration(pushed_within) if pushed_within else None,
        "pulled_within": spell_duration(pulled_within) if pulled_within else None,
    }
    given = {key: limit for key, limit in limits.items() if limit is not None}
    if needs_all and len(given) > 1:
        given["mode"] = "all"
    return given or "none"


def _without(patterns: Sequence[str], match_all: frozenset[str]) -> tuple[str, ...]:
    """Return the patterns, without the positive ones if one of them already matches everything."""
    unique = tuple(dict.fromkeys(patterns))
    return tuple(pattern for pattern in unique if pattern.startswith("!")) if match_all.intersection(unique) else unique


def _named_apart(rules: Iterable[ImportedRule]) -> Iterator[ImportedRule]:
    taken: set[str] = set()
    numbers: dict[str, int] = {}
    for rule in rules:
        name = rule.name
        while name in taken:
            numbers[rule.name] = numbers.get(rule.name, 1) + 1
            end = f" {numbers[rule.name]}"
            name = rule.name[: LONGEST_NAME - len(end)] + end
        taken.add(name)
        yield replace(rule, keys={**rule.keys, "name": name})


def _plain(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {key: _plain(inner) for key, inner in value.items()}
    return list(value) if isinstance(value, tuple) else value


def _written(key: str, value: Any) -> str:
    if isinstance(value, Mapping):
        return "{" + ", ".join(f"{inner}: {_written(inner, of)}" for inner, of in value.items()) + "}"
    if isinstance(value, tuple):
        return "[" + ", ".join(map(_quoted, value)) + "]"
    if isinstance(value, bool):
        return "true" if value else "false"
    return _quoted(value) if key == "name" else str(value)


def _quoted(text: str) -> str:
    # YAML does not allow all characters that JSON allows. These are escaped.
    return "".join(
        letter if letter.isprintable() and letter not in "\ufeff\u2028\u2029" else _escaped(letter)
        for letter in json.dumps(text, ensure_ascii=False)
    )


def _escaped(letter: str) -> str:
    return f"\\U{ord(letter):08x}"


def _comment(note: str) -> list[str]:
    return textwrap.wrap(
        _printable(note),
        _WIDTH,
        initial_indent="# ",
        subsequent_indent="#   ",
        break_long_words=False,
        break_on_hyphens=False,
    )


def _printable(text: str) -> str:
    """Return a text of another tool on one line, without control characters."""
    # A line break would end the YAML comment, and the rest of the text would become part of the policy.
    return "".join(letter if letter.isprintable() else "?" for letter in " ".join(text.split()))
