"""`pushprune restore --registry URL --from DIR [REPO[:TAG]]`: undo deletions made without a service."""

from collections import Counter
from dataclasses import asdict
from pathlib import Path

import click

from service.cli.names import parse_listed, parse_wanted
from service.cli.output import line, show_document
from service.cli.registry import asked_registry
from service.cli.user import login_name
from service.domain.errors import ConfigurationError, NotRestorable
from service.domain.retention.selector import TagSelector
from service.local.environment import running_settings
from service.local.redis_server import is_up
from service.restore.from_folder import Outcome, RestoreFolder, Result
from service.settings import Settings, load_settings
from service.wiring import redis_url, restore_folder

_COUNT_AS_PUSHES = (
    "note: a pushprune service that watches this registry takes restored tags for new pushes, so its policy may delete "
    "other tags for them: give the settings of the service (--config or --data), or set dry_run in its policy until "
    "you have looked"
)


def restore_from(
    folder: Path, name: str | None, config: Path | None, data: Path | None, *, force: bool, as_document: bool
) -> None:
    """Restore everything in a folder, or only the named images, and print the result of each.

    Raises:
        NotRestorable: at least one image was not restored; its line was printed before.
    """
    results = []
    for result in _restorer(folder, config, data, force=force).restore(_wanted(name)):
        results.append(result)
        if not as_document:
            line(_outcome(result))
    if as_document:
        show_document([asdict(result) for result in results])
    counts = Counter(result.outcome for result in results)
    if not as_document:
        line(", ".join(f"{outcome}: {count}" for outcome, count in counts.items()))
    if counts[Outcome.REFUSED]:
        raise NotRestorable(f"{counts[Outcome.REFUSED]} of {len(results)} were not restored, as said above")


def _restorer(folder: Path, config: Path | None, data: Path | None, *, force: bool) -> RestoreFolder:
    """Return the object that restores, with a record if the running service watches this registry."""
    url = asked_registry()
    running = running_settings(config, data)
    is_watched = running is not None and url in (None, running.registry.url)
    if running is not None and is_watched and (data or load_settings(config).redis.url or _answers(running)):
        return restore_folder(running, folder, force=force, recorded_by=login_name())
    click.echo(_COUNT_AS_PUSHES, err=True)
    return restore_folder(load_settings(config, registry={"url": url}), folder, force=force)


def _answers(running: Settings) -> bool:
    """True if the Redis of the default data directory answers. The system of that directory may have ended long ago."""
    try:
        return is_up(redis_url(running))
    except ConfigurationError:
        # The port belongs to another Redis by now.
        return False


def _wanted(name: str | None) -> TagSelector | None:
    if name is None:
        return None
    if "@" in name:
        return parse_wanted(name)
    repository, tag = parse_listed(name)
    return TagSelector(repository, tag)


def _outcome(result: Result) -> str:
    name = f"{result.repository}:{result.tag}" if result.tag else f"{result.repository}@{result.digest}"
    return f"{result.outcome}: {name}" + (f": {result.reason}" if result.reason else "")
