"""Other tools' policies read, written as YAML, read back, and put to work."""

import json
from pathlib import Path
from typing import Any

import pytest
import yaml

from service.domain.errors import ConfigurationError
from service.domain.policy.model import Policy
from service.domain.retention.state import Tag, Untagged
from service.importers import Text, import_command, import_document
from service.importers.translation import Translation
from tests.support.makers import digest_of, planned, tag, us

PUBLISHED = Path(__file__).parents[1] / "data" / "imports"
DAY_S = 86_400


def published(name: str) -> Any:
    """The values of a published example."""
    return json.loads((PUBLISHED / f"{name}.json").read_text())


def imported(tool: str, values: Any, within: str | None = "shop") -> Translation:
    """The translation of a document with these values, proved to be a policy that the language understands."""
    return proved(import_document(tool, Text("given.json", json.dumps(values, indent=1)), within))


def commanded(tool: str, *words: str) -> Translation:
    """The translation of these flags, proved in the same way."""
    return proved(import_command(tool, words))


def proved(made: Translation) -> Translation:
    assert yaml.safe_load(made.text) == made.values
    policy_of(made)
    return made


def policy_of(made: Translation) -> Policy:
    """The policy that pushprune reads from the YAML."""
    return Policy.model_validate(yaml.safe_load(made.text))


def refused(tool: str, values: Any, within: str | None = "shop") -> str:
    """The sentence for a document that cannot be translated; values may be a text."""
    text = values if isinstance(values, str) else json.dumps(values, indent=1)
    with pytest.raises(ConfigurationError) as raised:
        import_document(tool, Text("given.json", text), within)
    return one_sentence(raised.value)


def refused_command(tool: str, *words: str) -> str:
    with pytest.raises(ConfigurationError) as raised:
        import_command(tool, words)
    return one_sentence(raised.value)


def one_sentence(error: ConfigurationError) -> str:
    assert "\n" not in str(error)
    return str(error)


def rules_of(made: Translation) -> list[dict[str, Any]]:
    result = made.values["rules"]
    assert isinstance(result, list)
    return result


def aged(name: str, days: float, digest: str | None = None, **more: Any) -> Tag:
    """A tag pushed so many days ago."""
    return tag(name, -days * DAY_S, digest, **more)


def used(days: float) -> int:
    """The moment so many days ago, for `pulled_us` and `created_us`."""
    return us(-days * DAY_S)


def gone(made: Translation, *tags: Tag, repository: str = "shop/api") -> set[str]:
    """The names of the tags that the imported policy deletes today."""
    verdicts = planned(tags, policy_of(made), us(0), repository).verdicts
    return {verdict.tag.name for verdict in verdicts if not verdict.kept}


def untagged_gone(made: Translation, days: float, lost: str = "v1", repository: str = "shop/api") -> bool:
    """True if a manifest is deleted that lost its tag so many days ago; lost="": it never had a tag."""
    manifest = Untagged(digest_of("unreferenced"), us(-days * DAY_S), lost)
    plan = planned((), policy_of(made), us(0), repository, untagged=(manifest,))
    return not plan.untagged[0].kept
