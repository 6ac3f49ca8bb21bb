"""The JSON Schema of pushprune.yaml, for editors."""

from typing import Any

from service.domain.policy.model import untitled
from service.settings.model import Settings


def schema() -> dict[str, Any]:
    """Return the JSON Schema of a configuration file."""
    described = untitled(Settings.model_json_schema())
    for name, definition in described["$defs"].items():
        if name.endswith("Settings"):
            _accept_text_for_lists(definition["properties"])
    # A section whose keys are all comments is empty.
    for name, section in described["properties"].items():
        if "$ref" in section:
            described["properties"][name] = {"anyOf": [{"$ref": section["$ref"]}, {"type": "null"}]}
        elif section.get("type") == "array":
            section["type"] = ["array", "null"]
    head = {"$schema": "https://json-schema.org/draft/2020-12/schema", "title": "pushprune configuration"}
    return {**head, **described, "description": "pushprune.yaml: all settings of pushprune"}


def _accept_text_for_lists(properties: dict[str, Any]) -> None:
    """Accept for each list a text as well: a command line, or several words."""
    for described in properties.values():
        for kind in (described, *described.get("anyOf", ())):
            if kind.get("type") == "array":
                kind["type"] = ["array", "string"]
