"""Every script finds the keys and arguments that its head names."""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from service.store import script
from service.store.connection import Connection
from service.store.keys import Keys
from service.store.script import LuaScript, lua_script, script_names
from tests.support.schema import DESCRIBED

FOLDER = Path(script.__file__).with_name("scripts")
COMMENT = re.compile(r"--.*")


def body(name: str) -> str:
    """The text of a script with all that it includes, without comments and without the line that binds the names."""
    _, _, text = lua_script(name).text.partition("\n")
    return COMMENT.sub("", text)


@pytest.mark.parametrize("name", script_names())
class TestEveryScript:
    def test_a_script_uses_no_key_and_no_argument_by_its_number(self, name: str) -> None:
        assert not re.search(r"\b(KEYS|ARGV)\b", body(name))

    def test_a_script_uses_each_key_that_its_head_names_and_no_other(self, name: str) -> None:
        """A script with another name would read and write the key `nil`."""
        script = lua_script(name)
        matches = re.findall(r"\b(r|all)(?:\.(\w+)|\['([\w:]+)'\])", body(name))
        used = {(table, field or quoted) for table, field, quoted in matches} - {("r", "name"), ("r", "newly")}
        # The table of each of several repositories is called r, too.
        named = {("r", key) for key in script.each}
        for key, member in script.keys:
            named.add(("r", key) if member == "R" else ("all", f"{key}:{member}".strip(":")))
        assert used == named

    def test_a_script_uses_each_argument_that_its_head_names(self, name: str) -> None:
        script, text = lua_script(name), body(name)
        for word in {*script.values, *(argument.name for argument in script.lists)} - {"repositories"}:
            assert re.search(rf"\b{word}\b", text), word
        for argument in script.lists:
            for field in argument.fields:
                assert re.search(rf"\.{field}\b", text), f"{argument.name}.{field}"

    def test_the_keys_of_a_script_are_described(self, name: str) -> None:
        script = lua_script(name)
        assert {(key, True) for key in script.each} <= DESCRIBED
        for key, member in script.keys:
            before, _, queue = key.rpartition(":")
            if key and (key, bool(member)) not in DESCRIBED:
                assert before in ("late", "lease"), queue


def test_every_part_is_included_by_more_than_one_script_or_belongs_to_one() -> None:
    texts = [path.read_text(encoding="utf-8") for path in FOLDER.rglob("*.lua")]
    for path in FOLDER.glob("*/*.lua"):
        part = path.relative_to(FOLDER).with_suffix("").as_posix()
        uses = sum(f"-- include {part}\n" in text for text in texts)
        assert uses > 1 if part.startswith("lib/") else uses == 1, part


def test_names_are_bound_in_the_order_of_the_head() -> None:
    undoom = lua_script("undoom")
    indexes = ("by_name", "by_push", "by_tags")
    shared = tuple((name, "") for name in ("generation", "due", *indexes))
    assert undoom.keys == (("doomed", "R"), ("doomed", ""), ("revisions", "R"), *shared)
    assert undoom.values == ("repository", "short_digest", "resend_ms")
    assert undoom.bind_keys(Keys("p:"), "shop/api", (), {}) == [
        "p:doomed:shop/api",
        "p:doomed",
        "p:revisions:shop/api",
        "p:generation",
        "p:due",
        *(f"p:{name}" for name in indexes),
    ]
    assert undoom.bind_arguments({"resend_ms": 2000, "short_digest": "x", "repository": "r"}) == ["r", "x", 2000]


def test_lists_and_rows_come_with_their_number() -> None:
    given = {"max_layers": 5, "manifests": [{"layers": "l", "short": "s"}, {"short": "t", "layers": None}]}
    assert lua_script("learn").bind_arguments(given) == [5, 2, "s", "l", "t", ""]
    bound = lua_script("request_healing").bind_arguments({"repository": "r", "resend_ms": True, "members": ("a", "b")})
    assert bound == ["r", 1, 2, "a", "b"]


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"resend_ms": 1}, "undoom.lua takes the arguments"),
        ({"resend_ms": 1, "short_digest": "x", "digest": "y"}, "'digest'"),
    ],
)
def test_a_missing_or_unknown_argument_is_an_error(
    connection: Connection, given: Mapping[str, Any], message: str
) -> None:
    with pytest.raises(TypeError, match=message):
        connection.run("undoom", "shop/api", **given)


@pytest.mark.parametrize(
    "row", [{"short": "s"}, {"short": "s", "layer": "l"}, {"short": "s", "layers": "l", "more": 1}]
)
def test_a_missing_or_unknown_field_of_a_row_is_an_error(row: Mapping[str, Any]) -> None:
    learn: LuaScript = lua_script("learn")
    with pytest.raises(TypeError, match=r"learn\.lua: rows of manifests have the fields"):
        learn.bind_arguments({"max_layers": 5, "manifests": [row]})
