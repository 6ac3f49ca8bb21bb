"""Check the write gate (`gc.gate: proxy`): a gate process answers, and the proxy asks it before a write."""

from collections.abc import Iterator

from service.collect import gate_processes
from service.doctor.case import Case
from service.domain.collection.gate import client_of
from service.domain.errors import RegistryRefused
from service.domain.finding import Finding, error, fine, skipped, warning
from service.domain.timestamps import rfc3339
from service.registry.probe import is_registry, knock, look_agent

_NAME = "gate"
_SERVER_ERROR = 500
_AS_CLIENTS = (
    "pushprune doctor --front https://registry.example.com   # as clients name it; in Compose: http://gate:5000"
)


def check(case: Case) -> Iterator[Finding]:
    """Look for the gate process, and send a write that changes nothing through the proxy while the gate is open."""
    settings, kind = case.wiring.settings, case.wiring.settings.gc.gate
    if kind != "proxy":
        yield skipped(_NAME, f"gc.gate is {kind}: no proxy asks before a write")
        return
    yield from _silent(case)
    if not case.wiring.store.gate.serving():
        sentence = "no gate process is running: the proxy refuses every push"
        yield error(_NAME, sentence, f"pushprune gate   # it listens at gc.gate_listen ({settings.gc.gate_listen})")
        return
    if case.front is None:
        sentence = "not checked if writes ask the gate: the address that clients push to is unknown"
        yield warning(_NAME, sentence, _AS_CLIENTS)
        return
    if case.wiring.store.leases.collecting():
        yield warning(
            _NAME,
            "not checked: a garbage collection is running",
            f"pushprune doctor --front {case.front}   # afterwards",
        )
        return
    yield _front(case, case.front)


def _front(case: Case, front: str) -> Finding:
    """Send a write that changes nothing to the address of clients, and look for it at the gate."""
    registry, agent = case.wiring.settings.registry, look_agent(case.name)
    try:
        answer = knock(front, case.repository, agent, registry.timeout_s, registry.ca_file)
    except RegistryRefused as untrusted:
        fix = f"PUSHPRUNE_REGISTRY__CA_FILE=/etc/pushprune/registry-ca.pem pushprune doctor --front {front}"
        return warning(_NAME, f"not checked: {untrusted}", fix)
    # The hash of the agent alone: the gate may see another address than this machine's.
    if case.wiring.store.doctor_probes.admitted(case.repository, client_of("", agent).rpartition("/")[2]):
        return fine(_NAME, f"writes through {front} ask the gate")
    if gate := case.wiring.store.gate.state():
        return warning(_NAME, f"not checked if writes ask the gate: it is {gate.state}", "pushprune gc   # says why")
    if answer.status >= _SERVER_ERROR:
        sentence = (
            f"a write through {front} was refused ({answer.status}) and did not reach the gate process: no push passes"
        )
        fix = "docker compose restart gate   # nginx looks up the address of the gate process only when it starts"
        return error(_NAME, sentence, fix)
    if not is_registry(answer):
        sentence = f"not checked: {front} answers {answer.status} to a write, and not as a registry does"
        return warning(_NAME, sentence, _AS_CLIENTS)
    sentence = f"a write through {front} did not ask the gate: a collection can break what is pushed there"
    return error(
        _NAME, sentence, "auth_request /-/gate;   # in `location /v2/` of the nginx there, see config/nginx.conf"
    )


def _silent(case: Case) -> Iterator[Finding]:
    """Name the gate processes for which collections wait."""
    for gate in gate_processes.silent(case.wiring.store):
        until = rfc3339(gate.forgotten_ms * 1000)[:19]
        sentence = f"the gate process on {gate.host} is silent: collections wait for it until {until}Z"
        yield warning(_NAME, sentence, "pushprune gc --forget-gates   # if it is certain that it has ended")
