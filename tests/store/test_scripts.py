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
from tests.store.test_keys import DESCRIBED

FOLDER = Path(script.__file__).with_name("scripts")
COMMENT = re.compile(r"--.*")


def body(name: str) -> str:
    """The text of a script with all that it includes, without comments and without the line that binds the names."""
    _, _, text = lua_script(name).text.partition("\n")
    return COMMENT.sub("", text)


@pytest.mark.parametrize("name", script_names())
class TestEveryScript:
    def test_it_uses_no_key_and_no_argument_by_its_number(self, name: str) -> None:
        assert not re.search(r"\b(KEYS|ARGV)\b", body(name))

    def test_it_uses_each_key_that_its_head_names_and_no_other(self, name: str) -> None:
        """Another one would read and write the key `nil`."""
        used = re.findall(r"\b(r|all|each)(?:\.(\w+)|\['([\w:]+)'\])", body(name))
        names = lua_script(name).keys
        each = {key.removesuffix(":EACH") for key in names if key.endswith(":EACH")}
        bound = {(table, field or quoted) for table, field, quoted in used} - {("r", "name"), ("r", "newly")}
        if each:
            # The tables of the repositories are called r, too.
            assert {field for table, field in bound if table == "r"} == each
            bound = {key for key in bound if key[0] != "r"}
        assert bound == {
            ("r", key.removesuffix(":R")) if key.endswith(":R") else ("all", key)
            for key in names
            if not key.endswith(":EACH")
        }

    def test_it_uses_each_argument_that_its_head_names(self, name: str) -> None:
        text = body(name)
        for argument in lua_script(name).arguments:
            if argument.name != "repositories":
                assert re.search(rf"\b{argument.name}\b", text), argument.name
            for field in argument.fields:
                assert re.search(rf"\.{field}\b", text), f"{argument.name}.{field}"

    def test_its_keys_are_described(self, name: str) -> None:
        for key in lua_script(name).keys:
            before, _, member = key.rpartition(":")
            if key != "NAME":
                is_of_a_queue = member in ("due", "doomed", "healing", "collect") and before in ("late", "lease")
                assert ((before, True) if member.isupper() or is_of_a_queue else (key, False)) in DESCRIBED


def test_every_part_is_included_by_more_than_one_script_or_belongs_to_one() -> None:
    texts = [path.read_text(encoding="utf-8") for path in FOLDER.rglob("*.lua")]
    for path in FOLDER.glob("*/*.lua"):
        part = path.relative_to(FOLDER).with_suffix("").as_posix()
        uses = sum(f"-- include {part}\n" in text for text in texts)
        assert uses > 1 if part.startswith("lib/") else uses == 1, part


def test_names_are_bound_in_the_order_of_the_head() -> None:
    found = lua_script("undoom")
    assert found.keys == ("doomed:R", "doomed", "generation", "due")
    assert [argument.name for argument in found.arguments] == ["repository", "short_digest", "resend_ms"]
    assert found.bind_keys(Keys("p:"), "shop/api", (), {}) == ["p:doomed:shop/api", "p:doomed", "p:generation", "p:due"]
    assert found.bind_arguments({"resend_ms": 2000, "short_digest": "x", "repository": "r"}) == ["r", "x", 2000]


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
