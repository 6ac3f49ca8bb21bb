"""The language rules of CONTRIBUTING.md that a machine can check."""

import ast
import gc
import inspect
import re
from collections.abc import Iterator
from pathlib import Path

import click
import pytest

from service.cli.main import pushprune
from tests.support.edge import Edge, edge, redis_server, serve
from tests.support.old_words import old_words

# The edge with a Redis in memory, for the document of the API.
__all__ = ["edge", "redis_server", "serve"]

ROOT = Path(__file__).parents[1]
_TOP = ("README", "CHANGELOG", "SECURITY")
SOURCES = sorted([*(ROOT / "service").rglob("*.py"), *(ROOT / "workers").rglob("*.py")])
TESTS = sorted((ROOT / "tests").rglob("*.py"))
OPENER = re.compile(
    r"(What|Whether|Where|Who|Whom|Whose|How|Why|When|Which|Whoever|Whatever|Of what|Of which|By what|"
    r"Somebody|Nobody|Nothing|Something|It|Its|They|Their|Those|That|Ours|One of|One that|As|Until|So|Else|Also|Over|"
    # A verb in the third person: its subject is missing.
    r"(?!This|Always)[A-Z]\w*[^s]s (?:a|an|the|each|every|one|its|it|nothing|no|what|only|when|once))\b"
)
# Names that say nothing: a local is a noun of the glossary.
PRONOUNS = frozenset(
    {
        "one",
        "said",
        "found",
        "told",
        "met",
        "so",
        "how",
        "but",
        "off",
        "over",
        "that",
        "it",
        "them",
        "somebody",
        "nobody",
    }
)

# Words in names of tests that say neither who acts nor what happens, and first words that are no subject.
UNCLEAR = re.compile(
    r"_(nobody|somebody|whoever|put_back|puts_back|taken_off)(_|$)"
    r"|^test_(what|whatever|that|one|who|where|why|how|which|it|its|they|these|those)_"
)

# One noun for each capability (glossary in CONTRIBUTING.md): these words were second names of one, and stay away.
RETIRED = frozenset(
    [
        "byhand",
        "wish",
        "wishes",
        "undone",
        "undoable",
        "ruling",
        "rulings",
        "takedown",
        "weigh",
        "weighed",
        "weighing",
        "opinion",
        "outlook",
        "scales",
        "sight",
        "sighted",
        "asks",
        "walks",
    ]
)
WORD = re.compile(r"[A-Z]?[a-z]+|[A-Z]+(?![a-z])")
Nodes = tuple[ast.AST, ...]
_LOOKED_AT = (
    ast.Name, ast.Attribute, ast.arg, ast.Constant, ast.JoinedStr,
    ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef, ast.Module,
)  # fmt: skip


def docstrings(nodes: Nodes) -> Iterator[tuple[int, str]]:
    """Every docstring of a file, with its line."""
    for node in nodes:
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            text = ast.get_docstring(node)
            if text:
                yield getattr(node, "lineno", 1), text


def sentences(nodes: Nodes) -> Iterator[tuple[int, str]]:
    """Every text of a file that is long enough for a sentence, with its line; no docstring."""
    described = {text for _, text in docstrings(nodes)}
    for node in nodes:
        if isinstance(node, ast.JoinedStr):
            text = "".join(str(part.value) for part in node.values if isinstance(part, ast.Constant))
        elif isinstance(node, ast.Constant) and isinstance(node.value, str):
            text = node.value
        else:
            continue
        if text.count(" ") >= 3 and inspect.cleandoc(text) not in described:
            yield node.lineno, text


def assigned(nodes: Nodes) -> Iterator[str]:
    """Every parameter and assigned name of a file, except fields of classes and names of the module."""
    outside = {
        target
        for node in nodes
        if isinstance(node, ast.Module | ast.ClassDef)
        for statement in node.body
        for target in getattr(statement, "targets", [getattr(statement, "target", None)])
    }
    for node in nodes:
        if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store) and node not in outside:
            yield node.id
        elif isinstance(node, ast.arg):
            yield node.arg


def names(nodes: Nodes) -> Iterator[str]:
    """Every name that a file defines or uses: of modules, classes, functions, fields, parameters and locals."""
    for node in nodes:
        if isinstance(node, ast.ClassDef | ast.FunctionDef):
            yield node.name
        elif isinstance(node, ast.arg):
            yield node.arg
        elif isinstance(node, ast.Attribute):
            yield node.attr
        elif isinstance(node, ast.Name):
            yield node.id


def _nodes(path: Path) -> Nodes:
    """The nodes of a file that the tests below read. Leaving out the others, two thirds of all, saves time."""
    return tuple(node for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, _LOOKED_AT))


