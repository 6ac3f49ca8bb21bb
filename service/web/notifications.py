"""POST /notifications: receive the events of the registry, and never block its queue (safety rule 10)."""

import time
from contextlib import suppress
from http import HTTPStatus

from flask import Blueprint, Response, jsonify, request

from service.clock import now_us
from service.dispatch import Dispatch
from service.domain.errors import StoreUnavailable
from service.domain.events import parse
from service.ingest.record import Recorder
from service.log import log
from service.settings import PolicySource, Settings
from service.store import Store
from service.web.access import notify_refusal
from service.web.body import whole_body

_TELL_AGAIN_S = 60.0


def blueprint(store: Store, settings: Settings, policies: PolicySource, dispatch: Dispatch) -> Blueprint:
    pages = Blueprint("notifications", __name__)
    alert = UnauthenticatedAlert(store)
    recorder = Recorder(store.history, store.doctor_probes, policies, dispatch)

    @pages.post("/notifications")
    def notifications() -> Response | tuple[Response, int]:
        if refusal := notify_refusal(settings):
            alert.refused(request.remote_addr or "unknown", refusal)
            return refusal
        envelope = parse(whole_body(request), now_us())
        recorded = recorder.record(envelope)
        if envelope.events:
            alert.accepted()
        rejected = [rejected.reason for rejected in envelope.rejected]
        if recorded.refused:
            rejected.append(f"{recorded.refused} events name too many unknown repositories or tags")
        answer = {"recorded": recorded.events, "duplicates": recorded.duplicates, "rejected": rejected}
        return jsonify(answer), 202 if rejected else 200

    return pages


class UnauthenticatedAlert:
    """Warn the operator, once a minute at most, of posts without the token: mostly from the registry itself."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._told_s: float | None = None

    def refused(self, address: str, refusal: Response) -> None:
        now_s = time.monotonic()
        if self._told_s is not None and now_s - self._told_s < _TELL_AGAIN_S:
            return
        self._told_s = now_s
        reason = "its Authorization header does not contain tokens.notify"
        if refusal.status_code == HTTPStatus.FORBIDDEN:
            reason = (refusal.get_json() or {}).get("detail", "")
        sentence = (
            f"a notification from {address} was rejected: {reason}; correct `url` or `headers` of the endpoint in the "
            "registry's config.yml and restart the registry"
        )
        log.warning(sentence)
        with suppress(StoreUnavailable):
            self._store.outbox.note_trouble("notifications", sentence)

    def accepted(self) -> None:
        """Withdraw the warning, because a notification was accepted."""
        if self._told_s is not None:
            self._told_s = None
            with suppress(StoreUnavailable):
                self._store.outbox.end_trouble("notifications")
