"""Google Artifact Registry's cleanup policies: the policy file, or a repository as `gcloud … describe` prints it.

A version that a Keep policy matches is kept even if a Delete policy matches it. Keep policies alone delete nothing.
https://cloud.google.com/artifact-registry/docs/repositories/cleanup-policy
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Annotated, Any, Literal, Self

from pydantic import BeforeValidator, model_validator

from service.importers.parts import Count, Period, PolicyEnvelope, PolicyPart, checked, converted, listed
from service.importers.pattern import inside, repositories_starting, starting
from service.importers.period import DAY_S
from service.importers.translation import ImportedRule, NotImportable, Translation, imported_rule, keep_of, translation

_PLACE = "cleanup policies belong to one repository: run this with --within PROJECT/REPOSITORY, or name it below."
_AGE = "differs: Google counts the age from the upload of a version, pushprune from the last push of a tag."
_ALONE = "a Keep policy alone deletes nothing, there and here."
_UNTAGGED = "differs: the age of an untagged image counts from the loss of its last tag."


def _verb(action: Any) -> Any:
    verb = action.get("type") if isinstance(action, dict) else action
    return verb.lower() if isinstance(verb, str) else verb


_TagState = Annotated[
    Literal["any", "tagged", "untagged"], converted(lambda text: text.lower().removeprefix("tag_state_"))
]


class _GoogleCondition(PolicyPart):
    tag_state: _TagState | None = None
    tag_prefixes: tuple[str, ...] | None = None
    version_name_prefixes: tuple[str, ...] | None = None
    package_name_prefixes: tuple[str, ...] | None = None
    older_than: Period | None = None
    newer_than: Period | None = None

    @property
    def state(self) -> str:
        """The state of the tag: any, tagged or untagged."""
        # A prefix of a tag can only match a version with a tag.
        return "tagged" if self.tag_prefixes else self.tag_state or "any"

    @property
    def packages(self) -> tuple[str, ...]:
        return self.package_name_prefixes or ("",)

    @property
    def tags(self) -> tuple[str, ...]:
        return tuple(starting(prefix) for prefix in self.tag_prefixes or ())


class _Recent(PolicyPart):
    package_name_prefixes: tuple[str, ...] | None = None
    keep_count: Count


class _GooglePolicy(PolicyPart):
    name: str | None = None
    id: str | None = None
    action: Annotated[Literal["delete", "keep"], BeforeValidator(_verb)]
    condition: _GoogleCondition | None = None
    most_recent_versions: _Recent | None = None

    @property
    def title(self) -> str:
        return self.name or self.id or "cleanup policy"

    @property
    def age_s(self) -> int:
        return (self.condition and self.condition.older_than) or 0

    @model_validator(mode="after")
    def _as_google_checks_it(self) -> Self:
        if (self.condition is None) == (self.most_recent_versions is None):
            raise ValueError("needs a condition or mostRecentVersions, and only one of them")
        return self


class _GoogleRepository(PolicyEnvelope):
    cleanup_policies: dict[str, _GooglePolicy]
    cleanup_policy_dry_run: bool = False


@dataclass(frozen=True)
class _Limit:
    """The limits for all versions of packages with these prefixes.

    Attributes:
        packages: the prefixes.
        last: the number of newest versions to keep.
        young_s: younger versions are kept.
        untagged_s: the age at which versions without a tag are deleted; None = never.
    """

    packages: tuple[str, ...]
    last: int = 0
    young_s: int = 0
    untagged_s: int | None = None

    def covers(self, package: str) -> bool:
        return package.startswith(self.packages)


@dataclass(frozen=True)
class _Keeping:
    """All Keep policies. untagged: True if one of them may keep versions without a tag."""

    rules: tuple[ImportedRule, ...]
    limits: tuple[_Limit, ...]
    untagged: bool


def read_document(document: Any, place: str | None) -> Translation:
    """Translate the policies.

    A Keep policy that selects by name becomes a rule. A Keep policy by number or age becomes a limit in the rules of
    all Delete policies.
    """
    policies, dry_run = _policies(document)
    deletes = [policy for policy in policies if policy.action == "delete"]
    keeping = _keeping([policy for policy in policies if policy.action == "keep"], place)
    notes = ([_PLACE] if place is None else []) + [_AGE]
    if not deletes:
        return translation("Google Artifact Registry", (), [*notes, _ALONE], dry_run=dry_run)
    usable = sorted((policy for policy in deletes if not _reason(policy)), key=lambda policy: policy.age_s)
    untagged = tuple(_untagged(usable, keeping))
    rules = [*keeping.rules]
    for policy in usable:
        rules += _deleting(policy, (*keeping.limits, *untagged), place)
    rules += [imported_rule("untagged", repos=_repositories(limit.packages, place), keep="always",
                            untagged=limit.untagged_s) for limit in untagged]  # fmt: skip
    notes += [_UNTAGGED] if untagged else []
    notes += [f"no equivalent: {policy.title!r}: {_reason(policy)}; it is left out." for policy in deletes
              if _reason(policy)]  # fmt: skip
    notes += _kept_untagged(usable, keeping)
    return translation("Google Artifact Registry", rules, notes, dry_run=dry_run)


def _policies(values: Any) -> tuple[list[_GooglePolicy], bool]:
    if isinstance(values, dict) and "cleanupPolicies" in values:
        repository = checked(_GoogleRepository, values)
        return list(repository.cleanup_policies.values()), repository.cleanup_policy_dry_run
    if not isinstance(values, list):
        raise NotImportable("this must be a list of cleanup policies, [{…}], or a repository with cleanupPolicies")
    return [checked(_GooglePolicy, value, (number,)) for number, value in enumerate(listed(values))], False


def _reason(policy: _GooglePolicy) -> str:
    """Return why a Delete policy cannot be translated, or ""."""
    if policy.condition is None:
        return "Delete with mostRecentVersions"
    if policy.condition.version_name_prefixes:
        return "versions cannot be chosen by their digests"
    return "a rule cannot delete only what is young (newerThan)" if policy.condition.newer_than is not None else ""


def _keeping(keeps: Sequence[_GooglePolicy], place: str | None) -> _Keeping:
    rules, limits, untagged = [], [], False
    for policy in keeps:
        recent, condition = policy.most_recent_versions, policy.condition
        if recent:
            limits.append(_Limit(recent.package_name_prefixes or ("",), last=recent.keep_count))
        untagged = untagged or recent is not None or (condition is not None and condition.state != "tagged")
        if condition is None or condition.state == "untagged":
            continue
        selects_more = condition.tags or condition.version_name_prefixes or condition.older_than is not None
        if condition.newer_than is not None and not selects_more:
            limits.append(_Limit(condition.packages, young_s=condition.newer_than))
            continue
        rules.append(_kept(policy.title, condition, place))
    return _Keeping(tuple(rules), tuple(limits), untagged)


def _kept(title: str, condition: _GoogleCondition, place: str | None) -> ImportedRule:
    dropped = {
        "olderThan": condition.older_than,
        "newerThan": condition.newer_than,
        "versionNamePrefixes": condition.version_name_prefixes,
    }
    names = [name for name, given in dropped.items() if given not in (None, ())]
    notes = [f"no equivalent: {', '.join(names)} in a Keep policy; all these tags are kept here."] if names else []
    repos = _repositories(condition.packages, place)
    return imported_rule(title, repos=repos, tags=condition.tags, keep="always", notes=notes)


def _deleting(policy: _GooglePolicy, limits: Sequence[_Limit], place: str | None) -> Iterator[ImportedRule]:
    """Yield a rule for each set of packages that share the same limits, the longest prefixes first."""
    condition = policy.condition
    if condition is None or condition.state == "untagged":
        return
    limited = {prefix for limit in limits for prefix in limit.packages if prefix.startswith(condition.packages)}
    prefixes = sorted({*condition.packages, *limited}, key=lambda prefix: (-len(prefix), prefix))
    for limit, same in groupby(prefixes, key=lambda prefix: _limit_on(prefix, limits)):
        repos = _repositories(tuple(same), place)
        keep = keep_of(limit.last, pushed_within=max(limit.young_s, policy.age_s))
        yield imported_rule(
            policy.title, repos=repos, tags=condition.tags, keep=keep, untagged=limit.untagged_s, final=True
        )


def _limit_on(package: str, limits: Sequence[_Limit]) -> _Limit:
    covering = [limit for limit in limits if limit.covers(package)]
    return _Limit(
        (),
        max((limit.last for limit in covering), default=0),
        max((limit.young_s for limit in covering), default=0),
        min((limit.untagged_s for limit in covering if limit.untagged_s is not None), default=None),
    )


def _untagged(usable: Sequence[_GooglePolicy], keeping: _Keeping) -> Iterator[_Limit]:
    """Yield a limit for each Delete policy about versions without a tag."""
    # Limits enter every rule, because rules after a final one do not see its tags and could not decide.
    for policy in usable:
        condition = policy.condition
        if condition is not None and condition.state != "tagged" and not keeping.untagged:
            yield _Limit(condition.packages, untagged_s=policy.age_s or DAY_S)


def _kept_untagged(usable: Sequence[_GooglePolicy], keeping: _Keeping) -> Iterator[str]:
    concerned = [policy for policy in usable if policy.condition and policy.condition.state != "tagged"]
    if concerned and keeping.untagged:
        titles = ", ".join(repr(policy.title) for policy in concerned)
        yield (
            f"no equivalent: a Keep policy may keep versions without a tag, which cannot be expressed here, so those of"
            f" {titles} are kept. Give a rule for all tags `untagged: 7d`, say, to delete them by age."
        )


def _repositories(packages: Sequence[str], place: str | None) -> tuple[str, ...]:
    return inside(place, ["**"] if "" in packages else [repositories_starting(prefix) for prefix in packages])