@pytest.fixture(scope="module")
def trees() -> dict[str, Nodes]:
    """The nodes of each file that have a name, a docstring or a text, the module first."""
    paths = [*SOURCES, *TESTS]
    # The collector of garbage would look at a million nodes again and again.
    gc.disable()
    result = {str(path.relative_to(ROOT)): _nodes(path) for path in paths}
    gc.freeze()
    gc.enable()
    return result


def test_no_docstring_opens_with_a_question_word_or_hides_its_subject(trees: dict[str, Nodes]) -> None:
    wrong = [
        f"{file}:{line}: {text.splitlines()[0]}"
        for file, nodes in trees.items()
        for line, text in docstrings(nodes)
        if OPENER.match(text)
    ]
    assert wrong == []


def test_no_local_name_is_a_pronoun_or_a_participle(trees: dict[str, Nodes]) -> None:
    wrong = {(file, name) for file, nodes in trees.items() for name in PRONOUNS.intersection(assigned(nodes))}
    assert wrong == set()


def test_no_name_of_a_test_hides_who_acts_or_what_happens(trees: dict[str, Nodes]) -> None:
    functions = [node for nodes in trees.values() for node in nodes if isinstance(node, ast.FunctionDef)]
    assert [node.name for node in functions if node.name.startswith("test_") and UNCLEAR.search(node.name)] == []


def test_reasons_stand_as_comments_above_their_lines() -> None:
    lines = [line for path in SOURCES for line in path.read_text().splitlines()]
    assert sum(line.lstrip().startswith("#") for line in lines) >= 15 * len(lines) / 1000


def test_every_class_name_of_the_sources_is_unique(trees: dict[str, Nodes]) -> None:
    sources = {str(path.relative_to(ROOT)) for path in SOURCES}
    places: dict[str, list[str]] = {}
    for file in sources:
        for node in trees[file]:
            if isinstance(node, ast.ClassDef):
                places.setdefault(node.name, []).append(file)
    assert {name: sorted(files) for name, files in places.items() if len(files) > 1} == {}


def test_every_capability_has_one_noun(trees: dict[str, Nodes]) -> None:
    wrong = {
        (file, name)
        for file, nodes in trees.items()
        if not file.startswith("tests")
        for name in set(names(nodes))
        if RETIRED.intersection(word.lower() for word in WORD.findall(name))
    }
    assert wrong == set()


def helps(command: click.Command, path: str = "pushprune") -> Iterator[tuple[str, str]]:
    """The help of a verb and of all verbs below it."""
    context = click.Context(command, info_name=path)
    yield path, command.get_help(context)
    if isinstance(command, click.Group):
        for name in command.list_commands(context):
            below = command.get_command(context, name)
            assert below is not None
            yield from helps(below, f"{path} {name}")


def test_no_sentence_of_the_sources_has_an_old_word(trees: dict[str, Nodes]) -> None:
    """Errors, log events and the reasons of verdicts: what a user reads."""
    wrong = [
        f"{file}:{line}: {words}"
        for file, nodes in trees.items()
        if not file.startswith("tests")
        for line, text in sentences(nodes)
        if (words := old_words(text))
    ]
    assert wrong == []


def test_no_help_of_a_verb_has_an_old_word() -> None:
    texts = dict(helps(pushprune))
    assert len(texts) >= 25
    assert {path: words for path, text in texts.items() if (words := old_words(text))} == {}


def test_no_description_of_a_route_a_field_or_a_setting_has_an_old_word(edge: Edge) -> None:
    described = edge.http.get("/openapi.json").text
    assert old_words(described) == []
    assert old_words((ROOT / "docs" / "settings.md").read_text()) == []


def test_no_page_of_the_manual_has_an_old_word() -> None:
    # The schema is for developers, who know the sweep of the outbox.
    pages = [path for path in (ROOT / "docs").glob("*.md") if path.name != "redis-schema.md"]
    texts = {path.name: path.read_text() for path in (*pages, *(ROOT / f"{name}.md" for name in _TOP))}
    assert len(texts) >= 12
    assert {name: words for name, text in texts.items() if (words := old_words(text))} == {}


def test_no_template_has_an_old_word_in_any_of_its_branches() -> None:
    sources = {path.name: path.read_text() for path in (ROOT / "service" / "web" / "templates").rglob("*.html")}
    texts = {name: re.sub(r"{[#%].*?[#%]}", "", source, flags=re.DOTALL) for name, source in sources.items()}
    assert len(texts) > 40
    assert {name: words for name, text in texts.items() if (words := old_words(text))} == {}


def test_old_words_are_found_in_pages() -> None:
    assert old_words("<p>put it <b>back</b></p>") == ["put it back"]
