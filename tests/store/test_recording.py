"""record.lua and recording.py name the same keys in the same order."""

import re

import pytest

from service.store.connection import _source
from service.store.recording import EACH, SHARED


@pytest.mark.parametrize(("name", "given"), [("ALL", ("seen", "seen_before", *SHARED)), ("EACH", EACH)])
def test_the_script_names_the_keys_in_the_order_in_which_they_are_given(name: str, given: tuple[str, ...]) -> None:
    names = re.search(rf"local {name} = {{(.*?)}}", _source("record"), re.DOTALL)
    assert names is not None
    assert tuple(re.findall(r"'(\w+)'", names[1])) == given
