"""Azure: an `acr purge` command line (github.com/Azure/acr-cli), or a registry's retention policy as JSON."""

import re
import shlex
from collections.abc import Iterator, Sequence
from typing import Any

from service.documents.reader import shown
from service.importers.flags import Flags, naming, parse_flags, without_program
from service.importers.parts import PolicyEnvelope, checked
from service.importers.pattern import named, searched, whole
from service.importers.period import DAY_S, bounded, parse_period
from service.importers.translation import ImportedRule, NotImportable, Translation, imported_rule, keep_of, translation

_SHORT = {"f": "filter", "r": "registry", "u": "username", "p": "password", "c": "config"}
_POLICY = ("filter", "ago", "keep")
_ELSEWHERE = ("registry", "username", "password", "config", "concurrency", "repository-page-size",
              "filter-timeout-seconds")  # fmt: skip
_SWITCHES = ("untagged", "dry-run", "include-locked")
_REPOSITORY = re.compile(r"[a-z0-9]+([_/-]+[a-z0-9]+)*", re.ASCII)
_LOCKS = "no equivalent: locks; `acr purge` leaves locked tags alone, `protect: […]` does so here."
_UNLOCKED = "no equivalent: --include-locked; nothing is locked here."
_SHARED = "differs: a tag is kept while another kept tag points at the same image."


class _AcrRetention(PolicyEnvelope):
    """properties.policies.retentionPolicy of a registry, as `az acr config retention show` prints it."""

    days: int
    status: str = "enabled"


def read_command(words: Sequence[str], _place: str | None) -> Translation:
    """Translate each filter into a rule.

    Raises:
        NotImportable: a flag is not understood; the message names it.
    """
    rest = without_program(_purge(words), ("acr", "acr-cli", "purge"))
    flags = parse_flags(rest, (*_POLICY, *_ELSEWHERE), _SWITCHES, "--", _SHORT)
    if not flags.all("filter") or "ago" not in flags:
        raise NotImportable("`acr purge` needs --filter 'REPOSITORY:REGEX' and --ago DURATION")
    with naming("--ago"):
        ago_s = parse_period(flags.last("ago"))
    rules = tuple(_rules(flags, ago_s))
    given = [f"--{name}" for name in _ELSEWHERE if name in flags]
    notes = [_SHARED, _UNLOCKED if "include-locked" in flags else _LOCKS]
    if given:
        notes.append(f"no equivalent: {', '.join(given)}: no part of a policy.")
    return translation("acr purge", rules, notes, dry_run=flags.is_on("dry-run"))


def read_document(document: Any, _place: str | None) -> Translation:
    """Translate the retention policy of a whole registry. It is about untagged manifests only."""
    for key in ("properties", "policies", "retentionPolicy"):
        document = document.get(key, document) if isinstance(document, dict) else document
    retention = checked(_AcrRetention, document)
    if not 0 <= retention.days <= 365:
        raise NotImportable("days must be 0 to 365", ("days",))
    if retention.status.lower() != "enabled":
        return translation("ACR", (), [f"its status is {retention.status}: it deletes nothing."])
    period_s = bounded(retention.days * DAY_S, "days")
    return translation("ACR", [imported_rule("untagged", keep="always", untagged=period_s)])


def _rules(flags: Flags, ago_s: int) -> Iterator[ImportedRule]:
    keep = keep_of(flags.count("keep"))
    filters: dict[str, list[str]] = {}
    for written in flags.all("filter"):
        repository, tag = _split(written)
        filters.setdefault(repository, []).append(tag)
    overlap = "differs: a repository that several filters match keeps --keep tags of each of them."
    untagged = ago_s if flags.is_on("untagged") else None
    for repository, tags in filters.items():
        yield imported_rule(
            repository, repos=(_repository(repository),), tags=[searched(tag) for tag in tags], older_than=ago_s,
            count="tags", keep=keep, untagged=untagged, final=untagged is not None,
            notes=(overlap,) if len(filters) > 1 and flags.count("keep") else (),
        )  # fmt: skip
    if untagged is not None:
        repos = [_repository(repository) for repository in filters]
        yield imported_rule("untagged", repos=repos, keep="always", untagged=untagged)


def _purge(words: Sequence[str]) -> Sequence[str]:
    """Return the words of `acr purge`, also from inside `az acr run --cmd "acr purge …"` or `az acr task create`."""
    if list(words[:1]) != ["az"]:
        return words
    given = " ".join(words[words.index("--cmd") + 1 :][:1]) if "--cmd" in words else ""
    given = given or next((word.removeprefix("--cmd=") for word in words if word.startswith("--cmd=")), "")
    try:
        inside = shlex.split(given)
    except ValueError as error:
        raise NotImportable(f"--cmd: this is no command line: {str(error).lower()}") from error
    if "purge" not in inside:
        raise NotImportable("paste the command in --cmd, such as acr purge --filter 'shop/api:.*' --ago 30d")
    return inside


def _repository(regex: str) -> str:
    # acr anchors the expression of the repository at both ends.
    return named(regex) if _REPOSITORY.fullmatch(regex) else whole(regex)


def _split(written: str) -> tuple[str, str]:
    # The separator is the one colon that is part of neither (?: nor [[:alpha:]].
    colons = [
        at
        for at, letter in enumerate(written)
        if letter == ":"
        and not re.search(r"\(\?[imsU-]*$|\[\^?$", written[:at])
        and not written.startswith("]", at + 1)
    ]
    if len(colons) != 1 or not written[: colons[0]] or not written[colons[0] + 1 :]:
        raise NotImportable(f"--filter {shown(written)!r}: write it as REPOSITORY:REGEX, with one colon between")
    with naming("--filter"):
        searched(written[: colons[0]])
        searched(written[colons[0] + 1 :])
    return written[: colons[0]], written[colons[0] + 1 :]
