"""Check that the registry's notifications arrive: push a probe, and wait for its event at the web process."""

import time
from collections.abc import Iterator
from contextlib import suppress

from service.doctor.case import Case, not_now
from service.domain.errors import DeletesDisabled, PushpruneError, RegistryRefused
from service.domain.finding import Finding, error, fine, warning
from service.store.doctor_probes import ProbeState

_NAME = "notifications"
_POLL_S = 0.1
_ELSEWHERE = "pushprune doctor --probe-repository REPO   # one that the login may push to"
_REFERENCES = "events: {includereferences: true}"
_CLOCKS = "timedatectl set-ntp true   # on the machines of the registry and of the web process"
_WHERE = "in the registry's config.yml, then restart it"


def check(case: Case) -> Iterator[Finding]:
    """Check, with a push of its own, that the registry's notifications arrive."""
    probes = case.wiring.store.doctor_probes
    try:
        began_ms = case.wiring.store.connection.now_ms()
        if not _push(case):
            yield not_now(_NAME)
            return
        state, took_s = _wait(case)
    except RegistryRefused as refused:
        yield warning(_NAME, f"not checked, because pushing failed: {refused}", _ELSEWHERE)
        return
    finally:
        with suppress(PushpruneError):
            probes.end(case.name)
    if state == "received references":
        yield fine(_NAME, f"the notification of a push arrived after {took_s:.1f} s")
    elif state == "received":
        sentence = "pushes are reported without references: sizes are unknown, and indexes must be fetched"
        yield warning(_NAME, sentence, f"notifications: {{{_REFERENCES}}}   # {_WHERE}")
    else:
        yield _rejected(case, began_ms) or _unheard(case)


def _push(case: Case) -> bool:
    """Push the probe and delete it. Returns False if a collection forbids writing."""
    probe = case.probe
    with case.wiring.store.leases.write() as permit:
        if permit is None:
            return False
        case.wiring.store.doctor_probes.begin(case.name)
        probe.push(case.repository)
        # The check "deletes" reports this error.
        with suppress(DeletesDisabled):
            probe.remove(case.repository)
    return True


def _wait(case: Case) -> tuple[ProbeState, float]:
    began = time.monotonic()
    while True:
        state, took_s = case.wiring.store.doctor_probes.state(case.name), time.monotonic() - began
        if state.startswith("received") or took_s >= case.patience_s:
            return state, took_s
        time.sleep(_POLL_S)


def _rejected(case: Case, began_ms: int) -> Finding | None:
    """Return the finding about an event that arrived during the check and was rejected; None if none was."""
    for rejected in case.wiring.store.archive.rejected(1):
        if rejected.at_ms >= began_ms:
            sentence = f"the registry reports pushes, and the events are rejected: {rejected.reason}"
            key = case.wiring.store.connection.keys.of("rejected")
            fix = _CLOCKS if "clock" in rejected.reason else f"redis-cli XREVRANGE {key} + - COUNT 5   # shows them"
            return error(_NAME, sentence, fix)
    return None


def _unheard(case: Case) -> Finding:
    sentence = f"the registry did not report a push within {case.patience_s:g} s"
    refused = [trouble for trouble in case.wiring.store.outbox.troubles() if trouble.about == _NAME]
    if refused:
        fix = f'headers: {{Authorization: ["Bearer <the value of tokens.notify>"]}}   # of this endpoint {_WHERE}'
        return error(_NAME, f"{sentence}: {refused[0].message}", fix)
    waiting = _waiting(case)
    if waiting:
        sentence += f"; {waiting} notifications wait in its queue: it cannot reach pushprune, or is rejected"
    headers = '{Authorization: ["Bearer <tokens.notify>"]}'
    endpoint = f'{{name: pushprune, url: "{case.address}/notifications", headers: {headers}}}'
    return error(_NAME, sentence, f"notifications: {{{_REFERENCES}, endpoints: [{endpoint}]}}   # {_WHERE}")


def _waiting(case: Case) -> int:
    debug = case.wiring.registry.debug
    with suppress(PushpruneError):
        return debug.undelivered() if debug else 0
    return 0
