"""The manual: its pages, its links, and the parts of it that are generated from the source.

`make docs` (`python -m tests.support.manual`) writes the generated parts anew. Tests compare them with the source.
"""

import re
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from types import UnionType
from typing import Any, Literal, get_args, get_origin

import yaml
from pydantic import BaseModel, BeforeValidator
from pydantic.fields import FieldInfo

from service.domain.policy.model import Policy
from service.domain.policy.units import parse_duration, spell_duration
from service.settings import Settings
from service.store import backup, keys

ROOT = Path(__file__).parents[2]
README = ROOT / "README.md"
DOCS = ROOT / "docs"

# In a list, blocks are indented.
_FENCE = re.compile(r"^ *```.*?^ *```$", re.DOTALL | re.MULTILINE)
_HEADING = re.compile(r"^#+ (.+)$", re.MULTILINE)
_LINK = re.compile(r"\]\(([^)\s]+)\)")
_CODE_BLOCK = re.compile(r"^ *```(\w*)\n(.*?)^ *```$", re.DOTALL | re.MULTILINE)


def page(name: str) -> str:
    """The text of a page of the manual: the name of its file in docs/, without the suffix."""
    return (DOCS / f"{name}.md").read_text(encoding="utf-8")


def pages() -> Mapping[Path, str]:
    """README and every page in docs/, with their texts."""
    files = (README, *sorted(DOCS.glob("*.md")))
    return {file: file.read_text(encoding="utf-8") for file in files}


def yaml_blocks() -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield every example in YAML, with the name of its page."""
    for file, text in pages().items():
        for block in code_blocks(text, "yaml"):
            values = yaml.safe_load(block)
            assert isinstance(values, dict)
            yield file.name, values


def documents() -> Iterator[Path]:
    """Every Markdown file of the repository: the manual, and those beside the code."""
    for pattern in ("*.md", "docs/*.md", "service/*.md", "tests/*.md", "config/*.md"):
        yield from sorted(ROOT.glob(pattern))


def without_code(text: str) -> str:
    """The text of a page without its blocks of code, where a # is no heading."""
    return _FENCE.sub("", text)


def code_blocks(text: str, *languages: str) -> tuple[str, ...]:
    """The blocks of code in these languages, in the order of the page."""
    return tuple(block for language, block in _CODE_BLOCK.findall(text) if language in languages)


def anchors(text: str) -> frozenset[str]:
    """The anchors of a page: GitHub makes them from the headings."""
    return frozenset(anchor(heading) for heading in _HEADING.findall(without_code(text)))


def anchor(heading: str) -> str:
    """The anchor that GitHub makes from a heading."""
    kept = re.sub(r"[^\w\- ]", "", re.sub(r"[`*]", "", heading).lower())
    return kept.strip().replace(" ", "-")


def links(text: str) -> tuple[str, ...]:
    """Return the targets of the links on a page, without those to other sites."""
    return tuple(link for link in _LINK.findall(without_code(text)) if not re.match(r"\w+:", link))


def settings_table() -> str:
    """Every setting with its default and its description: a table for each section."""
    tables = []
    for name, field in Settings.model_fields.items():
        if section := section_of(field):
            tables.append(f"## {name}\n\n{section.__doc__}\n\n{table(settings_of(section, f'{name}.'))}")
    general = ((name, field) for name, field in Settings.model_fields.items() if not section_of(field))
    return "\n\n".join((f"## General\n\n{table(general)}", *tables))


def table(settings: Iterable[tuple[str, FieldInfo]]) -> str:
    """A table of settings."""
    rows = (f"| `{name}` | {default(field)} | {field.description}{choices(field)} |" for name, field in settings)
    return "\n".join(("| setting | default | meaning |", "|---|---|---|", *rows))


def settings_of(model: type[BaseModel], prefix: str = "") -> Iterator[tuple[str, FieldInfo]]:
    """Every setting below a model, by its dotted name."""
    for name, field in model.model_fields.items():
        if section := section_of(field):
            yield from settings_of(section, f"{prefix}{name}.")
        else:
            yield prefix + name, field


def section_of(field: FieldInfo) -> type[BaseModel] | None:
    """The model of a section; None for a setting. The policy is one setting, described on a page of its own."""
    kinds = (field.annotation, *get_args(field.annotation))
    models = (kind for kind in kinds if isinstance(kind, type) and issubclass(kind, BaseModel) and kind is not Policy)
    return next(models, None)


def default(field: FieldInfo) -> str:
    """The default of a setting as a user writes it, in code marks; "" if there is none."""
    value = field.default
    if value is None or value in ("", [], ()) or field.is_required():
        return ""
    if parse_duration in readers(field):
        return f"`{spell_duration(value)}`"
    if isinstance(value, bool):
        return f"`{value}`".lower()
    return f"`{value:g}`" if isinstance(value, float) else f"`{value}`"


def readers(field: FieldInfo) -> frozenset[Any]:
    """The functions that read a setting from what the user wrote."""
    kinds: Iterable[Any] = (*field.metadata, *metadata_of(field.annotation))
    return frozenset(kind.func for kind in kinds if isinstance(kind, BeforeValidator))


def metadata_of(annotation: Any) -> Iterator[Any]:
    """The metadata of an annotation and of the members of its union."""
    yield from getattr(annotation, "__metadata__", ())
    if isinstance(annotation, UnionType):
        for member in get_args(annotation):
            yield from metadata_of(member)


def choices(field: FieldInfo) -> str:
    """The values that a setting may have, in parentheses; "" if they are not a few words."""
    values = get_args(field.annotation) if get_origin(field.annotation) is Literal else ()
    return f" ({', '.join(f'`{value}`' for value in values)})" if values else ""


def schema() -> str:
    """The Redis schema: the docstring of service/store/keys.py without its first line."""
    return "```\n" + (keys.__doc__ or "").split("\n\n", 1)[1].strip("\n") + "\n```"


_REASONS = {
    "work": "work that is under way: it must not be done twice",
    "anew": "made anew, because it follows from the rest",
    "running": "belongs to running processes, and to this storage",
    "observed": "observed at the registry again",
    "secret": "secrets",
}


def backup_table() -> str:
    """The keys that a backup holds, and the others with the reason why it does not."""
    rows = [("yes", "", tuple(backup.SAVED))]
    rows += [("no", _REASONS[word], tuple(names)) for word, names in backup.LEFT_OUT.items()]
    lines = (f"| {held} | {reason} | {' '.join(f'`{name}`' for name in names)} |" for held, reason, names in rows)
    return "\n".join(("| in a backup | why not | keys |", "|---|---|---|", *lines))


def generated(name: str, text: str, part: str) -> str:
    """The page with a generated part written anew.

    Raises:
        ValueError: the page has no marks for this part.
    """
    start, end = f"<!-- generated: {name} (make docs) -->", f"<!-- end of {name} -->"
    before, result, rest = text.partition(start)
    _, closed, after = rest.partition(end)
    if not (result and closed):
        raise ValueError(f"docs/{name}.md does not contain `{start}` … `{end}`")
    return f"{before}{start}\n{part}\n{end}{after}"


def expected() -> Mapping[str, str]:
    """The pages with generated parts as they must be: by the name of the page."""
    parts = {"settings": settings_table(), "redis-schema": schema(), "backup": backup_table()}
    return {name: generated(name, page(name), part) for name, part in parts.items()}


if __name__ == "__main__":
    for name, text in expected().items():
        (DOCS / f"{name}.md").write_text(text, encoding="utf-8")
