"""Translate policies of other tools into the policy language of pushprune.

translation.py  the result: rules, notes, and the YAML text
parts.py        models of the parts of a policy         flags.py  command lines
pattern.py      regexes, globs and prefixes             period.py  durations
and a file for each tool, with the source of the rules that it follows.

If a policy cannot be expressed exactly, the translation keeps more than the tool did, and a note says so.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from service.documents.reader import parse
from service.domain.errors import ConfigurationError
from service.importers import acr, deckschrubber, ecr, gcp, gitlab, harbor, quay, registry_cli, zot
from service.importers.translation import NotImportable, Translation

ReadCommand = Callable[[Sequence[str], str | None], Translation]
ReadDocument = Callable[[Any, str | None], Translation]

COMMANDS: Mapping[str, ReadCommand] = {
    "deckschrubber": deckschrubber.read_command,
    "registry-cli": registry_cli.read_command,
    "acr": acr.read_command,
}
DOCUMENTS: Mapping[str, ReadDocument] = {
    "harbor": harbor.read_document,
    "zot": zot.read_document,
    "ecr": ecr.read_document,
    "gcp": gcp.read_document,
    "acr": acr.read_document,
    "gitlab": gitlab.read_document,
    "quay": quay.read_document,
}
# Tools whose policies do not name the repository or project that they belong to.
PLACED = ("harbor", "ecr", "gcp", "gitlab", "quay")
TOOLS = tuple(dict.fromkeys((*COMMANDS, *DOCUMENTS)))


@dataclass(frozen=True)
class Text:
    """A text to import, and its name in error messages."""

    name: str
    content: str


def import_document(tool: str, text: Text, place: str | None = None) -> Translation:
    """Translate a policy in JSON or YAML.

    Args:
        place: the repository or project that the policy belongs to, as for `--within`; None if it is not known.

    Raises:
        ConfigurationError: the policy cannot be translated; the message names the text, the line and the key.
    """
    if not text.content.strip():
        raise ConfigurationError(f"{text.name}: this is empty; give it the policy as JSON")
    document = parse(text.content, text.name)
    try:
        return DOCUMENTS[tool](document.values, place)
    except NotImportable as error:
        raise ConfigurationError(f"{document.subject(error.at)}: {_sentence(error)}") from error


def import_command(tool: str, words: Sequence[str], place: str | None = None) -> Translation:
    """Translate a command line. tool: a key of COMMANDS. place: as for `import_document`.

    Raises:
        ConfigurationError: the command line cannot be translated; the message names the flag.
    """
    try:
        return COMMANDS[tool](words, place)
    except NotImportable as error:
        raise ConfigurationError(f"{tool}: {_sentence(error)}") from error


def _sentence(error: NotImportable) -> str:
    return " ".join(str(error).split())
