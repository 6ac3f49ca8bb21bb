"""The map in service/__init__.py agrees with the folder, and no test file is imported by another."""

import re
from dataclasses import fields
from pathlib import Path

import service
from service.wiring import Wiring

FOLDER = Path(service.__file__).parent
# The package itself, and how `python -m service` starts it.
ENTRIES = {"__init__.py", "__main__.py", "__pycache__", "README.md"}


def test_the_map_names_every_module_and_folder_and_no_other() -> None:
    named = set(re.findall(r"^    ([a-z_]+(?:/|\.py))  ", service.__doc__ or "", re.MULTILINE))
    there = {path.name + "/" * path.is_dir() for path in FOLDER.iterdir() if path.name not in ENTRIES}
    assert named == there


def test_no_folder_of_the_layers_has_more_than_eight_modules_beside_its_folders() -> None:
    """More of them tell no story: a module belongs into the folder of its capability."""
    flat = {
        folder: [path.name for path in folder.glob("*.py") if path.name not in ENTRIES]
        for folder in (FOLDER, FOLDER / "domain", FOLDER.parent / "workers")
    }
    assert {folder.name: names for folder, names in flat.items() if len(names) > 8} == {}


# The schema of Redis is one list.
LONG = {"service/store/keys.py"}


def test_no_file_of_the_sources_has_more_than_300_lines() -> None:
    files = [*FOLDER.rglob("*.py"), *(FOLDER.parent / "workers").rglob("*.py")]
    long = {str(path.relative_to(FOLDER.parent)) for path in files if path.read_text().count("\n") > 300}
    assert long <= LONG


def test_no_test_file_imports_another() -> None:
    tests = Path(__file__).parent
    imports = re.compile(r"^ *(?:from|import) tests\.[\w.]*\btest_\w+", re.MULTILINE)
    assert [str(path) for path in tests.rglob("*.py") if imports.search(path.read_text())] == []


def test_every_file_that_proves_a_rule_exists() -> None:
    folder = Path(__file__).parent
    named = re.findall(r"`([\w/]+\.(?:py|lua))`", (folder / "README.md").read_text())
    assert [
        file
        for file in named
        if not any((folder / place / file).exists() for place in ("", "..", "safety", "machine", "contract"))
    ] == []


def test_every_file_in_the_tables_of_contributing_exists() -> None:
    """A name without a folder is a file beside the one before it."""
    root, missing = FOLDER.parent, []
    for line in (root / "CONTRIBUTING.md").read_text().splitlines():
        folder = root
        for name in re.findall(r"`([\w/]+(?:\.py|\.lua|/))`", line) if line.startswith("|") else []:
            path = root / name if (root / name).exists() else folder / name
            missing += [] if path.exists() else [name]
            folder = path.parent
    assert missing == []


# What an edge does with an object of the store itself, because the noun belongs to this edge alone.
ALLOWED = {
    ("service/web/api/api_blueprint.py", "change_limit"),  # the rate limit of the API
    ("service/web/session.py", "ended_sessions"),  # the sessions of the dashboard
    ("service/web/session.py", "sign_in_links"),
    ("service/web/metrics.py", "meter"),  # the counts that processes measure for /metrics
}


def test_the_edges_call_the_capabilities_and_never_an_object_of_the_store() -> None:
    uses, imports = set(), set()
    for path in (*(FOLDER / "web").rglob("*.py"), *(FOLDER / "cli").rglob("*.py")):
        file, text = str(path.relative_to(FOLDER.parent)), path.read_text()
        uses |= {(file, noun) for noun in re.findall(r"(?<![\w.])(?:\w+\.)*_?store\.(\w+)", text)}
        imports |= {(file, name) for name in re.findall(r"^from (service\.store\.\w+) import", text, re.MULTILINE)}
    assert uses == ALLOWED
    assert imports == set()


def test_at_most_forty_functions_take_the_wiring_and_it_has_at_most_twelve_members() -> None:
    """A function takes what it uses (CONTRIBUTING.md)."""
    takers = [
        f"{path.relative_to(FOLDER.parent)}: {function}"
        for folder in (FOLDER, FOLDER.parent / "workers")
        for path in folder.rglob("*.py")
        for function, parameters in re.findall(r"\bdef (\w+)\(([^()]*)", path.read_text())
        if re.search(r":\s*Wiring\b", parameters)
    ]
    assert 20 < len(takers) <= 40, takers
    assert len(fields(Wiring)) <= 12
