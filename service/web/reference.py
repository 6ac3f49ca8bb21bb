"""The API reference for people: operations with examples, types and answers, read from the OpenAPI document."""

import json
import re
import shlex
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any
from urllib.parse import urlencode

from markupsafe import Markup, escape

_TICKED = re.compile(r"`([^`]+)`")
_FORMATS = {"date-time": "time", "binary": "bytes"}

Schema = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class ReferenceField:
    """A parameter of a request, or a field of a body or an answer.

    Attributes:
        type: its type; names of objects are links.
        place: "path" or "query" for a parameter; "" for a field.
        default: its default as JSON; "" if it has none.
    """

    name: str
    type: Markup
    place: str
    is_required: bool
    default: str
    description: Markup


@dataclass(frozen=True, slots=True)
class ReferenceAnswer:
    """An answer that an operation can give. type: of its body; "" if the description says all."""

    status: int
    phrase: str
    description: Markup
    type: Markup


@dataclass(frozen=True, slots=True)
class ReferenceOperation:
    """One operation of the API.

    Attributes:
        id: its anchor on the page.
        right: the token that it needs: "read", "admin", or "" for none.
        curl: a command that a user can copy; "" for a request that only the registry sends.
        success: its answer of status 200.
        others: all other answers.
    """

    id: str
    group: str
    method: str
    path: str
    summary: str
    description: Markup
    right: str
    curl: str
    parameters: tuple[ReferenceField, ...]
    body: Markup
    fields: tuple[ReferenceField, ...]
    success: ReferenceAnswer
    others: tuple[ReferenceAnswer, ...]


@dataclass(frozen=True, slots=True)
class ReferenceObject:
    """A JSON object of a request or of an answer."""

    name: str
    description: Markup
    fields: tuple[ReferenceField, ...]


def operations(document: Schema, address: str) -> tuple[ReferenceOperation, ...]:
    """Return the operations of the document, in its order.

    Args:
        address: of the web process, for the examples; without a slash at its end.
    """
    schemas = document["components"]["schemas"]
    return tuple(
        _operation(method, path, operation, schemas, address)
        for path, methods in document["paths"].items()
        for method, operation in methods.items()
    )


def objects(document: Schema) -> tuple[ReferenceObject, ...]:
    """Return the objects of the document by name."""
    return tuple(
        ReferenceObject(name, text(schema.get("description", "")), tuple(_fields(schema)))
        for name, schema in sorted(document["components"]["schemas"].items())
    )


def text(written: str) -> Markup:
    """Return a description with the words between backticks as code."""
    return Markup(_TICKED.sub(r"<code>\1</code>", str(escape(written))))  # noqa: S704 - escaped here


def _operation(method: str, path: str, operation: Schema, schemas: Schema, address: str) -> ReferenceOperation:
    body = _first_content(operation.get("requestBody", {}))
    answers = sorted(
        (_answer(int(status), answer) for status, answer in operation["responses"].items()),
        key=lambda answer: answer.status,
    )
    return ReferenceOperation(
        id=operation.get("operationId") or path.strip("/").replace(".", "-"),
        group=operation["tags"][0],
        method=method.upper(),
        path=path,
        summary=operation["summary"],
        # flask-openapi writes the line ends of a docstring as HTML.
        description=text(operation.get("description", "").replace("<br/>", " ").strip()),
        right=operation.get("x-right", ""),
        curl=_curl(method, path, operation, schemas, address),
        parameters=tuple(map(_parameter, operation.get("parameters", ()))),
        body=_type(body) if body.get("$ref") else Markup(""),
        fields=tuple(_fields(_resolved(body, schemas))),
        success=next(answer for answer in answers if answer.status == HTTPStatus.OK),
        others=tuple(answer for answer in answers if answer.status != HTTPStatus.OK),
    )


