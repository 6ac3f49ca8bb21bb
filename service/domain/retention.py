"""Retention: tags + policy -> plan. Every verdict carries its reason."""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from service.domain.manifest import References
from service.domain.policy import Keep, Policy, Rule

_REFERRER_TAG = re.compile(r"sha256-[0-9a-f]{64}(\.[a-z0-9]+)?", re.ASCII)


@dataclass(frozen=True, slots=True)
class Tag:
    """A live tag. pushed_us: the registry's time of its last push, in µs since the epoch; None when nobody saw it."""

    name: str
    digest: str
    pushed_us: int | None
    size_bytes: int = 0
    actor: str = ""


@dataclass(frozen=True, slots=True)
class Verdict:
    """What happens to one tag, why, and by which rule (None when no rule decided)."""

    tag: Tag
    kept: bool
    reason: str
    rule: str | None = None


@dataclass(frozen=True, slots=True)
class Doomed:
    """A digest to delete, with every tag that goes with it: one verdict each, never empty."""

    digest: str
    verdicts: tuple[Verdict, ...]


@dataclass(frozen=True, slots=True)
class Plan:
    """What is to happen to one repository.

    verdicts: one per tag, newest push first. doomed: the digests to delete. unresolved: digests of indexes whose
    children are not known yet; while there are any, nothing may be deleted. next_us: when time alone changes the plan.
    hold: the sentence that says why this plan waits for approval, or None.
    """

    verdicts: tuple[Verdict, ...] = ()
    doomed: tuple[Doomed, ...] = ()
    unresolved: tuple[str, ...] = ()
    next_us: int | None = None
    hold: str | None = None


@dataclass(frozen=True, slots=True)
class _Opinion:
    keep: bool
    reason: str
    rule: str


def is_referrer_tag(name: str) -> bool:
    """Whether the tag belongs to another image: cosign's .sig, .att and .sbom, and OCI's fallback `sha256-<hex>`."""
    return _REFERRER_TAG.fullmatch(name) is not None


def plan(
    repository: str,
    tags: Iterable[Tag],
    policy: Policy,
    now_us: int,
    *,
    links: Mapping[str, References | None] | None = None,
    approved: frozenset[str] = frozenset(),
) -> Plan:
    """The plan for one repository: the same for any order of its input.

    links: what is known of each index and referrer by digest; None = an index nobody has looked into yet.
    approved: digests whose deletion somebody has approved; they do not count towards a hold.
    """
    newest_first = sorted(tags, key=_newest_first)
    links = links or {}
    parents = _parents(links)
    verdicts = {tag.name: _fixed_verdict(tag, policy, links, parents) for tag in newest_first}
    opinions = _opinions(repository, newest_first, policy, verdicts)
    for tag in newest_first:
        verdicts[tag.name] = verdicts[tag.name] or _weigh(tag, opinions.get(tag.name, ()), policy, now_us)
    decided = _keep_what_is_held({name: verdict for name, verdict in verdicts.items() if verdict})
    doomed = _doomed(decided)
    return Plan(
        verdicts=tuple(decided[tag.name] for tag in newest_first),
        doomed=doomed,
        unresolved=tuple(sorted(digest for digest, known in links.items() if known is None)) if doomed else (),
        next_us=_next_change(decided.values(), opinions, policy, now_us),
        hold=_hold(doomed, len(newest_first), policy, approved),
    )


def _newest_first(tag: Tag) -> tuple[int, str]:
    return (-(tag.pushed_us or 0), tag.name)


def _parents(links: Mapping[str, References | None]) -> dict[str, str]:
    """child → the index that lists it."""
    return {child: index for index, known in sorted(links.items()) if known for child in known.children}


def _fixed_verdict(
    tag: Tag, policy: Policy, links: Mapping[str, References | None], parents: Mapping[str, str]
) -> Verdict | None:
    """The verdict no rule can change: such a tag is kept and takes no slot.

    A child is kept until its index is really gone, even one that goes now: the next plan takes it up.
    """
    known = links.get(tag.digest)
    if is_referrer_tag(tag.name):
        return Verdict(tag, True, "it belongs to another image and follows it")
    if known and known.subject:
        return Verdict(tag, True, f"it refers to {known.subject} and follows it")
    if known and not known.readable:
        return Verdict(tag, True, "its manifest cannot be read, so nobody knows what it holds")
    if policy.protects(tag.name):
        return Verdict(tag, True, "protected by the policy")
    if tag.digest in parents:
        return Verdict(tag, True, f"it is part of the index {parents[tag.digest]}")
    if tag.pushed_us is None:
        return Verdict(tag, True, "nobody knows when it was pushed; it counts from its next push")
    return None


