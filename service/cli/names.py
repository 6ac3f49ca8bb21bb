"""Names on the command line: REPO, REPO:TAG and REPO@DIGEST; and periods, such as 7d."""

import click

from service.domain.errors import ConfigurationError
from service.domain.oci.names import is_digest, is_repository, is_tag
from service.domain.policy.units import parse_span
from service.domain.retention.selector import TagSelector, check_globs, is_glob


class UnclearName(ConfigurationError):
    """An argument names no repository, tag or digest."""


def parse_name(name: str) -> tuple[str, str]:
    """Return (repository, tag); the tag is "" for a repository alone. Raises UnclearName."""
    above, slash, last = name.rpartition("/")
    below, colon, tag = last.rpartition(":") if ":" in last else (last, "", "")
    repository = above + slash + below
    if not repository or (colon and not tag):
        raise UnclearName("a name is empty; write REPO or REPO:TAG, such as shop/api:v1")
    if ":" in above:
        _, _, rest = name.rpartition("://")[2].partition("/")
        raise UnclearName(f"name it without the registry's address: {rest}")
    if "@" in last:
        raise UnclearName("name a tag, not a digest: `pushprune search DIGEST` shows the tags of a digest")
    return repository, tag


def parse_repository(name: str) -> str:
    """Return the repository. Raises UnclearName, also for REPO:TAG."""
    repository, tag = parse_name(name)
    if tag:
        raise UnclearName(f"name a repository, not a tag: write {repository}")
    return repository


def parse_repositories(name: str) -> str:
    """Return a repository or a glob. Raises UnclearName, also for REPO:TAG and for a glob that can match nothing."""
    repository = parse_repository(name)
    if is_glob(repository):
        _check_globs(repository)
    elif not is_repository(repository):
        raise UnclearName(f"{repository[:80]!r} can be no repository: write one such as shop/api")
    return repository


def parse_tag(name: str) -> str:
    """Return the tag. Raises UnclearName for an impossible name."""
    if not is_tag(name):
        raise UnclearName(f"{name[:40]!r} can be no tag: write one such as v1")
    return name


def refuse_glob(name: str, instead: str) -> None:
    """Raise UnclearName for a glob. instead: the rest of the sentence, which says what to do."""
    if is_glob(name):
        raise UnclearName(f"{name} is a glob: {instead}")


def parse_wanted(name: str, kept_tags: tuple[str, ...] = ()) -> TagSelector:
    """Parse an argument of `pushprune rm`: REPO:TAG (globs or not) or REPO@DIGEST.

    Args:
        kept_tags: tags or globs not to delete. If given, `name` must be REPO, and means all its other tags.

    Raises:
        UnclearName: `name` has another form.
    """
    if kept_tags:
        _check_globs(*kept_tags, name)
        return TagSelector(parse_repository(name), exclude=kept_tags)
    repository, tag, digest = parse_reference(name)
    _check_globs(repository, tag or "x")
    if digest and is_glob(repository):
        raise UnclearName(f"a digest belongs to one repository: write REPO@{digest[:19]}…")
    return TagSelector(repository, tag or "", digest or "")


def parse_listed(name: str) -> tuple[str, str]:
    """Return (repository, tag) of REPO or REPO:TAG, each a name or a glob; the tag is "" for REPO."""
    repository, tag = parse_name(name)
    _check_globs(repository, tag or "x")
    return repository, tag


def _check_globs(*globs: str) -> None:
    try:
        check_globs(*globs)
    except ValueError as error:
        raise UnclearName(str(error)) from error


def parse_reference(name: str) -> tuple[str, str | None, str | None]:
    """Return (repository, tag, digest) of REPO:TAG or REPO@DIGEST; tag or digest is None. Raises UnclearName."""
    before, at, digest = name.partition("@")
    if not at:
        repository, tag = parse_name(name)
        if not tag:
            raise UnclearName(f"a tag or a digest is missing: write {repository}:TAG or {repository}@DIGEST")
        return repository, tag, None
    repository, tag = parse_name(before)
    if tag or not is_digest(digest):
        raise UnclearName(
            f"write {repository}:TAG, or {repository}@ and a digest as --json prints it, whole: sha256:ab12…"
        )
    return repository, None, digest


def span(context: click.Context, option: click.Parameter, value: str) -> int:
    """Return the seconds of an option such as `--for 7d`. Raises BadParameter."""
    try:
        return parse_span(value)
    except ValueError as error:
        raise click.BadParameter(str(error)) from error
