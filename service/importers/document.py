"""A JSON document of another tool: its values, the line of each, and the refusal of what does not fit."""

import json
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, NoReturn, TypeVar

from pydantic import BaseModel, ConfigDict, ValidationError
from pydantic.alias_generators import to_camel
from pydantic_core import ErrorDetails

from service.importers.translation import Location, NotImportable, shown

Model = TypeVar("Model", bound=BaseModel)

MOST_RULES = 200

_JSON = json.JSONDecoder()
_SPACE = " \t\n\r"
_MUST = {
    "int_type": "must be a whole number",
    "bool_type": "must be true or false",
    "literal_error": "must be {expected}",
    "greater_than_equal": "must be at least {ge}",
    "less_than_equal": "must be at most {le}",
    "string_type": "must be text in quotes",
    "string_too_short": "must not be empty",
    "model_type": "must be an object, {{…}}",
    "model_attributes_type": "must be an object, {{…}}",
    "dict_type": "must be an object, {{…}}",
    "tuple_type": "must be a list, […]",
    "too_long": "must hold at most {max_length}; import it in parts",
}


class Part(BaseModel):
    """A part of another tool's policy. An unknown key may be a condition: it is refused, never passed over."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, alias_generator=to_camel, populate_by_name=True)


class Envelope(Part):
    """A part that carries more than its policy; what is not understood there decides nothing."""

    model_config = ConfigDict(extra="ignore")


@dataclass(frozen=True)
class Document:
    """The values of one JSON text."""

    text: str
    values: Any

    def line(self, at: Location) -> int:
        """The line of the value at this place, or of the nearest one around it; the first is 1."""
        return self.text.count("\n", 0, _offset(self.text, at)) + 1


def parse_document(text: str) -> Document:
    """The document in this text; NotImportable when it is not JSON, or JSON that nobody would write by hand."""
    if not text.strip():
        raise NotImportable("this is empty; give it the policy as JSON")
    try:
        values = json.loads(text, object_pairs_hook=_object, parse_constant=_no_number)
    except json.JSONDecodeError as error:
        raise NotImportable(f"line {error.lineno}: this is not JSON: {error.msg[:1].lower()}{error.msg[1:]}") from error
    except RecursionError as error:
        raise NotImportable("this is nested too deeply to be a policy") from error
    except NotImportable:
        raise
    except ValueError as error:
        raise NotImportable("a number in it is too long to be meant") from error
    return Document(text, values)


def checked(model: type[Model], values: Any, at: Location = ()) -> Model:
    """The values as this model has them; NotImportable names the first that does not fit. at: where they stand."""
    try:
        return model.model_validate_json(json.dumps(values))
    except RecursionError as error:
        raise NotImportable("this is nested too deeply to be a policy", at) from error
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        raise NotImportable(_fault(first), (*at, *_place(values, first))) from error


def listed(values: list[Any]) -> list[Any]:
    """The list itself; NotImportable when it is longer than any policy."""
    if len(values) > MOST_RULES:
        raise NotImportable(f"this holds more than {MOST_RULES} policies; import them in parts")
    return values


def dotted(at: Location) -> str:
    """A place as people write it: rules[0].selection.countType."""
    return "".join(f"[{part}]" if isinstance(part, int) else f".{shown(part)}" for part in at).removeprefix(".")


def _fault(detail: ErrorDetails) -> str:
    if detail["type"] == "missing":
        return "this is missing; add it"
    if detail["type"] == "extra_forbidden":
        key = shown(detail["loc"][-1])
        return f"pushprune does not know `{key}` here; if it does not decide what is deleted, remove it and try again"
    if detail["type"] in _MUST:
        return _MUST[detail["type"]].format(**detail.get("ctx", {}))
    reason = detail.get("ctx", {}).get("error", detail["msg"])
    return " ".join(str(reason).split())


def _place(values: Any, detail: ErrorDetails) -> Location:
    """Where the fault is, without the names that pydantic adds for the branches of a union."""
    path: Location = ()
    for part in detail["loc"]:
        known = part in values if isinstance(values, dict) else isinstance(values, list) and isinstance(part, int)
        if not known:
            return (*path, part) if detail["type"] == "missing" else path
        path, values = (*path, part), values[part]
    return path


def _object(pairs: Iterable[tuple[str, Any]]) -> dict[str, Any]:
    made: dict[str, Any] = {}
    for key, value in pairs:
        if key in made:
            raise NotImportable(f"the key {shown(key)!r} stands twice in one object; keep one of them")
        made[key] = value
    return made


def _no_number(word: str) -> NoReturn:
    raise NotImportable(f"{shown(word)} is no number; write one")


def _offset(text: str, at: Location) -> int:
    """Where the value at this place begins, or the nearest around it."""
    here = _skip(text, 0)
    for part in at:
        inside = _item(text, here, part) if isinstance(part, int) else _member(text, here, part)
        if inside is None:
            break
        here = inside
    return here


def _item(text: str, here: int, number: int) -> int | None:
    if text[here] != "[":
        return None
    here = _skip(text, here + 1)
    for _ in range(number):
        here = _skip(text, _JSON.raw_decode(text, here)[1])
        if text[here] != ",":
            return None
        here = _skip(text, here + 1)
    return here if text[here] != "]" else None


def _member(text: str, here: int, name: str) -> int | None:
    if text[here] != "{":
        return None
    here = _skip(text, here + 1)
    while text[here] != "}":
        key, here = _JSON.raw_decode(text, here)
        here = _skip(text, _skip(text, here) + 1)
        if key == name:
            return here
        here = _skip(text, _JSON.raw_decode(text, here)[1])
        here = _skip(text, here + 1) if text[here] == "," else here
    return None


def _skip(text: str, here: int) -> int:
    while here < len(text) and text[here] in _SPACE:
        here += 1
    return here
