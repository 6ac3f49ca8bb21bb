"""Check that the web process runs, reaches Redis, and accepts the notify token of the settings."""

from collections.abc import Iterator

import requests

from service.doctor.case import Case
from service.domain.finding import Finding, error, fine, warning
from service.registry.session import open_session

_NAME = "web"
_START = "pushprune web"
_THERE = "pushprune doctor   # where the web process runs, such as: docker compose exec web pushprune doctor"
_TIMEOUT_S = 5


def check(case: Case) -> Iterator[Finding]:
    """Check that the web process can record events, and accepts the token of notifications."""
    try:
        ready = _session(case).get(f"{case.web}/readyz", timeout=_TIMEOUT_S, allow_redirects=False)
        posted = _post(case)
    except requests.RequestException as away:
        yield _silent(case, type(away).__name__)
        return
    # The POST first: its answer has details also for a client without a read token.
    if reason := _why_not(posted) or _why_not(ready):
        sentence = (
            f"the web process at {case.web} answers, but cannot record events, which wait at the registry: {reason}"
        )
        yield error(
            _NAME, sentence, "redis: {url: redis://HOST:6379/0}   # as the web process sees it, once Redis works"
        )
    elif posted.status_code == 401:
        yield _refused(case)
    elif ready.status_code != 200 or posted.status_code != 200:
        answers = f"{ready.status_code} to GET /readyz, {posted.status_code} to POST /notifications"
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


def _why_not(answer: requests.Response) -> str | None:
    """Return what keeps the web process from recording events, in its own words; None if nothing does."""
    if answer.status_code != 503:
        return None
    try:
        body = answer.json()
    except ValueError:
        body = {}
    reason = body.get("redis") or body.get("detail") if isinstance(body, dict) else None
    return str(reason or "it cannot reach Redis")[:200]


def _post(case: Case) -> requests.Response:
    """Post an envelope without events, which changes nothing."""
    token = case.wiring.settings.tokens.notify
    headers = {"Authorization": f"Bearer {token.get_secret_value()}"} if token else {}
    url, nothing = f"{case.web}/notifications", {"events": ()}
    return _session(case).post(url, json=nothing, headers=headers, timeout=_TIMEOUT_S, allow_redirects=False)


def _session(case: Case) -> requests.Session:
    """Return a session that uses no proxy, as a proxy may not know the addresses of this machine."""
    session = open_session(case.web)
    session.proxies.clear()
    return session


def _silent(case: Case, why: str) -> Finding:
    sentence = f"no web process answers at {case.web} ({why})"
    if case.is_web_named:
        return error(_NAME, f"{sentence}: notifications wait at the registry", _START)
    # It may be on another machine or in another container; the check of notifications proves that one records events.
    sentence = f"not checked: {sentence}; it may run on another machine or in another container"
    return warning(_NAME, sentence, f"{_THERE}; or add --web http://HOST:PORT; or start it: {_START}")
