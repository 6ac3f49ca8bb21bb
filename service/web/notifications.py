"""POST /notifications: receive the events of the registry, and never block its queue (safety rule 10).

A WSGI application of its own before Flask's, which would take as long for a request as recording its event does.
"""

from __future__ import annotations

import json
from http import HTTPStatus
from typing import TYPE_CHECKING

from flask import Response
from werkzeug.wrappers import Request

from service.clock import now_us
from service.domain.events import MOST_EVENTS, Envelope, parse
from service.domain.policy.units import spell_count
from service.ingest.record import Recorder, RecordResult
from service.ingest.unauthenticated import UnauthenticatedAlert
from service.log import log
from service.settings import PolicySource, Settings
from service.store import Store
from service.web.access import notify_refusal
from service.web.body import whole_body
from service.web.problems import MAX_NOTIFICATION_BYTES, answer_to, wrong_method

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment

# The extension of the Flask application that receives notifications.
RECEIVE = "pushprune receive"
# Where a request keeps its answer until it is sent.
_ANSWER = "pushprune.answer"
_NO_SNIFFING = ("X-Content-Type-Options", "nosniff")
_PATHS = frozenset({"/notifications", "/notifications/"})


class NotificationRequest(Request):
    """A POST of the registry."""

    max_content_length = MAX_NOTIFICATION_BYTES


class Notifications:
    """A WSGI application that answers POST /notifications, and leaves all other requests to another application."""

    def __init__(self, others: WSGIApplication, store: Store, settings: Settings, policies: PolicySource) -> None:
        self._others, self._settings = others, settings
        self._alert = UnauthenticatedAlert(store)
        self._recorder = Recorder(store, policies)

    def __call__(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        """Answer a request."""
        if environ["PATH_INFO"] not in _PATHS:
            return self._others(environ, start_response)
        if _ANSWER not in environ:
            self.receive([environ])
        answer: _Recorded | Response = environ[_ANSWER]
        return answer(environ, start_response)

    def receive(self, environs: Sequence[WSGIEnvironment]) -> None:
        """Record the events of several requests in one call to Redis, and note in each request how it is answered.

        Most of the cost of a call does not depend on the number of events.
        """
        envelopes: list[Envelope] = []
        accepted: list[WSGIEnvironment] = []
        for environ in environs:
            try:
                request = NotificationRequest(environ, populate_request=False)
                if refusal := self._refusal(request):
                    environ[_ANSWER] = _sealed(refusal)
                else:
                    envelopes.append(parse(whole_body(request), now_us()))
                    accepted.append(environ)
            except Exception as error:  # noqa: BLE001  the edge, where every error becomes an answer
                environ[_ANSWER] = _sealed(answer_to(error))
        for environ, envelope, result in zip(accepted, envelopes, self._recorded(envelopes), strict=True):
            if isinstance(result, Exception):
                environ[_ANSWER] = _sealed(answer_to(result))
            else:
                if envelope.events:
                    self._alert.accepted()
                environ[_ANSWER] = _Recorded(envelope, result)

    def _refusal(self, request: Request) -> Response | None:
        if request.method != "POST":
            return wrong_method(f"{request.method} {request.path}", {"POST"})
        if refusal := notify_refusal(self._settings, request):
            self._alert.refused(request.remote_addr or "unknown", _reason(refusal))
            return refusal
        return None

    def _recorded(self, envelopes: list[Envelope]) -> list[RecordResult | Exception]:
        """Return the result of each envelope, or the error because of which it was not recorded."""
        if not envelopes:
            return []
        # A call that records too much at once would block Redis.
        if len(envelopes) == 1 or sum(len(envelope.events) for envelope in envelopes) <= MOST_EVENTS:
            try:
                return list(self._recorder.record(envelopes))
            except Exception as error:  # noqa: BLE001  answered as the error of its request
                if len(envelopes) == 1:
                    return [error]
                log.warning("a batch of notifications failed; each is recorded alone", error=str(error))
        # Each by itself: an event that Redis refuses must not stop the others. If Redis is silent, each fails at once.
        return [result for envelope in envelopes for result in self._recorded([envelope])]


class _Recorded:
    """The answer to a request whose envelope is recorded: a WSGI application."""

    def __init__(self, envelope: Envelope, result: RecordResult) -> None:
        rejected = [rejected.reason for rejected in envelope.rejected]
        if result.refused:
            rejected.append(f"too many unknown repositories or tags in {spell_count(result.refused, 'event')}")
        if result.unrecordable:
            unrecordable = spell_count(result.unrecordable, "event")
            rejected.append(f"{unrecordable} cannot be recorded in Redis; see the rejected events")
        answer = {"recorded": result.events, "duplicates": result.duplicates, "rejected": rejected}
        self._status, self._body = "202 ACCEPTED" if rejected else "200 OK", json.dumps(answer).encode()

    def __call__(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        headers = [("Content-Type", "application/json"), ("Content-Length", str(len(self._body))), _NO_SNIFFING]
        start_response(self._status, headers)
        return (self._body,)


def _sealed(response: Response) -> Response:
    response.headers.add(*_NO_SNIFFING)
    return response


def _reason(refusal: Response) -> str:
    if refusal.status_code == HTTPStatus.FORBIDDEN:
        return str((refusal.get_json() or {}).get("detail", ""))
    return "its Authorization header does not contain tokens.notify"
