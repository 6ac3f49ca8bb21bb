"""The command `pushprune`: find the verb, run it, and turn every failure into one sentence and an exit code."""

import errno
import io
import os
import sys
from collections.abc import Sequence
from importlib import import_module
from keyword import iskeyword

import click

from service import __version__
from service.cli.command import VerbGroup, examples
from service.domain.errors import (
    ConfigurationError,
    NoSuchName,
    PushpruneError,
    SchemaTooNew,
    StoreBusy,
    StoreRefuses,
    StoreUnavailable,
)

FAILED, MISUSED = 1, 2
# A shell sets this variable to ask for completions.
COMPLETE = "_PUSHPRUNE_COMPLETE"

# verb: (its module, its line in `pushprune --help`).
# A module is imported only when its verb is used: importing all of them would slow every command down.
VERBS = {
    "up": ("service.cli.up", "Run everything in this terminal: web, worker and an embedded Redis."),
    "demo": ("service.cli.demo", "Show pushprune at work on a registry of its own."),
    "web": ("service.web.commands", "Run the web process: notifications, the API and the dashboard."),
    "worker": ("service.cli.worker", "Run a worker, which plans, deletes, compares and collects garbage."),
    "gate": ("service.web.commands", "Run the gate process, which the proxy asks before a write (gc.gate: proxy)."),
    "doctor": ("service.cli.doctor", "Check the whole system and print a fix for every problem."),
    "sign-in": ("service.cli.sign_in", "Print a one-time link to the dashboard."),
    "usage": ("service.cli.usage", "Show the storage that images use, and its change."),
    "repos": ("service.cli.repos", "List the repositories."),
    "tags": ("service.cli.tags", "List the tags of a repository with verdict and reason."),
    "search": ("service.cli.search", "Search repositories, tags, digests and users."),
    "history": ("service.cli.history", "Show what happened to a repository or a tag, and why."),
    "explain": ("service.cli.explain", "Show why a tag is kept or deleted, and when it could be deleted."),
    "prune": ("service.cli.prune", "Show what would be deleted, approve a plan, or plan now."),
    "rm": ("service.cli.rm", "Delete tags, or manifests by their digest, whatever the policy says."),
    "protect": ("service.cli.protect", "Protect images from every deletion for a while."),
    "trash": ("service.cli.trash", "List deleted images that can still be restored."),
    "restore": ("service.cli.restore", "Restore deleted images."),
    "reconcile": ("service.cli.reconcile", "Compare the history with the registry, and show the result."),
    "gc": ("service.cli.gc", "Show the last garbage collections, or run one."),
    "export": ("service.cli.backup", "Write a backup of all that Redis holds to a file."),
    "import": ("service.cli.backup", "Check a backup, or replace all that Redis holds by it."),
    "completion": ("service.cli.completion", "Complete verbs, options, repositories and tags in a shell."),
    "config": ("service.cli.config", "Check or show the configuration, print its schema, or copy the examples."),
    "policy": (
        "service.cli.policy",
        "Edit the policy; check, compare or simulate one, or import one from another tool.",
    ),
}

# The sections of `pushprune --help`, each with its verbs.
_SECTIONS = {
    "Run": ("up", "demo", "web", "worker", "gate", "doctor", "sign-in"),
    "Look up": ("usage", "repos", "tags", "search", "history", "explain"),
    "Delete and restore": ("prune", "rm", "protect", "trash", "restore"),
    "Maintain": ("reconcile", "gc", "export", "import"),
    "Configure": ("config", "policy", "completion"),
}


class Verbs(VerbGroup):
    """The verbs, each in a file of its own that is imported only when the verb is used."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Return the names of all commands."""
        return list(VERBS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Import a command at its first use."""
        if cmd_name not in VERBS:
            return None
        # A verb may be a word that Python keeps for itself.
        name = cmd_name.replace("-", "_") + "_" * iskeyword(cmd_name)
        command: click.Command = getattr(import_module(VERBS[cmd_name][0]), name)
        return command

    def invoke(self, ctx: click.Context) -> object:
        """Run a verb. The command that lists the existing names gets the options with which the verb was called."""
        try:
            return super().invoke(ctx)
        except NoSuchName as error:
            # Imported here, because it would slow down every verb.
            from service.cli.registry import repeated_options

            error.options = repeated_options()
            raise

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the commands in sections, without importing them."""
        for title, verbs in _SECTIONS.items():
            with formatter.section(title):
                formatter.write_dl([(verb, VERBS[verb][1]) for verb in verbs])


@click.group(
    cls=Verbs,
    context_settings={"help_option_names": ["-h", "--help"]},
    epilog=examples("pushprune demo", "pushprune tags shop/api", "pushprune tags --help"),
)
@click.version_option(__version__, prog_name="pushprune")
def pushprune() -> None:
    """Delete old images from a private Docker registry, right after each push."""


def main(arguments: Sequence[str] | None = None) -> None:
    """Run one verb and exit: 0 done, 1 failed, 2 wrong usage or configuration."""
    if COMPLETE in os.environ:
        import_module("service.cli.completion").register()
    _prepare_output()
    try:
        code = pushprune.main(arguments, prog_name="pushprune", standalone_mode=False, color=_color())
    except click.ClickException as error:
        error.show()
        sys.exit(error.exit_code)
    # click turns Ctrl-C into Abort.
    except click.Abort:
        _fail("interrupted", FAILED)
    except ConfigurationError as error:
        _fail(str(error), MISUSED)
    except (SchemaTooNew, StoreBusy) as error:
        _fail(str(error), FAILED)
    except StoreRefuses as error:
        _fail(f"{error}; `pushprune doctor` shows the fix", FAILED)
    except StoreUnavailable as error:
        _fail(f"{error}: start Redis; `pushprune up` starts its own", FAILED)
    except PushpruneError as error:
        _fail(str(error), FAILED)
    except Exception as error:
        if os.environ.get("PUSHPRUNE_LOG") == "debug":
            raise
        if isinstance(error, OSError) and error.errno == errno.ENOSPC:
            _fail("no space is left on the disk that the output is written to", FAILED)
        _fail(f"unexpected {type(error).__name__}: {error} (PUSHPRUNE_LOG=debug shows where)", FAILED)
    sys.exit(code if isinstance(code, int) else 0)


def _prepare_output() -> None:
    """Print ? for a character that the terminal's encoding lacks, such as the … of a cut name in Latin-1."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="replace")


def _color() -> bool | None:
    """Return False if the user wants no colours (https://no-color.org), None to use them on a terminal."""
    return False if os.environ.get("NO_COLOR") or os.environ.get("TERM") == "dumb" else None


def _fail(sentence: str, code: int) -> None:
    click.echo(f"pushprune: {' '.join(sentence.split())}", err=True)
    sys.exit(code)
