"""Examples in the help of every verb, and a suggestion for a verb that does not exist."""

from difflib import get_close_matches

import click

# Words of other tools → the verb that does the same here.
_SYNONYMS = {
    "ls": "tags", "list": "repos", "images": "tags", "delete": "rm", "remove": "rm", "undo": "restore",
    "undelete": "restore", "log": "history", "logs": "history", "why": "explain", "sync": "reconcile",
    "collect": "gc", "garbage-collect": "gc", "login": "sign-in", "status": "doctor", "check": "doctor",
}  # fmt: skip


def examples(*commands: str) -> str:
    """Return the epilog of a verb's help: an Examples section with these command lines, which a test parses."""
    # \b keeps the lines as they are written.
    return "\n".join(("\b", "Examples:", *(f"  {command}" for command in commands)))


class VerbGroup(click.Group):
    """A group of verbs that suggests the most similar verb for an unknown word."""

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Return the command that the first argument names. Raises UsageError, with a suggestion, if there is none."""
        word = args[0]
        if not word.startswith("-") and self.get_command(ctx, word) is None:
            raise click.UsageError(f"No such command {word!r}.{self._suggestion(ctx, word)}", ctx)
        return super().resolve_command(ctx, args)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the list of commands with the first sentence of each, however long it is."""
        commands = [(name, self.get_command(ctx, name)) for name in self.list_commands(ctx)]
        with formatter.section("Commands"):
            formatter.write_dl([(name, command.get_short_help_str(200)) for name, command in commands if command])

    def _suggestion(self, ctx: click.Context, word: str) -> str:
        verbs = self.list_commands(ctx)
        near = [_SYNONYMS[word]] if _SYNONYMS.get(word) in verbs else get_close_matches(word, verbs, 1)
        return f" Did you mean {near[0]}?" if near else ""


class RegistryAddress(click.ParamType[str]):
    """The URL of a registry. An address without its scheme, as clients name it, is refused with what to type."""

    name = "URL"

    def convert(self, value: str, param: click.Parameter | None, ctx: click.Context | None) -> str:
        """Return the URL; its other rules are those of `registry.url`."""
        if "://" not in value:
            self.fail(f"write http://{value[:200]} or https://{value[:200]}", param, ctx)
        return value