def _answer(status: int, answer: Schema) -> ReferenceAnswer:
    schema = _first_content(answer)
    return ReferenceAnswer(
        status, HTTPStatus(status).phrase, text(answer["description"]), _type(schema) if schema else Markup("")
    )


def _first_content(part: Schema) -> Schema:
    return next((content.get("schema", {}) for content in part.get("content", {}).values()), {})


def _parameter(parameter: Schema) -> ReferenceField:
    return _field(parameter["name"], parameter["schema"], parameter["in"], parameter.get("required", False))


def _fields(schema: Schema) -> Iterator[ReferenceField]:
    required = schema.get("required", ())
    for name, field in schema.get("properties", {}).items():
        yield _field(name, field, "", name in required)


def _field(name: str, schema: Schema, place: str, is_required: bool) -> ReferenceField:
    default = schema.get("default")
    return ReferenceField(
        name=name,
        type=_type(schema),
        place=place,
        is_required=is_required,
        default="" if default in (None, "", [], {}) else json.dumps(default),
        description=text(schema.get("description", "")),
    )


def _type(schema: Schema) -> Markup:
    """Return the type of a value in words, with links to the objects of this page."""
    if "$ref" in schema:
        return Markup('<a href="#{0}">{0}</a>').format(schema["$ref"].rpartition("/")[2])
    if "enum" in schema:
        return Markup(" | ").join(Markup("<code>{}</code>").format(value) for value in schema["enum"])
    if "const" in schema:
        return Markup("<code>{}</code>").format(schema["const"])
    if "anyOf" in schema:
        return Markup(" or ").join(_type(choice) for choice in schema["anyOf"])
    kind = str(schema.get("type", "any"))
    if kind == "array":
        return Markup("list of {}").format(_type(schema.get("items", {})))
    if kind == "object" and isinstance(schema.get("additionalProperties"), Mapping):
        return Markup("object of {}").format(_type(schema["additionalProperties"]))
    return escape(_FORMATS.get(schema.get("format", ""), kind))


def _resolved(schema: Schema, schemas: Schema) -> Schema:
    resolved: Schema = schemas[schema["$ref"].rpartition("/")[2]] if "$ref" in schema else schema
    return resolved


def _curl(method: str, path: str, operation: Schema, schemas: Schema, address: str) -> str:
    """Return a curl command for an operation. Its values are the examples of the document."""
    if operation.get("requestBody") and "application/json" not in operation["requestBody"]["content"]:
        return ""
    query = []
    for parameter in operation.get("parameters", ()):
        value = _sample(parameter["schema"], schemas)
        if parameter["in"] == "path":
            path = path.replace(f"{{{parameter['name']}}}", str(value))
        elif value is not None:
            query.append((parameter["name"], value))
    words = ["curl"]
    if method == "delete":
        words += ["-X", "DELETE"]
    if right := operation.get("x-right"):
        words += ["-H", f'"Authorization: Bearer ${right.upper()}"']
    if "requestBody" in operation:
        body = _sample(_first_content(operation["requestBody"]), schemas)
        words += ["-H", "'Content-Type: application/json'", "-d", shlex.quote(json.dumps(body))]
    elif method == "post":
        words += ["-X", "POST"]
    # Always quoted, as the page puts another address in the place of this one.
    words.append(f"'{address}{path}{f'?{urlencode(query, doseq=True)}' if query else ''}'")
    return " ".join(words)


def _sample(schema: Schema, schemas: Schema) -> Any:
    """Return an example of a value: the first that the document gives; None if it gives none."""
    if schema.get("examples"):
        return schema["examples"][0]
    schema = _resolved(schema, schemas)
    if schema.get("type") == "array":
        value = _sample(schema.get("items", {}), schemas)
        return None if value is None else [value]
    if "properties" not in schema:
        return {} if schema.get("type") == "object" else None
    values = {name: _sample(field, schemas) for name, field in schema["properties"].items()}
    return {name: value for name, value in values.items() if value not in (None, {}, [])}
