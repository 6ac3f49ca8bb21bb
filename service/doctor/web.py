"""Check that the web process runs, reaches Redis, and accepts the notify token of the settings."""

import json
from collections.abc import Iterator

from service.doctor.case import Case
from service.doctor.health import check_recording
from service.doctor.redis import fix_of
from service.domain.errors import StoreUnavailable
from service.domain.finding import Finding, error, fine, warning
from service.registry.answers import read_json
from service.registry.exchange import FAILURES, Answer, Request
from service.registry.session import HttpSession

_NAME = "web"
_START = "pushprune web"
_THERE = "pushprune doctor   # where the web process runs, such as: docker compose exec web pushprune doctor"
_TIMEOUT_S = 5


def check(case: Case) -> Iterator[Finding]:
    """Check that the web process can record events, and accepts the token of notifications."""
    try:
        ready = _send(Request("GET", f"{case.web}/readyz"))
        posted = _send(_empty_post(case))
    except FAILURES as away:
        yield _silent(case, type(away).__name__)
        return
    # The POST first: its answer has details also for a client without a read token.
    if reason := _why_not(case, posted) or _why_not(case, ready):
        sentence = (
            f"the web process at {case.web} answers, but cannot record events, which wait at the registry: {reason}"
        )
        yield error(
            _NAME, sentence, fix_of(reason, "redis: {url: redis://HOST:6379/0}   # as the web process reaches it")
        )
    elif posted.status == 401:
        yield _refused(case)
    elif ready.status != 200 or posted.status != 200:
        answers = f"{ready.status} to GET /readyz, {posted.status} to POST /notifications"
        sentence = f"the server at {case.web} is not pushprune ({answers})"
        yield error(_NAME, sentence, "pushprune doctor --web http://HOST:PORT   # where the web process listens")
    else:
        yield fine(_NAME, f"the web process at {case.web} answers and accepts the token of notifications")


def _refused(case: Case) -> Finding:
    """Return the finding about a web process that does not accept the token of notifications."""
    if case.wiring.settings.tokens.notify is None:
        sentence = (
            f"the web process at {case.web} answers; not checked if it accepts the token of notifications: "
            "tokens.notify is not set for this process"
        )
        return warning(_NAME, sentence, _THERE)
    sentence = f"the web process at {case.web} refuses tokens.notify of these settings: it was started with another"
    return error(_NAME, sentence, f"{_START}   # restart it with these settings")


def _why_not(case: Case, answer: Answer) -> str | None:
    """Return what keeps the web process from recording events; None if nothing does.

    If the web process does not say why, a refusal that this process gets from Redis is the reason.
    """
    if answer.status != 503:
        return None
    body = read_json(answer)
    reason = body.get("redis") or body.get("detail") if isinstance(body, dict) else None
    if reason is None:
        try:
            check_recording(case.wiring.store)
        except StoreUnavailable as refused:
            reason = refused
    return str(reason or "it cannot reach Redis")[:300]


def _empty_post(case: Case) -> Request:
    """Return a POST of an envelope without events, which changes nothing."""
    token = case.wiring.settings.tokens.notify
    headers = {"Content-Type": "application/json"}
    request = Request("POST", f"{case.web}/notifications", headers, json.dumps({"events": ()}).encode())
    return request.having(Authorization=f"Bearer {token.get_secret_value()}") if token else request


def _send(request: Request) -> Answer:
    # A proxy may not know the addresses of this machine.
    return HttpSession(request.url, uses_proxies=False).send(request, timeout_s=_TIMEOUT_S)


def _silent(case: Case, why: str) -> Finding:
    sentence = f"no web process answers at {case.web} ({why})"
    if case.is_web_named:
        return error(_NAME, f"{sentence}: notifications wait at the registry", _START)
    # It may be on another machine or in another container; the check of notifications proves that one records events.
    sentence = f"not checked: {sentence}; it may run on another machine or in another container"
    return warning(_NAME, sentence, f"{_THERE}; or add --web http://HOST:PORT; or start it: {_START}")
