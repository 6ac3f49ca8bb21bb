"""Other tools' policies as ours: which tools are known, and who reads the policy of each.

translation.py  the result: rules, notes, and the YAML text
document.py     JSON, with the line of every value      flags.py  command lines
pattern.py      regexes, globs and prefixes             period.py  durations
and a file for each tool, which says where its meaning is from.

Where a tool's meaning cannot be said, the translation keeps more than the tool did, and a note says so.
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
# Those whose policies belong to one place that they do not name.
PLACED = ("harbor", "ecr", "gcp", "gitlab", "quay")
TOOLS = tuple(dict.fromkeys((*COMMANDS, *DOCUMENTS)))


@dataclass(frozen=True)
class Text:
    """What somebody gave, and what to call it when something is wrong with it."""

    name: str
    content: str


def import_document(tool: str, text: Text, place: str | None = None) -> Translation:
    """The policy in this JSON text of a tool of DOCUMENTS. place: where it applied, as `--within` has it.

    ConfigurationError names the text, the line and the key that cannot be translated.
    """
    document = Document("", None)
    try:
        document = parse_document(text.content)
        return DOCUMENTS[tool](document, place)
    except NotImportable as error:
        where = [f"{text.name}, line {document.line(error.at)}", dotted(error.at)] if error.at else [text.name]
        raise ConfigurationError(": ".join([*filter(None, where), _sentence(error)])) from error


def import_command(tool: str, words: Sequence[str], place: str | None = None) -> Translation:
    """The policy that these flags of a tool of COMMANDS make; ConfigurationError names the flag that cannot be."""
    try:
        return COMMANDS[tool](words, place)
    except NotImportable as error:
        raise ConfigurationError(f"{tool}: {_sentence(error)}") from error


def _sentence(error: NotImportable) -> str:
    return " ".join(str(error).split())
