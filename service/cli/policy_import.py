"""`pushprune policy import --from TOOL …`: translate a policy of another tool, and print it."""

import shlex
import sys
from pathlib import Path
from typing import Any

import click
from pydantic import ValidationError

from service.cli.command import examples
from service.documents.reader import LIMIT_BYTES, decoded, read_text
from service.domain.errors import ConfigurationError
from service.domain.policy.model import Policy
from service.importers import COMMANDS, DOCUMENTS, PLACED, TOOLS, Text, import_command, import_document


class _Pasted(click.Command):
    """A command whose words may be another tool's, where -h alone asks for help."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        ours = args.index("--") if "--" in args else len(args)
        return super().parse_args(ctx, [*("--help" if word == "-h" else word for word in args[:ours]), *args[ours:]])


@click.command(
    "import",
    cls=_Pasted,
    epilog=examples(
        "pushprune policy import --from harbor policy.json",
        "pushprune policy import --from deckschrubber -- -latest 10",
    ),
    # No short options and no -h: -month and the like are the other tool's, and reach it as they were written.
    context_settings={"ignore_unknown_options": True, "help_option_names": ["--help"]},
)
@click.option(
    "--from",
    "tool",
    metavar="TOOL",
    type=click.Choice(TOOLS, case_sensitive=False),
    required=True,
    help=f"The tool that the policy is from: {', '.join(TOOLS)}.",
)
@click.option(
    "--within",
    metavar="NAME",
    help="The repository or project of a policy that does not name one; '' is everywhere.",
)
@click.argument("given", nargs=-1, type=click.UNPROCESSED, metavar="FILE | - | FLAGS...")
def import_policy(tool: str, within: str | None, given: tuple[str, ...]) -> None:
    """Translate the policy of another tool and print it, with a comment where the meaning differs.

    For deckschrubber, registry-cli and `acr purge` give the flags, or a whole command line, after --. For the others
    give a FILE, or - for standard input.
    """
    if within is not None and tool not in PLACED:
        raise click.UsageError(f"--within is for {', '.join(PLACED)}; the others say which repositories they mean")
    words = given if tool in COMMANDS else ()
    text = _text(tool, given)
    if text is not None and tool in COMMANDS and not (tool in DOCUMENTS and text.content.lstrip()[:1] in ("{", "[")):
        words, text = _words(text), None
    made = import_command(tool, words, within) if text is None else import_document(tool, text, within)
    _check(made.values)
    click.echo(made.text, nl=False)


def _check(values: dict[str, Any]) -> None:
    """Raise ConfigurationError for values that `policy check` would reject, so that no such policy is printed."""
    try:
        Policy.model_validate(values)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        raise ConfigurationError(f"a policy cannot express this: {first['msg']}") from error


def _text(tool: str, given: tuple[str, ...]) -> Text | None:
    """Return the text that the only argument names or contains; None if the arguments are flags themselves."""
    if tool not in COMMANDS and len(given) != 1:
        raise click.UsageError(f"name the one FILE that holds the policy of {tool}, or - for standard input")
    if len(given) != 1 or (given[0].startswith("-") and given[0] != "-"):
        return None
    if given[0] == "-":
        # One byte more than the limit proves that the input is too large, without reading all of it.
        return Text("standard input", decoded(sys.stdin.buffer.read(LIMIT_BYTES + 1), "standard input"))
    if tool in COMMANDS and any(letter.isspace() for letter in given[0]) and not Path(given[0]).exists():
        return Text("the command line", given[0])
    return Text(given[0], read_text(Path(given[0])))


def _words(text: Text) -> tuple[str, ...]:
    """Return the words of a command line, split as a shell does."""
    try:
        return tuple(shlex.split(text.content.replace("\\\r\n", " ").replace("\\\n", " ")))
    except ValueError as error:
        raise ConfigurationError(f"{text.name}: this is no command line: {str(error).lower()}") from error
