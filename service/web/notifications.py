"""POST /notifications: receive the events of the registry, and never block its queue (safety rule 10)."""

from http import HTTPStatus

from flask import Blueprint, Response, jsonify, request

from service.clock import now_us
from service.dispatch import Dispatch
from service.domain.events import parse
from service.ingest.record import Recorder
from service.ingest.unauthenticated import UnauthenticatedAlert
from service.settings import PolicySource, Settings
from service.store import Store
from service.web.access import notify_refusal
from service.web.body import whole_body


def blueprint(store: Store, settings: Settings, policies: PolicySource, dispatch: Dispatch) -> Blueprint:
    """Return the route that receives the registry's notifications."""
    pages = Blueprint("notifications", __name__)
    alert = UnauthenticatedAlert(store)
    recorder = Recorder(store, policies, dispatch)

    @pages.post("/notifications")
    def notifications() -> Response | tuple[Response, int]:
        if refusal := notify_refusal(settings):
            alert.refused(request.remote_addr or "unknown", _reason(refusal))
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


def _reason(refusal: Response) -> str:
    if refusal.status_code == HTTPStatus.FORBIDDEN:
        return str((refusal.get_json() or {}).get("detail", ""))
    return "its Authorization header does not contain tokens.notify"
