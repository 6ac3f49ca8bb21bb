"""A validation error as one sentence: the place, the key, the error, and the nearest valid word."""

import difflib
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any, get_args

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from service.documents.reader import Location, Source, dotted
from service.domain.errors import ConfigurationError

_WORD = re.compile(r"'(\w+)'")
_MUST = {
    "int_type": "be a whole number",
    "int_parsing": "be a whole number",
    "int_parsing_size": "be a smaller number",
    "int_from_float": "be a whole number",
    "float_type": "be a number",
    "float_parsing": "be a number",
    "finite_number": "be a number",
    "bool_type": "be true or false",
    "bool_parsing": "be true or false",
    "literal_error": "be {expected}",
    "greater_than_equal": "be at least {ge}",
    "greater_than": "be more than {gt}",
    "less_than_equal": "be at most {le}",
    "string_type": "be text",
    "string_too_short": "be at least {min_length} characters long",
    "string_too_long": "be at most {max_length} characters long",
    "too_long": "hold at most {max_length}",
    "model_type": "hold `key: value` pairs",
    "model_attributes_type": "hold `key: value` pairs",
    "list_type": "be a list",
    "tuple_type": "be a list",
    "path_type": "be the path of a file",
}


@dataclass(frozen=True)
class Unusable:
    """A value that cannot be used, such as that of a secret file that cannot be read.

    Validation refuses the value, and so reports its sentence together with all other errors.
    """

    sentence: str


class BothSet(ValueError):
    """Two settings that exclude each other. The sentence names where each is set."""

    def __init__(self, *locations: Location) -> None:
        self.locations = locations
        super().__init__(self.sentence(()))

    def sentence(self, sources: Sequence[Source]) -> str:
        """Return the error as one sentence. sources: the strongest first."""
        origins = " and ".join(_origin(location, sources) for location in self.locations)
        return f"{origins} are both set; keep one of them"


@dataclass(frozen=True)
class _Fault:
    location: Location
    source: Source
    detail: ErrorDetails


def refusal(error: ValidationError, model: type[BaseModel], sources: Sequence[Source]) -> ConfigurationError:
    """Return the first error as one sentence. Values are never shown, because any of them may be a secret."""
    return ConfigurationError(next(_sentences(error, model, sources)))


def refusals(error: ValidationError, model: type[BaseModel], sources: Sequence[Source]) -> tuple[str, ...]:
    """Return all errors, one sentence each, in the order in which validation found them."""
    return tuple(_sentences(error, model, sources))


def _sentences(error: ValidationError, model: type[BaseModel], sources: Sequence[Source]) -> Iterator[str]:
    # The sentences are made one by one, because thousands of them would take seconds.
    faults = [_located(detail, sources) for detail in error.errors(include_url=False)]
    outer = {fault.location[:length] for fault in faults for length in range(len(fault.location))}
    at: dict[tuple[int, Location], list[_Fault]] = {}
    for fault in faults:
        # For a union, the user most likely meant the branch that validation followed furthest.
        if fault.location not in outer:
            at.setdefault((id(fault.source), fault.location), []).append(fault)
    return (_one_sentence(same, model, sources) for same in at.values())


def _one_sentence(same: Sequence[_Fault], model: type[BaseModel], sources: Sequence[Source]) -> str:
    value = same[0].detail["input"]
    if isinstance(value, Unusable):
        return value.sentence
    cause = same[0].detail.get("ctx", {}).get("error")
    if isinstance(cause, BothSet):
        return cause.sentence(sources)
    own = next((fault for fault in same if fault.detail["type"] not in _MUST), None)
    if own is None:
        musts = _joined([fault.detail for fault in same])
        return f"{same[0].source.subject(same[0].location)} must {musts}{_meant(same)}"
    return f"{_sentence(own, model)}{_meant(same)}"


def _meant(same: Sequence[_Fault]) -> str:
    """Return the suggestion of a valid word if only certain words are possible; "" if none is similar."""
    for fault in same:
        if fault.detail["type"] == "literal_error" and isinstance(fault.detail["input"], str):
            words = _WORD.findall(fault.detail["ctx"]["expected"])
            near = difflib.get_close_matches(fault.detail["input"].lower(), words, n=1)
            if near and len(words) + len(same) > 2:
                return f"; did you mean {near[0]}?"
    return ""


def _located(detail: ErrorDetails, sources: Sequence[Source]) -> _Fault:
    """Return the error with its place in the source that has most of its path; the stronger source in a tie."""
    places = [(place_of(source.values, detail["loc"]), source) for source in sources]
    location, source = max(places, key=lambda pair: len(pair[0]))
    return _Fault(location, source, detail)


