"""Check that the receivers of webhooks can be reached, and that they take what is sent. No event is sent for it."""

import socket
import ssl
from collections.abc import Iterator
from urllib.parse import urlsplit

from requests.utils import get_environ_proxies

from service.doctor.case import Case
from service.domain.finding import Finding, error, fine, warning
from service.settings.webhooks import WebhookSettings
from service.store.webhooks import WebhookState
from service.webhooks.status import webhook_states

_NAME = "webhooks"
_PATIENCE_S = 3.0


def check(case: Case) -> Iterator[Finding]:
    """Check each webhook of the settings."""
    webhooks = case.wiring.settings.webhooks
    states = webhook_states(case.wiring.store, webhooks)
    findings = [finding for webhook in webhooks for finding in _findings(webhook, states[webhook.name])]
    yield from findings
    if webhooks and not findings:
        waiting = sum(state.waiting for state in states.values())
        yield fine(_NAME, f"{', '.join(states)}: reachable, events that wait: {waiting}")


def _findings(webhook: WebhookSettings, state: WebhookState) -> Iterator[Finding]:
    named = f"webhook {webhook.name}"
    if refusal := _refusal(webhook):
        yield error(
            _NAME, f"{named}: {webhook.origin} {refusal}", f"webhooks: [{{name: {webhook.name}, url: https://…}}]"
        )
    elif state.is_gone:
        sentence = f"{named}: {state.error}: it wants no events; nothing is sent until a worker is started again"
        yield error(_NAME, sentence, "webhooks: []   # without it, or with its new url; then restart the workers")
    elif state.attempts:
        sentence = f"{named}: {state.error} (failed attempts: {state.attempts}, events that wait: {state.waiting})"
        yield error(_NAME, sentence, "webhooks: [{url: https://…}]   # or see the log of the receiver")
    if state.dropped:
        sentence = (
            f"{named}: {state.dropped} events were dropped so far, because its receiver did not take them in time"
        )
        yield warning(_NAME, sentence, "pushprune history   # has what happened")


def _refusal(webhook: WebhookSettings) -> str:
    """Return the reason why the receiver cannot be reached; "" if it can, or if a proxy leads to it."""
    if get_environ_proxies(webhook.address):
        return ""
    parts = urlsplit(webhook.address)
    host, port = parts.hostname or "", parts.port or (443 if parts.scheme == "https" else 80)
    try:
        with socket.create_connection((host, port), _PATIENCE_S) as connection:
            if parts.scheme == "https":
                trusted = ssl.create_default_context(cafile=str(webhook.ca_file) if webhook.ca_file else None)
                trusted.wrap_socket(connection, server_hostname=host).close()
    except ssl.SSLCertVerificationError as failure:
        return f"shows a certificate that is not trusted here ({failure.verify_message}): set ca_file"
    except OSError as failure:
        return f"cannot be reached: {failure.strerror or failure}"
    return ""
