"""The parts of another tool's policy: the base classes of their models, and their validation."""

import json
from collections.abc import Callable
from typing import Annotated, Any, TypeVar

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError
from pydantic.alias_generators import to_camel
from pydantic_core import ErrorDetails, PydanticCustomError

from service.documents.reader import Location, shown
from service.documents.refusal import place_of, reason_of
from service.importers.flags import MOST
from service.importers.pattern import doublestar, searched
from service.importers.period import parse_period
from service.importers.translation import NotImportable

Model = TypeVar("Model", bound=BaseModel)

MOST_RULES = 200


class PolicyPart(BaseModel):
    """A part of another tool's policy. An unknown key is refused, never ignored, because it may be a condition."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, alias_generator=to_camel, populate_by_name=True)


class PolicyEnvelope(PolicyPart):
    """A part that contains more than a policy. Unknown keys are ignored, because they decide nothing."""

    model_config = ConfigDict(extra="ignore")


def converted(convert: Callable[[str], object]) -> BeforeValidator:
    """Return a validator that converts a text of the policy. `convert` may raise NotImportable."""

    def validate(value: Any) -> object:
        if not isinstance(value, str):
            raise PydanticCustomError("string_type", "Input should be a valid string")
        return convert(value)

    return BeforeValidator(validate)


# A duration in seconds, the pattern of a regex, the patterns of a glob with {a,b}, and a number that is not 0.
Period = Annotated[int, converted(parse_period)]
Regex = Annotated[str, converted(searched)]
Globs = Annotated[tuple[str, ...], converted(doublestar)]
Count = Annotated[int, Field(ge=1, le=MOST)]


def checked(model: type[Model], values: Any, at: Location = ()) -> Model:
    """Validate values by a model.

    Args:
        at: the place of the values in the document.

    Raises:
        NotImportable: a value is not valid; the message is about the first one.
    """
    try:
        # Strict models accept a list for a tuple in JSON only, not in Python values.
        return model.model_validate_json(json.dumps(values, default=str))
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        raise NotImportable(_reason(first), (*at, *place_of(values, first["loc"]))) from error


def listed(values: list[Any]) -> list[Any]:
    """Return the list.

    Raises:
        NotImportable: the list has more than MOST_RULES items.
    """
    if len(values) > MOST_RULES:
        raise NotImportable(f"this holds more than {MOST_RULES} policies; import them in parts")
    return values


def _reason(detail: ErrorDetails) -> str:
    key = shown(detail["loc"][-1]) if detail["loc"] else ""
    if detail["type"] == "missing":
        return f"{key} is missing; add it"
    if detail["type"] == "extra_forbidden":
        return f"pushprune does not know `{key}` here; if it does not decide what is deleted, remove it and try again"
    advice = "; import it in parts" if detail["type"] == "too_long" else ""
    return f"{reason_of(detail)}{advice}"
