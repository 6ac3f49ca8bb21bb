"""README says all there is: every setting, every key, every verb."""

from collections.abc import Iterator
from pathlib import Path
from typing import get_args

from pydantic import BaseModel

from service.cli.main import VERBS
from service.domain.policy.model import Policy
from service.settings import Settings
from service.store import keys

README = (Path(__file__).parents[1] / "README.md").read_text()


def test_the_redis_schema_is_repeated_word_for_word() -> None:
    assert (keys.__doc__ or "").split("\n\n", 1)[1].strip("\n") in README


def settings_of(model: type[BaseModel], prefix: str = "") -> Iterator[str]:
    """Every key below a settings model, dotted."""
    for name, field in model.model_fields.items():
        types = [field.annotation, *get_args(field.annotation)]
        sections = [t for t in types if isinstance(t, type) and issubclass(t, BaseModel) and t is not Policy]
        if sections:
            yield from settings_of(sections[0], f"{prefix}{name}.")
        else:
            yield prefix + name


def test_every_setting_stands_in_it() -> None:
    every = list(settings_of(Settings))
    assert "gc.command" in every
    assert [key for key in every if f"| `{key}` |" not in README] == []


def test_every_verb_stands_in_it() -> None:
    assert [verb for verb in VERBS if f"pushprune {verb}" not in README] == []
