"""POST /notifications: the registry tells us what happened. Its queue must never be blocked by us (safety rule 10)."""

from flask import Blueprint, Response, jsonify, request
from werkzeug.exceptions import RequestEntityTooLarge

from service.domain.notification import parse
from service.web.access import notify_refusal
from service.wiring import Wiring, now_us


def blueprint(wiring: Wiring) -> Blueprint:
    pages = Blueprint("notifications", __name__)

    @pages.post("/notifications")
    def notifications() -> Response | tuple[Response, int]:
        if refusal := notify_refusal(wiring.settings):
            return refusal
        envelope = parse(_body(), now_us())
        recorded = wiring.history.record(envelope)
        for repository in recorded.due:
            wiring.dispatch.enforce(repository)
        rejected = [rejected.reason for rejected in envelope.rejected]
        answer = {"recorded": recorded.events, "duplicates": recorded.duplicates, "rejected": rejected}
        return jsonify(answer), 202 if rejected else 200

    return pages


def _body() -> bytes:
    """The body; one of unknown length that fills the limit may have been cut there, and is refused."""
    body = request.get_data(cache=False)
    if request.content_length is None and len(body) >= (request.max_content_length or 0):
        raise RequestEntityTooLarge
    return body