def _opinions(
    repository: str, newest_first: list[Tag], policy: Policy, verdicts: Mapping[str, Verdict | None]
) -> dict[str, list[_Opinion]]:
    opinions: dict[str, list[_Opinion]] = {}
    free = [tag for tag in newest_first if verdicts[tag.name] is None]
    for name, rule in policy.rules_for(repository):
        selected = [tag for tag in free if rule.selects_tag(tag.name)]
        for tag, opinion in zip(selected, _rule_opinions(name, rule, selected), strict=True):
            opinions.setdefault(tag.name, []).append(opinion)
        if rule.final:
            taken = {tag.name for tag in selected}
            free = [tag for tag in free if tag.name not in taken]
    return opinions


def _rule_opinions(name: str, rule: Rule, selected: list[Tag]) -> Iterable[_Opinion]:
    places: dict[str, int] = {}
    for tag in selected:
        if not isinstance(rule.keep, Keep):
            keep = rule.keep == "always"
            yield _Opinion(keep, f"rule {name} keeps all it selects" if keep else f"rule {name} keeps none", name)
            continue
        place = places.setdefault(tag.digest if rule.count == "digests" else tag.name, len(places) + 1)
        if place <= rule.keep.last:
            yield _Opinion(True, f"number {place} of the newest {rule.keep.last} (rule {name})", name)
        else:
            yield _Opinion(False, f"older than the newest {rule.keep.last} (rule {name})", name)


def _weigh(tag: Tag, opinions: Iterable[_Opinion], policy: Policy, now_us: int) -> Verdict:
    against = None
    for opinion in opinions:
        if opinion.keep:
            return Verdict(tag, True, opinion.reason, opinion.rule)
        against = against or opinion
    if against is None:
        return Verdict(tag, True, "no rule selects it")
    if _in_grace(tag, policy, now_us):
        return Verdict(tag, True, f"pushed less than {policy.grace} s ago (grace)", against.rule)
    return Verdict(tag, False, against.reason, against.rule)


def _in_grace(tag: Tag, policy: Policy, now_us: int) -> bool:
    return tag.pushed_us is not None and policy.grace > 0 and now_us - tag.pushed_us < policy.grace * 1_000_000


def _keep_what_is_held(verdicts: dict[str, Verdict]) -> dict[str, Verdict]:
    """Safety rule 1: a digest goes only when no kept tag holds it."""
    holders: dict[str, str] = {}
    for verdict in verdicts.values():
        if verdict.kept:
            holders.setdefault(verdict.tag.digest, verdict.tag.name)
    decided = {}
    for name, verdict in verdicts.items():
        digest = verdict.tag.digest
        if not verdict.kept and digest in holders:
            verdict = Verdict(verdict.tag, True, f"its digest is kept as {holders[digest]}", verdict.rule)
        decided[name] = verdict
    return decided


def _doomed(verdicts: Mapping[str, Verdict]) -> tuple[Doomed, ...]:
    by_digest: dict[str, list[Verdict]] = {}
    for verdict in verdicts.values():
        if not verdict.kept:
            by_digest.setdefault(verdict.tag.digest, []).append(verdict)
    return tuple(Doomed(digest, tuple(gone)) for digest, gone in by_digest.items())


def _next_change(
    verdicts: Iterable[Verdict], opinions: Mapping[str, list[_Opinion]], policy: Policy, now_us: int
) -> int | None:
    ends = [
        verdict.tag.pushed_us + policy.grace * 1_000_000
        for verdict in verdicts
        if verdict.tag.pushed_us is not None
        and _in_grace(verdict.tag, policy, now_us)
        and opinions.get(verdict.tag.name)
        and not any(opinion.keep for opinion in opinions[verdict.tag.name])
    ]
    return min(ends, default=None)


def _hold(doomed: tuple[Doomed, ...], total: int, policy: Policy, approved: frozenset[str]) -> str | None:
    removed = sum(len(digest.verdicts) for digest in doomed if digest.digest not in approved)
    if removed <= policy.hold_min or removed * 100 <= policy.hold_over * total:
        return None
    return f"it would remove {removed} of {total} tags, more than {policy.hold_over}% (hold_over)"
