"""`pushprune policy edit`: edit the policy in force, see the effect, and put it in force."""

import os
import secrets
import shutil
import sys
from pathlib import Path

import click

from service.cli.command import examples
from service.cli.connect import connect, connection_options
from service.cli.policy_diff import compared, show_effect
from service.cli.policy_file import faults_of, load_policy_file
from service.domain.errors import ConfigurationError, PushpruneError
from service.domain.policy.disabling import disabled_rules
from service.local.up import KEEP_LAST

_WRITTEN_BY_UP = KEEP_LAST.partition("{count}")[0]


@click.command(epilog=examples("pushprune policy edit", "pushprune policy edit --config pushprune.yaml"))
@connection_options
@click.option("--yes", is_flag=True, help="Do not ask.")
def edit(config: Path | None, data: Path | None, yes: bool) -> None:
    """Edit the policy in force, and show what the new one would delete that is kept today.

    Opens $EDITOR. The file is replaced only if the new policy is valid and you agree.
    """
    if not yes and not sys.stdin.isatty():
        raise ConfigurationError("not a terminal: add --yes to put the edited policy in force without a question")
    wiring = connect(config, data)
    if wiring.policies.file is None:
        raise ConfigurationError("no file holds a policy: write one, and name it in the settings as `policy: FILE`")
    edited = EditedPolicy(wiring.policies.file.resolve())
    try:
        if not edited.ask_user():
            click.echo("nothing was changed")
            return
        tried = load_policy_file(edited.draft)
        for disabled in disabled_rules(tried):
            click.echo(f"pushprune: warning: {disabled.sentence}", err=True)
        show_effect(compared(wiring.verdicts, wiring.inventory.names(), tried), tried)
        if not yes:
            click.confirm(f"put it in force in {edited.file}?", abort=True)
        edited.replace()
    except (PushpruneError, click.Abort):
        # The text may be long work: no refusal and no change of mind may lose it.
        if edited.draft.exists():
            click.echo(f"pushprune: your text is kept in {edited.draft}", err=True)
        raise
    click.echo(f"in force: {edited.file}; every process reads it within a second")


class EditedPolicy:
    """A policy file, or the configuration that holds the policy, and the user's draft of it."""

    def __init__(self, file: Path) -> None:
        self.file = file
        # Beside the file, as a configuration names other files relative to itself, and a rename must not cross disks.
        self.draft = file.with_name(f".{file.stem}.{secrets.token_hex(4)}{file.suffix}")
        self._before = self._read()

    def ask_user(self) -> bool:
        """Open the editor until the draft is valid. Returns False if the user changed nothing.

        Raises:
            ConfigurationError: the draft is invalid, and cannot be edited again.
        """
        if self._before.startswith(_WRITTEN_BY_UP):
            note = "a restart of `pushprune up --keep-last` writes this file again: use a policy of your own (--config)"
            click.echo(f"pushprune: note: {note}", err=True)
        text: str | None = self._before
        while True:
            text = click.edit(text, extension=self.file.suffix or ".yaml")
            if text is None or text == self._before:
                self.draft.unlink(missing_ok=True)
                return False
            self._write(text)
            faults = faults_of(self.draft)
            if not faults:
                return True
            for fault in faults:
                click.echo(f"pushprune: {fault.replace(str(self.draft), str(self.file))}", err=True)
            if not sys.stdin.isatty() or not click.confirm("edit it again?", default=True):
                raise ConfigurationError("the edited policy is not valid; nothing was changed")

    def replace(self) -> None:
        """Replace the file by the draft at once, with the same permissions.

        Raises:
            ConfigurationError: the file changed meanwhile, or cannot be replaced.
        """
        if self._read() != self._before:
            raise ConfigurationError(f"{self.file} was changed by another program meanwhile: edit it again")
        try:
            shutil.copymode(self.file, self.draft)
            status = self.file.stat()
            if (status.st_uid, status.st_gid) != (os.geteuid(), os.getegid()):
                os.chown(self.draft, status.st_uid, status.st_gid)
            self.draft.replace(self.file)
        except OSError as error:
            raise ConfigurationError(f"{self.file} cannot be replaced: {error.strerror}") from error

    def _read(self) -> str:
        try:
            return self.file.read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError) as error:
            raise ConfigurationError(f"{self.file} cannot be read: {error}") from error

    def _write(self, text: str) -> None:
        try:
            # Only the owner may read the draft: a configuration may hold secrets.
            draft = os.open(self.draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
            with os.fdopen(draft, "w", encoding="utf-8") as stream:
                stream.write(text)
                stream.flush()
                os.fsync(stream.fileno())
        except OSError as error:
            raise ConfigurationError(f"{self.draft.parent} cannot hold a draft: {error.strerror}") from error
