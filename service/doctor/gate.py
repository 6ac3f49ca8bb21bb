"""The write gate (`gc.gate: proxy`): a process answers, and writes through the front door ask it."""

from collections.abc import Iterator

from service.doctor.case import Case
from service.domain.collection.gate import client_of
from service.domain.finding import Finding, error, fine, warning
from service.registry.probe import knock, look_agent

_NAME = "gate"


def check(case: Case) -> Iterator[Finding]:
    """Look for the gate process, and send a write that changes nothing to the front door while the gate is open."""
    settings, kind = case.wiring.settings, case.wiring.settings.gc.gate
    if kind != "proxy":
        yield fine(_NAME, f"gc.gate is {kind}: nothing to check")
        return
    if not case.wiring.store.gate.serving():
        sentence = "no gate process is running: the proxy refuses every push"
        yield error(_NAME, sentence, f"pushprune gate   # it listens at gc.gate_listen ({settings.gc.gate_listen})")
        return
    if case.front is None:
        sentence = "not checked if writes ask the gate: the address that clients push to is unknown"
        yield warning(
            _NAME, sentence, "pushprune doctor --front https://registry.example.com   # the address that clients use"
        )
        return
    if case.wiring.store.leases.collecting():
        yield warning(
            _NAME,
            "not checked: a garbage collection is running",
            f"pushprune doctor --front {case.front}   # after it",
        )
        return
    agent = look_agent(case.name)
    knock(case.front, case.repository, agent, settings.registry.timeout_s, settings.registry.ca_file)
    if case.wiring.store.doctor_probes.admitted(case.repository, _hash(agent)):
        yield fine(_NAME, f"writes through {case.front} ask the gate")
    else:
        sentence = f"a write through {case.front} did not ask the gate: a collection can break what is pushed there"
        yield error(
            _NAME, sentence, "auth_request /-/gate;   # in `location /v2/` of the nginx there, see config/nginx.conf"
        )


def _hash(agent: str) -> str:
    """Return the name that the gate gives to a User-Agent."""
    return client_of("", agent).rpartition("/")[2]
