"""`pushprune prune --registry URL`: what a policy takes from a registry that nobody listens to, and taking it."""

import sys
from collections.abc import Callable, Sequence
from dataclasses import asdict
from pathlib import Path

import click

from service.cli.once import look_once
from service.cli.policy_file import load_policy_file
from service.cli.reach import meant, show_json
from service.cli.registry import NO_UNDO
from service.cli.show import line
from service.domain.errors import ConfigurationError, RegistryRefused
from service.domain.policy.model import Policy
from service.domain.retention.preview import Preview
from service.settings import load_settings


def policy_for_once(keep_last: int | None, file: Path | None, config: Path | None) -> Policy:
    """The policy that was asked for. Raises ConfigurationError where there is none, or two.

    Its first plan waits for no approval: the command itself asks before it deletes.
    """
    if keep_last and file:
        raise click.UsageError("--keep-last is a policy, and --policy names another: give one of them")
    if keep_last:
        rule = {"name": f"last-{keep_last}", "keep": {"last": keep_last}}
        return Policy.model_validate({"protect": ["latest"], "first_plan": "apply", "rules": [rule]})
    chosen = file or _configured(config)
    if chosen is None:
        raise ConfigurationError("nothing says what to keep: give --keep-last N, or --policy FILE")
    policy = load_policy_file(chosen) if isinstance(chosen, Path) else chosen
    return policy.model_copy(update={"first_plan": "apply"})


def prune_once(
    url: str, names: Sequence[str], config: Path | None, policy: Policy, *, dry_run: bool, yes: bool, as_json: bool,
    show: Callable[[Sequence[Preview], bool], None],
) -> None:  # fmt: skip
    """Shows what goes, and deletes it unless it is a dry run: once somebody has said so. show: prints previews."""
    deletes = not dry_run and not policy.dry_run
    if deletes and not yes and not sys.stdin.isatty():
        raise click.UsageError("nobody is there to say yes: add --yes to delete, or --dry-run to look")
    system = look_once(url, config, policy, names)
    names = meant(system.wiring, names) or system.wiring.history.repositories()
    previews = system.wiring.outlook.preview(names, policy)
    going = sum(len(preview.going) for preview in previews)
    if not deletes or not going:
        show(previews, as_json)
        return
    if not as_json:
        show(previews, False)
        line(NO_UNDO)
    if not yes:
        click.confirm("delete it?", abort=True, err=True)
    system.obey(policy, dry_run=False)
    system.rest()
    counters = system.wiring.outbox.counters()
    gone = {name: counters.get(name, 0) for name in ("deleted", "untagged")}
    if as_json:
        show_json({"previews": [asdict(preview) for preview in previews], **gone})
    else:
        line(f"deleted: {gone['deleted']} images, and {gone['untagged']} tags of images that stay")
    if system.only_tags:
        raise RegistryRefused(system.only_tags)


def _configured(config: Path | None) -> Policy | Path | None:
    return load_settings(config).policy
