"""The demo's judgement: whatever is not as the policy says gets a sentence, by the registry's own word."""

from collections.abc import Mapping
from typing import Any, cast

import pytest

from service.local.outcome import Fate, disagreements
from service.local.story import Registry

STAYS = Fate("app", "v2", "b", True, "number 1 of the newest 1 (rule last-1)")
WENT = Fate("app", "v1", "a", False, "older than the newest 1 (rule last-1)")
EXPECTED = {("app", "v2"): "b"}


class Shelf:
    """A registry of one repository: its tags, and the digests that can be pulled whole."""

    def __init__(self, tags: Mapping[str, str], whole: str) -> None:
        self._tags, self._whole = tags, set(whole)

    def tags(self, repository: str) -> Mapping[str, str]:
        return self._tags

    def is_whole(self, repository: str, digest: str) -> bool:
        return digest in self._whole

    def has_manifest(self, repository: str, digest: str) -> bool:
        return digest in self._whole


def judged(tags: Mapping[str, str], whole: str, *messages: Fate) -> tuple[str, ...]:
    return disagreements(cast(Registry, Shelf(tags, whole)), messages or (WENT, STAYS), EXPECTED)


def test_nothing_is_wrong_when_all_is_as_it_must_be() -> None:
    assert judged({"v2": "b"}, "b") == ()


def changed(fate: Fate, **fields: Any) -> Fate:
    return Fate(**{**{name: getattr(fate, name) for name in Fate.__dataclass_fields__}, **fields})


@pytest.mark.parametrize(
    ("tags", "whole", "messages", "sentence"),
    [
        ({}, "b", (WENT, STAYS), "app:v2 is not there, but must stay"),
        ({"v1": "a", "v2": "b"}, "b", (WENT, STAYS), "app:v1 is there, but must be gone"),
        ({"v2": "c"}, "b", (WENT, STAYS), "app:v2 stands at c instead of b"),
        ({"v2": "b"}, "", (WENT, STAYS), "app:v2 cannot be pulled whole"),
        ({"v2": "b"}, "ab", (WENT, STAYS), "app:v1 is gone, but its manifest a is not"),
        ({"v2": "b"}, "b", (changed(WENT, stays=True), STAYS), "app:v1: the history says that it is kept"),
        ({"v2": "b"}, "b", (WENT, changed(STAYS, stays=False)), "app:v2: the history says that it was deleted"),
        ({"v2": "b"}, "b", (changed(WENT, reason=""), STAYS), "app:v1: the history gives no reason"),
    ],
)
def test_each_thing_that_is_wrong_gets_its_sentence(
    tags: Mapping[str, str], whole: str, messages: tuple[Fate, ...], sentence: str
) -> None:
    assert judged(tags, whole, *messages) == (sentence,)
