"""Who may do what: tokens, compared in constant time."""

import hmac
from http import HTTPStatus

from flask import Response, request

from service.settings import Settings
from service.web.problems import problem


def notify_refusal(settings: Settings) -> Response | None:
    """None when the request may post notifications, else the answer that refuses it.

    With no token at all everybody may: the service then listens on loopback only (settings see to it).
    """
    tokens = settings.tokens
    if tokens.notify is None:
        if tokens.read is None and tokens.admin is None:
            return None
        return _refusal("tokens.notify is not set, so nobody may post notifications: set it")
    given = request.headers.get("Authorization", "").removeprefix("Bearer ").strip()
    if hmac.compare_digest(given.encode(), tokens.notify.get_secret_value().encode()):
        return None
    return _refusal("the notify token is missing or wrong: send the header `Authorization: Bearer <tokens.notify>`")


def _refusal(detail: str) -> Response:
    return problem(HTTPStatus.UNAUTHORIZED, detail, WWW_Authenticate='Bearer realm="pushprune"')