def _origin(location: Location, sources: Sequence[Source]) -> str:
    """Return the name by which users know a value, in the strongest source that has it."""
    holders = (source for source in sources if place_of(source.values, location) == location)
    return next((source.subject(location) for source in holders), dotted(location))


def place_of(values: Any, location: Location) -> Location:
    """Return the location without the names that pydantic adds for the branches of a union."""
    path: Location = ()
    for part in location:
        if isinstance(values, Mapping):
            inside = part in values
        else:
            inside = isinstance(values, list) and isinstance(part, int) and part < len(values)
        if inside:
            path = (*path, part)
            values = values[part]
    return path


def _joined(details: Sequence[ErrorDetails]) -> str:
    phrase = ", or ".join(dict.fromkeys(map(_phrase, details)))
    is_scalar = isinstance(details[0]["input"], int | float) or hasattr(details[0]["input"], "isoformat")
    return f"{phrase}: put it in quotes" if phrase == "be text" and is_scalar else phrase


def _phrase(detail: ErrorDetails) -> str:
    limits = detail.get("ctx", {}).items()
    return _MUST[detail["type"]].format(**{key: f"{of:g}" if isinstance(of, float) else of for key, of in limits})


def _sentence(fault: _Fault, model: type[BaseModel]) -> str:
    source, location, detail = fault.source, fault.location, fault.detail
    if detail["type"] == "extra_forbidden":
        return f"{source.subject(location)} is unknown; {_advice(location, model, source)}"
    if detail["type"] == "missing":
        return f"{source.subject(location)} needs {detail['loc'][-1]}".lstrip()
    return ": ".join(part for part in (source.subject(location), reason_of(detail)) if part)


def reason_of(detail: ErrorDetails) -> str:
    """Return the reason of one error without its place: `must be text`, or the words of the validator."""
    if detail["type"] in _MUST:
        return f"must {_joined([detail])}"
    words = detail.get("ctx", {}).get("error", detail["msg"].replace("Input should", "it should"))
    return " ".join(str(words).split())


def _advice(location: Location, model: type[BaseModel], source: Source) -> str:
    """Return a suggestion for an unknown key, or the list of keys that are valid at this place."""
    word = str(location[-1]).lower()
    parent = "".join("[]" if isinstance(part, int) else f".{part}" for part in location[:-1]).removeprefix(".")
    whole = f"{parent}.{word}".removeprefix(".")
    scores = {name: _likeness(whole, name) for name in _names(model)}
    best = max(scores.values())
    if best > 0:
        matches = [_spelt(name, source, parent) for name in scores if scores[name] == best][:2]
        return f"did you mean {' or '.join(matches)}?"
    siblings = [_spelt(name, source, parent) for name in scores if name.rpartition(".")[0] == parent]
    return f"known here: {', '.join(siblings)}" if siblings else "no key is valid here"


def _likeness(written: str, name: str) -> float:
    """Return the similarity of two dotted names, from 0 to 1.

    Words at the same place are compared, then the same word at another place, then whole names.
    """
    parent, _, word = name.rpartition(".")
    written_parent, _, written_word = written.rpartition(".")
    if parent == written_parent:
        ratio = difflib.SequenceMatcher(None, written_word, word).ratio()
        return ratio if ratio >= 0.6 else 0
    if word == written_word:
        return 0.7
    ratio = difflib.SequenceMatcher(None, written, name).ratio()
    return ratio if ratio >= 0.85 and not written_parent else 0


def _spelt(name: str, source: Source, parent: str) -> str:
    # A key inside a list has no full name, so it is named relative to its parent.
    return name.removeprefix(f"{parent}.") if "[]" in name else source.spell(name)


@cache
def _names(model: type[BaseModel]) -> tuple[str, ...]:
    """Return the dotted names of all keys of a model and its inner models. A list adds [] to its name."""
    return tuple(_walk_names(model))


def _walk_names(model: type[BaseModel], prefix: str = "") -> Iterator[str]:
    for name, field in model.model_fields.items():
        yield prefix + name
        for inner, is_item in _models(field.annotation):
            yield from _walk_names(inner, f"{prefix}{name}{'[]' if is_item else ''}.")


def _models(annotation: Any, is_item: bool = False) -> Iterator[tuple[type[BaseModel], bool]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield annotation, is_item
    for argument in get_args(annotation):
        inside = is_item or getattr(annotation, "__origin__", None) in (list, tuple)
        yield from _models(argument, inside)
