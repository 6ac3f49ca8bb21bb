"""Scripts find the keys that they name, and record.lua those that recording.py gives it."""

import re
from importlib.resources import files
from pathlib import Path

import pytest

from service.store.connection import _named_keys, _source
from service.store.ingest import EACH, SHARED


def _scripts() -> tuple[Path, ...]:
    return tuple(Path(str(path)) for path in files("service.store").joinpath("scripts").iterdir())


@pytest.mark.parametrize(("name", "given"), [("ALL", ("seen", "seen_before", *SHARED)), ("EACH", EACH)])
def test_the_script_names_the_keys_in_the_order_in_which_they_are_given(name: str, given: tuple[str, ...]) -> None:
    names = re.search(rf"local {name} = {{(.*?)}}", _source("record"), re.DOTALL)
    assert names is not None
    assert tuple(re.findall(r"'(\w+)'", names[1])) == given


def test_a_script_that_names_its_keys_finds_each_under_its_name() -> None:
    assert _named_keys("undoom") == ("doomed:R", "doomed", "generation", "due")
    assert _source("undoom").startswith(
        "local r = {['doomed'] = KEYS[1]} "
        "local all = {['doomed'] = KEYS[2], ['generation'] = KEYS[3], ['due'] = KEYS[4]} -- Takes a digest off"
    )


def test_every_script_either_names_its_keys_or_numbers_them() -> None:
    """One that uses a name which its head does not give would read and write the key `nil`."""
    texts = {path.name.removesuffix(".lua"): path.read_text() for path in _scripts()}
    shared = {name for text in texts.values() for name in re.findall(r"^-- include (\w+)$", text, re.MULTILINE)}
    for name in texts.keys() - shared - {"record"}:
        _, _, text = _source(name).partition("\n")  # the first line is the table of the names
        used = set(re.findall(r"\b(r|all)(?:\.(\w+)|\['([\w:]+)'\])", text))
        named = {f"{key}:R" if table == "r" else key for table, field, quoted in used for key in (field or quoted,)}
        assert named == set(_named_keys(name)), name
