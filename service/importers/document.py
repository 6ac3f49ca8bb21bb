"""A JSON document of another tool: its values with their lines, and their validation."""

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
    """A part of another tool's policy. An unknown key is refused, never ignored, because it may be a condition."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, alias_generator=to_camel, populate_by_name=True)


class Envelope(Part):
    """A part that contains more than a policy. Unknown keys are ignored, because they decide nothing."""

    model_config = ConfigDict(extra="ignore")


@dataclass(frozen=True)
class Document:
    """The values of one JSON text."""

    text: str
    values: Any

    def line(self, at: Location) -> int:
        """Return the line of the value at this place, or of the nearest value around it. The first line is 1."""
        return self.text.count("\n", 0, _offset(self.text, at)) + 1


def parse_document(text: str) -> Document:
    """Parse a JSON text.

    Raises:
        NotImportable: the text is empty, is not JSON, or is JSON that no policy needs, such as deep nesting.
    """
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
        raise NotImportable("a number in it is too long") from error
    return Document(text, values)


def checked(model: type[Model], values: Any, at: Location = ()) -> Model:
    """Validate values by a model.

    Args:
        at: the place of the values in the document.

    Raises:
        NotImportable: a value is not valid; the message is about the first one.
    """
    try:
        # Strict models accept a list for a tuple in JSON only, not in Python values.
        return model.model_validate_json(json.dumps(values))
    except RecursionError as error:
        raise NotImportable("this is nested too deeply to be a policy", at) from error
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        raise NotImportable(_fault(first), (*at, *_place(values, first))) from error


def listed(values: list[Any]) -> list[Any]:
    """Return the list.

    Raises:
        NotImportable: the list has more than MOST_RULES items.
    """
    if len(values) > MOST_RULES:
        raise NotImportable(f"this holds more than {MOST_RULES} policies; import them in parts")
    return values


def dotted(at: Location) -> str:
    """Return a place as users write it: rules[0].selection.countType."""
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
    """Return the place of the error, without the names that pydantic adds for the branches of a union."""
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
            raise NotImportable(f"the key {shown(key)!r} occurs twice in one object; keep one of them")
        made[key] = value
    return made


def _no_number(word: str) -> NoReturn:
    raise NotImportable(f"{shown(word)} is no number; write one")


def _offset(text: str, at: Location) -> int:
    """Return the offset of the value at this place, or of the nearest value around it."""
    offset = _skip(text, 0)
    for part in at:
        inside = _item(text, offset, part) if isinstance(part, int) else _member(text, offset, part)
        if inside is None:
            break
        offset = inside
    return offset


def _item(text: str, offset: int, number: int) -> int | None:
    if text[offset] != "[":
        return None
    offset = _skip(text, offset + 1)
    for _ in range(number):
        offset = _skip(text, _JSON.raw_decode(text, offset)[1])
        if text[offset] != ",":
            return None
        offset = _skip(text, offset + 1)
    return offset if text[offset] != "]" else None


def _member(text: str, offset: int, name: str) -> int | None:
    if text[offset] != "{":
        return None
    offset = _skip(text, offset + 1)
    while text[offset] != "}":
        key, offset = _JSON.raw_decode(text, offset)
        offset = _skip(text, _skip(text, offset) + 1)
        if key == name:
            return offset
        offset = _skip(text, _JSON.raw_decode(text, offset)[1])
        offset = _skip(text, offset + 1) if text[offset] == "," else offset
    return None


def _skip(text: str, offset: int) -> int:
    while offset < len(text) and text[offset] in _SPACE:
        offset += 1
    return offset
