"""Translate policies of other tools into the policy language of pushprune.

translation.py  the result: rules, notes, and the YAML text
document.py     JSON, with the line of every value      flags.py  command lines
pattern.py      regexes, globs and prefixes             period.py  durations
and a file for each tool, with the source of the rules that it follows.

If a policy cannot be expressed exactly, the translation keeps more than the tool did, and a note says so.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from service.domain.errors import ConfigurationError
from service.importers import acr, deckschrubber, ecr, gcp, gitlab, harbor, quay, registry_cli, zot
from service.importers.document import Document, dotted, parse_document
from service.importers.translation import NotImportable, Translation

ReadCommand = Callable[[Sequence[str], str | None], Translation]
ReadDocument = Callable[[Document, str | None], Translation]

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
    """Translate a policy in JSON.

    Args:
        tool: a key of DOCUMENTS.
        place: the repository or project that the policy belongs to, as for `--within`; None if it is not known.

    Raises:
        ConfigurationError: the policy cannot be translated; the message names the text, the line and the key.
    """
    document = Document("", None)
    try:
        document = parse_document(text.content)
        return DOCUMENTS[tool](document, place)
    except NotImportable as error:
        where = [f"{text.name}, line {document.line(error.at)}", dotted(error.at)] if error.at else [text.name]
        raise ConfigurationError(": ".join([*filter(None, where), _sentence(error)])) from error


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
