"""The components of the system and the state of each, for people: from the health of this moment and the last check.

The health page, the overview and the API show them, so that a component that is red in one place is red in all.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Literal

from service.doctor.health import Health, some
from service.domain.finding import SEVERITIES, Finding
from service.domain.policy.units import spell_count
from service.store import Store
from service.store.doctor_reports import DoctorReport
from service.store.outbox import Trouble
from service.webhooks.status import is_about_webhook

State = Literal["ok", "warning", "error", "unknown"]

REDIS = "redis"
_DAY_MS = 86_400_000

# Kind of a trouble (the first word of its subject, or all of it) → the component. All others concern deletions.
_COMPONENT_OF: Mapping[str, str] = MappingProxyType(
    {
        "registry": "registry",
        "registries": "registry",
        "slow answers": "registry",
        "stale cache": "registry",
        "served": "registry",
        "listing": "registry",
        "reconcile": "registry",
        "workers": "workers",
        "late": "queues",
        "notifications": "notifications",
        "unannounced": "notifications",
        "rejected events": "notifications",
        "holds": "approvals",
        "policy": "policy",
        "policies": "policy",
        "garbage": "collection",
        "read-only": "collection",
        "broken": "collection",
        "gate": "gate",
        "pushes": "gate",
        "clock": "clock",
        "redis clock": "clock",
        "webhook": "webhooks",
    }
)
# Check of the doctor → the component. The other checks look at what the health of this moment knows better.
_CHECKED: Mapping[str, str] = MappingProxyType(
    {
        "deletes": "registry",
        "catalog": "registry",
        "listing": "registry",
        "cache": "registry",
        "clocks": "clock",
        "notifications": "notifications",
        "gate": "gate",
        "garbage": "collection",
        "storage": "storage",
        "webhooks": "webhooks",
    }
)
_WARNINGS = frozenset(
    {"slow answers", "late", "holds", "policies", "unannounced", "rejected events", "pushes", "webhook"}
)


@dataclass(frozen=True, slots=True)
class Component:
    """One component of the system.

    Attributes:
        name: one or two words, such as `registry`.
        message: the state in one sentence; of a problem, its cause and its fix as well.
        at_ms: since when there is the problem, or when the component was last seen or checked; None for now.
        fix: a line to write or run; "" if there is none, or if `message` contains it.
    """

    name: str
    state: State
    message: str
    at_ms: int | None = None
    fix: str = ""


@dataclass(frozen=True, slots=True)
class OpenProblem:
    """A problem that needs an operator, for a list. subject: of the trouble, such as `doomed shop/api`."""

    subject: str
    component: str
    severity: Literal["warning", "error"]
    message: str
    at_ms: int


def components(health: Health, report: DoctorReport | None) -> tuple[Component, ...]:
    """Return the state of every component. report: the last run of the doctor."""
    healthy = _healthy(health, report)
    problems = tuple(_problem(trouble, health) for trouble in health.troubles)
    return tuple(
        _worse(_from_problems(name, problems), _from_report(name, report), component)
        for name, component in healthy.items()
    )


def without_redis(message: str) -> tuple[Component, ...]:
    """Return the components while Redis does not answer: nothing is known of the others."""
    return (
        Component(REDIS, "error", message),
        Component("web", "ok", "this process answers; notifications wait at the registry until Redis is back"),
    )


def open_problems(store: Store, health: Health) -> tuple[OpenProblem, ...]:
    """Return everything that needs an operator, the worst first.

    Beside the troubles: errors of the last run of the doctor, and events of the last day that were rejected.
    """
    matches = [_problem(trouble, health) for trouble in health.troubles]
    matches += _rejected(store, health.reading.now_ms)
    report = store.doctor_reports.last()
    known = {problem.component for problem in matches}
    for finding in report.findings if report else ():
        component = _CHECKED.get(finding.name)
        if finding.severity == "error" and component and component not in known:
            sentence = f"the last check found: {finding.message}"
            matches.append(OpenProblem("check", component, "error", sentence, report.at_ms if report else 0))
    return tuple(sorted(matches, key=lambda problem: problem.severity != "error"))


def _problem(trouble: Trouble, health: Health) -> OpenProblem:
    kind = trouble.about if trouble.about in _COMPONENT_OF else trouble.about.partition(" ")[0]
    severity: Literal["warning", "error"] = "warning" if kind in _WARNINGS else "error"
    # The sentence of the trouble names commands; here a link leads to the page.
    message = _waiting(health) if kind == "holds" else trouble.message
    return OpenProblem(trouble.about, _COMPONENT_OF.get(kind, "deletions"), severity, message, trouble.at_ms)


def _waiting(health: Health) -> str:
    images = sum(len(hold.digests) for hold in health.holds)
    names = some([hold.repository for hold in health.holds])
    plans = f"{len(health.holds)} {'plan waits' if len(health.holds) == 1 else 'plans wait'} for approval"
    return f"{plans}: {spell_count(images, 'image')} in {names}"


def _rejected(store: Store, now_ms: int) -> Iterable[OpenProblem]:
    for rejected in store.archive.rejected(1):
        if rejected.at_ms > now_ms - _DAY_MS:
            sentence = f"events were rejected, the last of them: {rejected.reason}"
            yield OpenProblem("rejected events", "notifications", "warning", sentence, rejected.at_ms)


def _from_problems(name: str, problems: Iterable[OpenProblem]) -> Component | None:
    matches = sorted((problem for problem in problems if problem.component == name), key=lambda item: item.severity)
    if not matches:
        return None
    more = f" (and {len(matches) - 1} more)" if len(matches) > 1 else ""
    return Component(name, matches[0].severity, f"{matches[0].message}{more}", min(item.at_ms for item in matches))


def _from_report(name: str, report: DoctorReport | None) -> Component | None:
    findings = [finding for finding in report.findings if _CHECKED.get(finding.name) == name] if report else []
    worst: Finding | None = max(findings, key=lambda finding: SEVERITIES.index(finding.severity), default=None)
    if report is None or worst is None or worst.severity in ("skipped", "ok"):
        return None
    state: State = "error" if worst.severity == "error" else "warning"
    return Component(name, state, f"the last check found: {worst.message}", report.at_ms, worst.fix)


_ORDER: tuple[State, ...] = ("error", "warning", "unknown", "ok")


def _worse(*states: Component | None) -> Component:
    return min((state for state in states if state), key=lambda component: _ORDER.index(component.state))


def _healthy(health: Health, report: DoctorReport | None) -> dict[str, Component]:
    """Return the components in the state that they have without a problem."""
    reading, waiting = health.reading, health.reading.waiting
    queued = f"repositories to plan: {waiting['due']}, to delete from: {waiting['doomed']}; none of them late"
    states = (
        _registry(health),
        Component(REDIS, "ok", "reachable"),
        Component("web", "ok", "this process answers"),
        Component("workers", "ok", f"{reading.workers} {'worker runs' if reading.workers == 1 else 'workers run'}"),
        Component("queues", "ok", queued),
        Component("notifications", "ok", "the last event was received", reading.last_event_ms)
        if reading.is_notified
        else Component("notifications", "unknown", "no event was received yet"),
        Component("deletions", "ok", "no deletion failed"),
        Component("policy", "warning", "there is no policy, so nothing is deleted", None, _POLICY)
        if health.policy == "none"
        else Component("policy", "ok", health.policy),
        Component("approvals", "ok", "no plan waits"),
        _collection(health),
        Component("gate", "ok", f"{health.gate.state}: {health.gate.reason}", health.gate.since_ms)
        if health.gate
        else _open_gate(health),
        _storage(report),
        Component("clock", "ok", "Redis and this machine agree"),
        *_webhooks(health, report),
    )
    return {state.name: state for state in states}


def _webhooks(health: Health, report: DoctorReport | None) -> Iterable[Component]:
    """Yield the component for the webhooks, if there are any, by the last check and the troubles."""
    checked = [finding for finding in report.findings if finding.name == "webhooks"] if report else []
    if checked or any(is_about_webhook(trouble.about) for trouble in health.troubles):
        yield Component("webhooks", "ok", "no attempt fails", report.at_ms if report else None)


_POLICY = "policy: {protect: [latest], rules: [{keep: {last: 10}}]}"


def _registry(health: Health) -> Component:
    if health.registry:
        return Component("registry", "ok", "reachable, credentials accepted")
    reason = "not checked while no worker runs" if not health.reading.workers else "registry.url is not set"
    return Component("registry", "unknown", reason)


def _open_gate(health: Health) -> Component:
    if health.gate_processes is None:
        return Component("gate", "unknown", "not configured: gc.gate is not proxy")
    return Component("gate", "ok", "open: pushes are admitted")


def _storage(report: DoctorReport | None) -> Component:
    for finding in report.findings if report else ():
        if report and finding.name == "storage":
            if finding.severity == "skipped":
                return Component("storage", "unknown", f"not configured: {finding.message}", report.at_ms)
            return Component("storage", "ok", finding.message, report.at_ms)
    return Component("storage", "unknown", "not checked in the last 7 days", None, "pushprune doctor")


def _collection(health: Health) -> Component:
    if "garbage" not in health.queues:
        return Component("collection", "unknown", "not configured: gc.command is not set")
    return Component("collection", "ok", f"running: {health.collection}" if health.collection else "none is running")
