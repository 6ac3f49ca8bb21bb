"""Help: each verb shows examples that are valid, options that make sense, and the verb for a word that is none."""

import shlex
from collections.abc import Iterator

import click
import pytest

from service.cli.main import pushprune
from tests.support.verbs import Run, run

__all__ = ["run"]  # the fixture


def verbs(group: click.Group, *path: str) -> Iterator[tuple[str, click.Command]]:
    """Every command with its words, groups included."""
    context = click.Context(group)
    for name in group.list_commands(context):
        command = group.get_command(context, name)
        assert command
        yield " ".join((*path, name)), command
        if isinstance(command, click.Group):
            yield from verbs(command, *path, name)


VERBS = dict(verbs(pushprune))


@pytest.mark.parametrize("verb", VERBS)
def test_every_help_has_examples_and_each_is_a_valid_command(run: Run, verb: str) -> None:
    code, output, _ = run(*verb.split(), "--help")
    examples = [line.strip() for line in output.partition("Examples:\n")[2].splitlines()]
    assert (code, len(examples) > 0) == (0, True)
    for example in examples:
        program, *words = shlex.split(example.partition(" > ")[0])
        assert (program, " ".join(words).startswith(verb)) == ("pushprune", True)
        command: click.Command = pushprune
        context = click.Context(command)
        while isinstance(command, click.Group):
            _, found_command, words = command.resolve_command(context, words)
            assert found_command
            command, context = found_command, click.Context(found_command, parent=context)
        command.make_context(command.name, words, parent=context)


@pytest.mark.parametrize("verb", ["trash", "reconcile", "gc", "doctor", "policy simulate", "sign-in"])
def test_a_verb_that_needs_a_service_does_not_offer_to_work_without(verb: str) -> None:
    assert not {"registry", "v1"} & {parameter.name for parameter in VERBS[verb].params}


def test_the_first_version_of_registries_is_offered_where_it_is_understood() -> None:
    assert {verb for verb, command in VERBS.items() if "v1" in {p.name for p in command.params}} == {"tags", "rm"}


@pytest.mark.parametrize(
    ("words", "near"),
    [("tag", "tags"), ("ls", "tags"), ("delete", "rm"), ("login", "sign-in"), ("policy chek", "check")],
)
def test_a_word_that_is_no_verb_leads_to_the_verb(run: Run, words: str, near: str) -> None:
    code, _, error = run(*words.split())
    assert (code, error.rstrip().endswith(f"Did you mean {near}?")) == (2, True)
    assert run("zzzzz")[2].rstrip().endswith("No such command 'zzzzz'.")
