"""zot's `storage.retention`: inside a whole zot configuration, or alone.

The first policy that matches a repository decides, and in it the first keepTags entry that matches a tag. A tag that no
entry matches is deleted. https://github.com/project-zot/zot, pkg/retention/retention.go
"""

from collections.abc import Iterator, Sequence
from itertools import chain
from typing import Any

from pydantic import AliasChoices, Field

from service.documents.reader import Location
from service.importers.flags import MOST
from service.importers.parts import MOST_RULES, Globs, Period, PolicyPart, Regex, checked
from service.importers.pattern import doublestar, negated
from service.importers.period import DAY_S
from service.importers.translation import ImportedRule, NotImportable, Translation, imported_rule, keep_of, translation

_SHARED = "differs: a tag is kept while another kept tag points at the same image."
_UNTAGGED = "differs: the age of an untagged image counts from the loss of its last tag."
_PULLS = "differs: a push counts as a pull in `last_pulled`; in zot only a pull does."
_ELSEWHERE = "differs: where no policy matches, zot still deletes untagged manifests; here they are kept."


class _KeepTags(PolicyPart):
    patterns: tuple[Regex, ...] | None = None
    most_recently_pushed_count: int = Field(default=0, ge=0, le=MOST)
    most_recently_pulled_count: int = Field(default=0, ge=0, le=MOST)
    pushed_within: Period | None = None
    pulled_within: Period | None = None

    @property
    def keep(self) -> Any:
        counts = self.most_recently_pushed_count, self.most_recently_pulled_count
        if not any(counts) and self.pushed_within is None and self.pulled_within is None:
            return "always"
        return keep_of(
            counts[0],
            last_pulled=counts[1],
            pushed_within=self.pushed_within or 0,
            pulled_within=self.pulled_within or 0,
        )


class _ZotPolicy(PolicyPart):
    repositories: tuple[Globs, ...] = Field(default=(), validation_alias=AliasChoices("repositories", "repoNames"))
    delete_referrers: bool = False
    delete_untagged: bool | None = True
    keep_tags: tuple[_KeepTags, ...] | None = None


class _ZotRetention(PolicyPart):
    dry_run: bool = False
    delay: Period = DAY_S
    policies: tuple[_ZotPolicy, ...] | None = Field(default=None, max_length=MOST_RULES)


def read_document(document: Any, _place: str | None) -> Translation:
    """Translate the policies, each without the repositories of earlier policies."""
    values, at = _retention(document)
    retention = checked(_ZotRetention, values, at)
    storage = _storage(document)
    apart = tuple(_apart(storage))
    taken: tuple[str, ...] = tuple(pattern for route in apart for pattern in (route, f"{route}/**"))
    rules: list[ImportedRule] = []
    for policy in retention.policies or ():
        own = _repositories(policy)
        if own:
            rules += _rules(policy, (*own, *negated(taken)), retention.delay)
        taken = (*taken, *own)
    collects = storage.get("gc") is not False
    notes = (_SHARED, _ELSEWHERE, *_remarks(apart, collects))
    return translation("zot", rules, notes, dry_run=retention.dry_run or not collects)


def _retention(values: Any) -> tuple[Any, Location]:
    at: Location = ()
    for key in ("storage", "retention"):
        if isinstance(values, dict) and key in values:
            values, at = values[key], (*at, key)
    if not isinstance(values, dict) or (at[-1:] != ("retention",) and "policies" not in values):
        raise NotImportable("there is no storage.retention in it, and it has no `policies` itself", at)
    return values, at


def _storage(values: Any) -> dict[str, Any]:
    storage = values.get("storage") if isinstance(values, dict) else None
    return storage if isinstance(storage, dict) else {}


def _apart(storage: dict[str, Any]) -> Iterator[str]:
    """Yield the repositories of `subPaths`, which have their own storage and their own retention."""
    routes = storage.get("subPaths")
    for route in routes if isinstance(routes, dict) else ():
        yield from doublestar(route.strip("/")) if route.strip("/") else ()


def _repositories(policy: _ZotPolicy) -> tuple[str, ...]:
    patterns: list[str] = []
    for glob in chain.from_iterable(policy.repositories):
        # In zot, a/** also matches a itself.
        patterns += [glob, glob.removesuffix("/**")] if glob.endswith("/**") and glob != "/**" else [glob]
    return tuple(dict.fromkeys(patterns))


def _rules(policy: _ZotPolicy, repos: Sequence[str], delay_s: int) -> Iterator[ImportedRule]:
    title = " ".join(chain.from_iterable(policy.repositories))
    untagged = None if policy.delete_untagged is False else delay_s
    referrers = None if policy.delete_referrers else "keep"
    notes = () if untagged is None else (_UNTAGGED,)
    for entry in policy.keep_tags or ():
        tags = entry.patterns or ()
        yield imported_rule(
            f"{title}: {' '.join(tag.removeprefix('re:') for tag in tags) or 'the rest'}", repos=repos, tags=tags,
            count="tags", keep=entry.keep, untagged=untagged, referrers=referrers, final=True,
            notes=(_PULLS,) if entry.most_recently_pulled_count else (),
        )  # fmt: skip
    keep = "none" if policy.keep_tags else "always"
    if policy.keep_tags or untagged is not None:
        yield imported_rule(
            f"{title}: none of these" if policy.keep_tags else f"{title}: untagged",
            repos=repos, keep=keep, untagged=untagged, referrers=referrers, notes=notes,
        )  # fmt: skip


def _remarks(apart: Sequence[str], collects: bool) -> Iterator[str]:
    if apart:
        yield f"no equivalent: storage.subPaths ({', '.join(apart)}); pushprune does not touch these repositories."
    if not collects:
        yield "differs: `gc` is off in zot, so that it deletes nothing; here `dry_run` has the same effect."
