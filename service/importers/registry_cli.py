"""registry-cli's command line (github.com/andrey-pohilko/registry-cli, registry.py)."""

import argparse
from collections.abc import Iterator, Sequence
from typing import NoReturn

from service.documents.reader import shown
from service.importers.flags import naming, parse_count, without_program
from service.importers.pattern import named, searched_in_python
from service.importers.period import HOUR_S, bounded
from service.importers.translation import ImportedRule, NotImportable, Translation, imported_rule, keep_of, translation

_PROGRAMS = ("registry.py", "registry-cli")
_LISTS = ("--images-like", "--keep-tags", "--tags-like", "--keep-tags-like")
_HOURS = ("--delete-by-hours", "--keep-by-hours")
_ELSEWHERE_VALUED = ("--digest-method", "--auth-method")
_ELSEWHERE = ("--debug", "--no-validate-ssl", "--layers")

_BY_NUMBER = (
    "differs: registry-cli sorts the numbers inside names by value (v9 before v10), `order: name` letter by letter: so"
    " there are two rules, by name and by version (without one: by push), and a tag is kept if either keeps it."
)

_ANY_TAG = "differs: --delete-by-hours ignores --tags-like and deletes any old tag; here only those tags are deleted."
_NONE_LEFT = "with --num 0 registry-cli deletes nothing, and neither does this rule."
_CREATED = "differs: for an image without a creation date, the time of its push counts."


class _Parser(argparse.ArgumentParser):
    """A parser for the flags of registry.py. It uses argparse, as registry.py does, to read them in the same way."""

    def error(self, message: str) -> NoReturn:
        reason, colon, given = message.partition(": ")
        raise NotImportable(f"this is no command line of registry-cli: {reason}{colon}{shown(given)}")


def read_command(words: Sequence[str], _place: str | None) -> Translation:
    """Translate the flags into rules.

    Raises:
        NotImportable: a flag is not understood; the message names it.
    """
    rest = without_program(words, _PROGRAMS)
    if not rest:
        raise NotImportable("no flag was given; give registry-cli's flags, such as --delete --num 10")
    given = _parser().parse_args(rest)
    repos = _repositories(given)
    rules = tuple(_rules(given, repos)) if repos is not None else ()
    return translation("registry-cli", rules, _remarks(given, bool(rules)), dry_run=given.dry_run)


def _parser() -> _Parser:
    parser = _Parser(prog="registry.py", add_help=False)
    parser.add_argument("-l", "--login")
    parser.add_argument("-r", "--host")
    parser.add_argument("-w", "--read-password", action="store_true")
    parser.add_argument("-d", "--delete", action="store_true")
    parser.add_argument("-n", "--num", default="10")
    parser.add_argument("-i", "--image", nargs="+")
    for name in _LISTS:
        parser.add_argument(name, nargs="+", default=[])
    for name in (*_HOURS, *_ELSEWHERE_VALUED):
        parser.add_argument(name)
    for name in (*_ELSEWHERE, "--delete-all", "--dry-run", "--order-by-date"):
        parser.add_argument(name, action="store_true")
    return parser


def _repositories(given: argparse.Namespace) -> tuple[str, ...] | None:
    """Return the patterns of the repositories; None if the command line selects single tags only."""
    if given.image is not None:
        return tuple(named(image) for image in given.image if ":" not in image) or None
    return tuple(_searched(regex, "--images-like") for regex in given.images_like)


def _rules(given: argparse.Namespace, repos: tuple[str, ...]) -> Iterator[ImportedRule]:
    kept = [named(tag) for tag in given.keep_tags]
    kept += [_searched(regex, "--keep-tags-like") for regex in given.keep_tags_like]
    tags = [_searched(regex, "--tags-like") for regex in given.tags_like]
    older_s = _hours(given.delete_by_hours, "--delete-by-hours")
    newer_s = _hours(given.keep_by_hours, "--keep-by-hours") or 0
    if kept and (given.delete or given.delete_all or older_s is not None):
        yield imported_rule("kept", repos=repos, tags=kept, keep="always")
    if given.delete or given.delete_all:
        yield from _chosen(given, repos, tags, newer_s)
    elif older_s is not None:
        keep = keep_of(pushed_within=max(older_s, newer_s))
        notes = (_age("--delete-by-hours"), *((_ANY_TAG,) if tags else ()))
        yield imported_rule("by age", repos=repos, tags=tags, keep=keep, notes=notes)


def _chosen(
    given: argparse.Namespace, repos: tuple[str, ...], tags: Sequence[str], newer_s: int
) -> Iterator[ImportedRule]:
    # These rules include what --delete-by-hours does to the same tags.
    last = 0 if given.delete_all else parse_count(given.num, "--num")
    keep = keep_of(last, pushed_within=newer_s)
    notes = [_age("--keep-by-hours")] if newer_s else []
    notes += [_ANY_TAG] if tags and given.delete_by_hours is not None else []
    if given.delete_all:
        yield imported_rule("all", repos=repos, tags=tags, keep=keep, notes=notes)
    elif not last:
        yield imported_rule("last", repos=repos, tags=tags, keep="always", notes=(_NONE_LEFT,))
    elif given.order_by_date:
        yield imported_rule("last", repos=repos, tags=tags, order="created", keep=keep, notes=(_CREATED, *notes))
    else:
        yield imported_rule("by name", repos=repos, tags=tags, order="name", keep=keep, notes=(_BY_NUMBER, *notes))
        yield imported_rule("by version", repos=repos, tags=tags, order="semver", keep=keep)


def _searched(regex: str, flag: str) -> str:
    with naming(flag):
        return searched_in_python(regex)


def _hours(value: str | None, flag: str) -> int | None:
    return None if value is None else bounded(parse_count(value, flag) * HOUR_S, f"{flag} {value}")


def _age(flag: str) -> str:
    return f"differs: {flag} counts from the image's creation, pushprune from its last push."


def _remarks(given: argparse.Namespace, deletes: bool) -> Iterator[str]:
    if not deletes:
        yield "it deletes nothing: no --delete, --delete-all or --delete-by-hours, or no repository is selected."
    if given.images_like and given.image is not None:
        yield "no equivalent: --images-like, which registry-cli ignores if there is --image."
    for image in given.image or ():
        if ":" in image:
            yield f"no equivalent: {image} names one tag, and a policy selects many: delete it with `pushprune rm`."
    names = {"login": "-l", "host": "-r", "read_password": "-w"}
    names |= {flag[2:].replace("-", "_"): flag for flag in (*_ELSEWHERE_VALUED, *_ELSEWHERE)}
    flags = [flag for name, flag in names.items() if getattr(given, name)]
    if flags:
        yield f"no equivalent: {', '.join(flags)}: no part of a policy; see `registry:` in the configuration."
