"""Check that a policy is in force, and that all its rules can have an effect."""

from collections.abc import Iterator

from service.doctor.case import Case
from service.doctor.health import different_policies, some
from service.domain.errors import StoreUnavailable
from service.domain.finding import Finding, error, fine, warning
from service.domain.policy.disabling import disabled_rules
from service.domain.policy.units import spell_count
from service.reports import held_plans

_NAME = "policy"


def check(case: Case) -> Iterator[Finding]:
    """Check that a valid policy is in force and can delete tags, and that no plan waits."""
    policies = case.wiring.policies
    policy = policies.current()
    if policies.complaint:
        yield error(
            _NAME, policies.complaint, f"pushprune policy check {policies.file or 'FILE'}   # names every error"
        )
    elif policy is None or not policy.rules:
        sentence = "there is no policy, or one without rules: nothing is ever deleted"
        yield warning(_NAME, sentence, "policy: {protect: [latest], rules: [{keep: {last: 10}}]}")
    elif policy.dry_run:
        yield warning(_NAME, "the policy has dry_run: deletions are only planned", "policy: {dry_run: false}")
    else:
        count = len(policy.rules)
        disabled = disabled_rules(policy)
        for rule in disabled:
            yield warning(
                _NAME, rule.sentence, f"pushprune policy check {policies.file or 'FILE'}   # after the change"
            )
        if not disabled:
            yield fine(_NAME, f"a policy of {spell_count(count, 'rule')} is in force")
    yield from _recorded(case)


def _recorded(case: Case) -> Iterator[Finding]:
    try:
        holds = held_plans.undecided(case.wiring.store)
        sentences = different_policies(case.wiring.store, case.wiring.policies)
    except StoreUnavailable:
        return
    for sentence in sentences:
        yield warning(_NAME, sentence, "pushprune config show   # on every host: all processes need the same policy")
    if holds:
        names = some([hold.repository for hold in holds])
        yield warning(
            _NAME,
            f"{spell_count(len(holds), 'plan')} waiting for approval: {names}",
            "pushprune prune --held   # then --approve",
        )
