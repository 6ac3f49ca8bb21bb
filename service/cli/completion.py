"""`pushprune completion SHELL`: completion of verbs, options, repositories and tags in a shell."""

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import click
from click.shell_completion import (
    BashComplete,
    CompletionItem,
    FishComplete,
    ShellComplete,
    ZshComplete,
    add_completion_class,
    split_arg_string,
)

from service.cli.command import examples
from service.cli.main import COMPLETE
from service.domain.errors import PushpruneError

_REPOSITORY = frozenset({"repos", "prune", "trash", "reconcile"})
_TAG = frozenset({"tags", "history", "explain", "rm", "restore", "protect"})
_TAG_ONLY = frozenset({"rm", "restore", "protect"})

# Bash takes REPO:TAG for three words, and replaces only what follows the last colon.
_BASH = """\
%(complete_func)s() {
    local line="${COMP_LINE:0:COMP_POINT}" before="" type value
    local current="${line##* }"
    [[ $current == *:* && $COMP_WORDBREAKS == *:* ]] && before="${current%%:*}:"
    COMPREPLY=()
    while IFS=, read -r type value; do
        case $type in
            dir) compopt -o dirnames ;;
            file) compopt -o default ;;
            plain) COMPREPLY+=("${value#"$before"}") ;;
        esac
    done < <(COMP_LINE="$line" %(complete_var)s=bash_complete %(prog_name)s 2>/dev/null)
    if [[ ${#COMPREPLY[@]} -eq 1 && ${COMPREPLY[0]} == *: ]]; then compopt -o nospace; fi
}
complete -o nosort -F %(complete_func)s %(prog_name)s
"""


class _Named(ShellComplete):
    """Completion of repositories and tags without importing the verb, which takes longer; click completes the rest."""

    def get_completions(self, args: list[str], incomplete: str) -> list[CompletionItem[Any]]:
        """Return what may follow. The value of an option is the work of click."""
        verb = args[0] if args else ""
        names = verb in _REPOSITORY | _TAG and not incomplete.startswith("-")
        if names and not args[-1].startswith("-"):
            return _names(verb, args, incomplete)
        return super().get_completions(args, incomplete) or (_names(verb, args, incomplete) if names else [])


class _Bash(_Named, BashComplete):
    source_template = _BASH

    def get_completion_args(self) -> tuple[list[str], str]:
        """Return the words before the cursor, and the word at the cursor."""
        line = os.environ["COMP_LINE"]
        words = split_arg_string(line)[1:]
        return (words, "") if line.endswith(" ") or not words else (words[:-1], words[-1])


class _Zsh(_Named, ZshComplete):
    pass


class _Fish(_Named, FishComplete):
    pass


_SHELLS: dict[str, type[ShellComplete]] = {"bash": _Bash, "zsh": _Zsh, "fish": _Fish}


def register() -> None:
    """Let click complete by these classes."""
    for name, shell in _SHELLS.items():
        add_completion_class(shell, name)


@click.command(
    epilog=examples(
        "pushprune completion bash > ~/.local/share/bash-completion/completions/pushprune",
        "pushprune completion zsh > ~/.zfunc/_pushprune",
        "pushprune completion fish > ~/.config/fish/completions/pushprune.fish",
    ),
)
@click.argument("shell", type=click.Choice(tuple(_SHELLS)))
@click.pass_context
def completion(context: click.Context, shell: str) -> None:
    """Print the script that lets a shell complete verbs, options, repositories and tags.

    To try it in this terminal: source <(pushprune completion bash)
    """
    complete = _SHELLS[shell](context.find_root().command, {}, "pushprune", COMPLETE)
    click.echo(complete.source(), nl=False)


def _names(verb: str, args: Sequence[str], incomplete: str) -> list[CompletionItem[Any]]:
    """Return the names that may follow; none if the running system is not found or does not answer."""
    try:
        return [CompletionItem(name) for name in _found(verb, args, incomplete)]
    # A message in the middle of a line that is being typed would only disturb.
    except (PushpruneError, OSError):
        return []


def _found(verb: str, args: Sequence[str], incomplete: str) -> list[str]:
    # Verbs and options are completed without these imports, which take most of the time.
    from service.local.environment import running_settings
    from service.reports.known_names import KnownNames

    settings = running_settings(_path(args, "--config"), _path(args, "--data"))
    if settings is None or any(word.startswith("--registry") for word in args):
        return []
    names = KnownNames(settings)
    repository, colon, tag = incomplete.partition(":")
    if colon and verb in _TAG:
        tags = names.deleted_tags if verb == "restore" else names.tags
        return [f"{repository}:{name}" for name in tags(repository, tag)]
    return [name + ":" if verb in _TAG_ONLY else name for name in names.repositories(incomplete)]


def _path(args: Sequence[str], option: str) -> Path | None:
    """Return the value of an option, given as `--option value` or `--option=value`."""
    for word, following in zip(args, (*args[1:], ""), strict=True):
        if word == option:
            return Path(following)
        if word.startswith(f"{option}="):
            return Path(word.partition("=")[2])
    return None
