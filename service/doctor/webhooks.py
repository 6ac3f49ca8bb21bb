"""Check that the receivers of webhooks can be reached and accepted earlier events. No event is sent."""

import socket
import ssl
from collections.abc import Iterator
from urllib.parse import urlsplit

from requests.utils import get_environ_proxies

from service.doctor.case import Case
from service.domain.errors import ConfigurationError
from service.domain.finding import Finding, error, fine, warning
from service.settings.webhooks import ReceiverAddress, WebhookSettings
from service.store.webhooks import WebhookState
from service.webhooks.status import about, webhook_states

_NAME = "webhooks"
_PATIENCE_S = 3.0


def check(case: Case) -> Iterator[Finding]:
    """Check each webhook of the settings."""
    webhooks = case.wiring.settings.webhooks
    states = webhook_states(case.wiring.store, webhooks)
    troubles = {trouble.about: trouble.message for trouble in case.wiring.store.outbox.troubles()}
    findings = [
        finding
        for webhook in webhooks
        for finding in _findings(webhook, states[webhook.name], troubles.get(about(webhook.name)))
    ]
    yield from findings
    if webhooks and not findings:
        waiting = sum(state.waiting for state in states.values())
        yield fine(_NAME, f"{', '.join(states)}: reachable, events that wait: {waiting}")


def _findings(webhook: WebhookSettings, state: WebhookState, trouble: str | None) -> Iterator[Finding]:
    named = f"webhook {webhook.name}"
    if trouble and not state.attempts:
        fix = "pushprune config check FILE   # where the workers run, as their user: it reads the files of webhooks"
        yield error(_NAME, f"{named}: {trouble}", fix)
    elif state.is_gone:
        sentence = f"{named}: {state.error}: it wants no events; nothing is sent until a worker is started again"
        yield error(_NAME, sentence, "webhooks: []   # without it, or with its new url; then restart the workers")
    elif state.attempts:
        sentence = f"{named}: {state.error} (failed attempts: {state.attempts}, events that wait: {state.waiting})"
        yield error(_NAME, sentence, "webhooks: [{url: https://…}]   # or see the log of the receiver")
    else:
        yield from _address(webhook)
    if state.dropped:
        sentence = (
            f"{named}: {state.dropped} events were dropped so far, because its receiver did not take them in time"
        )
        yield warning(_NAME, sentence, "pushprune history   # shows what happened")


def _address(webhook: WebhookSettings) -> Iterator[Finding]:
    try:
        receiver = webhook.receiver()
    except ConfigurationError as fault:
        sentence = f"not checked if the receiver can be reached: {fault}; only workers need this file"
        yield warning(_NAME, sentence, "pushprune doctor   # where a worker runs")
        return
    if refusal := _refusal(receiver):
        sentence = f"webhook {webhook.name}: {receiver.origin} {refusal}"
        yield error(_NAME, sentence, f"webhooks: [{{name: {webhook.name}, url: https://…}}]")


def _refusal(receiver: ReceiverAddress) -> str:
    """Return the reason why the receiver cannot be reached; "" if it can, or if a proxy leads to it."""
    if get_environ_proxies(receiver.url):
        return ""
    parts = urlsplit(receiver.url)
    host, port = parts.hostname or "", parts.port or (443 if parts.scheme == "https" else 80)
    try:
        with socket.create_connection((host, port), _PATIENCE_S) as connection:
            if parts.scheme == "https":
                trusted = ssl.create_default_context(cafile=str(receiver.ca_file) if receiver.ca_file else None)
                trusted.wrap_socket(connection, server_hostname=host).close()
    except ssl.SSLCertVerificationError as failure:
        return f"shows a certificate that is not trusted here ({failure.verify_message}): set ca_file"
    except OSError as failure:
        return f"cannot be reached: {failure.strerror or failure}"
    return ""
