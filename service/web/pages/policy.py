"""The policy page: the current policy, and testing another policy."""

import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from flask import Blueprint, Response, request

from service.doctor.health import different_policies
from service.domain.policy.model import Policy
from service.domain.policy.patterns import compile_patterns
from service.domain.retention.total import added, total
from service.reports.inventory import Inventory
from service.reports.policy_difference import PolicyDifference, policy_difference
from service.reports.verdicts import Verdicts
from service.settings import PolicySource, parse_policy
from service.store import Store
from service.web import trials
from service.web.pages import rendering
from service.web.pages.text import as_yaml

NAME = "Policy"

_NAMES = 50
_ROWS = 50
_TAGS = 100
_PATIENCE_S = 5.0
_EDITED = "the policy"


@dataclass(frozen=True, slots=True)
class RuleMatches:
    """A rule, the number of repositories that it matches, and the first of them."""

    name: str
    written: str
    count: int
    first: tuple[str, ...]


class _RuleMatchesCache:
    """A cache of the matches of each rule, until the policy or the set of repositories changes."""

    def __init__(self) -> None:
        self._last: tuple[Policy | None, tuple[str, ...], tuple[RuleMatches, ...]] = None, (), ()

    def of(self, policy: Policy, repositories: tuple[str, ...]) -> tuple[RuleMatches, ...]:
        last_policy, last_repositories, reaches = self._last
        if last_policy != policy or last_repositories != repositories:
            reaches = tuple(_rule_matches(policy, repositories))
            self._last = policy, repositories, reaches
        return reaches


def add(pages: Blueprint, store: Store, policies: PolicySource, inventory: Inventory, verdicts: Verdicts) -> None:
    reaches = _RuleMatchesCache()

    @pages.get("/policy")
    def policy() -> Response:
        return rendering.page("policy.html", written=policy_file(policies.current()))

    @pages.get("/panels/policy/force")
    def policy_force() -> Response:
        now = policies.current()
        return rendering.panel(
            "policy_force.html",
            "Current policy",
            policy=now,
            written=policy_file(now),
            source=policies.file or "the configuration",
            digest=policies.digest,
            complaint=policies.complaint,
            differences=different_policies(store, policies),
            read_ms=policies.read_ms,
            rules=reaches.of(now, inventory.names()) if now else (),
        )

    @pages.post("/panels/policy/trial")
    def policy_trial() -> Response:
        """Preview another policy. Nothing is changed; the form is a POST because a policy is too long for a URL."""
        text = request.form.get("policy", "")
        trials.check_size(len(text))
        name = request.form.get("repository", "")
        names = (
            (inventory.known(name),) if name else tuple(filter(rendering.matcher("repositories"), inventory.names()))
        )
        with trials.turn():
            tried = parse_policy(text, _EDITED, trials.check_patterns)
            changes, looked = _changes(verdicts, names, tried)
        return rendering.panel(
            "policy_trial.html",
            "Test of a policy",
            changes=changes,
            today=added("", (total("", change.today.deletions) for change in changes)),
            tried=added("", (total("", change.tried.deletions) for change in changes)),
            more=added("", (change.lost for change in changes)),
            fewer=added("", (change.saved for change in changes)),
            looked=looked,
            of=len(names),
            rows=_ROWS,
            tags=_TAGS,
        )


def policy_file(policy: Policy | None) -> str:
    """Return the policy as YAML, without default values."""
    if policy is None:
        return ""
    values: dict[str, Any] = {"version": policy.version}
    values |= policy.model_dump(mode="json", exclude_defaults=True, exclude_none=True)
    return as_yaml(values)


def _rule_matches(policy: Policy, repositories: tuple[str, ...]) -> Iterator[RuleMatches]:
    for number, rule in enumerate(policy.rules, 1):
        matched = tuple(filter(compile_patterns(rule.repos), repositories))
        values = rule.model_dump(mode="json", exclude_defaults=True, exclude_none=True, exclude={"name"})
        yield RuleMatches(rule.name or f"#{number}", as_yaml(values, flow=None), len(matched), matched[:_NAMES])


def _changes(verdicts: Verdicts, names: tuple[str, ...], tried: Policy) -> tuple[tuple[PolicyDifference, ...], int]:
    """Return the changes by repository, and the number of repositories that were compared before the time was up."""
    end = time.monotonic() + _PATIENCE_S
    changes: list[PolicyDifference] = []
    for looked, name in enumerate(names):
        if time.monotonic() > end:
            return tuple(changes), looked
        change = policy_difference(verdicts, name, tried)
        if change.today.deletions or change.tried.deletions:
            changes.append(change)
    return tuple(changes), len(names)
