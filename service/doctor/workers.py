"""Whether workers live and keep up, and what they and the web process have complained of."""

from collections.abc import Iterator

from service.doctor.case import Case
from service.doctor.registry import NO_DELETES
from service.domain.finding import Finding, error, fine, warning

_START = "celery -A workers.app worker --pool threads --concurrency 4 -Q enforce,delete"
_LATE_S, _STUCK_S = 60, 600
_DAY_MS = 86_400_000


def check(case: Case) -> Iterator[Finding]:
    outbox = case.wiring.outbox
    workers, backlog = outbox.workers(), outbox.backlog()
    waits = (
        f"{backlog.due} repositories to plan, {backlog.doomed} to delete from, the oldest {backlog.oldest_s:.0f} s late"
    )
    if not workers:
        yield error("workers", f"none gave a sign of life for 10 s: nothing is deleted ({waits})", _START)
    elif backlog.oldest_s > _LATE_S:
        said = f"{workers} of them do not keep up: {waits}"
        mend = f"{_START}   # one more of them"
        yield error("workers", said, mend) if backlog.oldest_s > _STUCK_S else warning("workers", said, mend)
    else:
        yield fine("workers", f"{workers} {'lives' if workers == 1 else 'live'}, nothing is late")


def check_troubles(case: Case) -> Iterator[Finding]:
    """What was complained of and is not mended; and events of the last day that could not be understood."""
    found = False
    for trouble in case.wiring.outbox.troubles():
        found = True
        yield error("troubles", f"{trouble.about}: {trouble.message}", _mending(trouble.about, trouble.message))
    rejected = case.wiring.figures.last_rejected()
    if rejected and rejected[0] > case.wiring.connection.now_ms() - _DAY_MS:
        found = True
        key = case.wiring.connection.keys.of("rejected")
        said = f"events could not be understood, the last of them: {rejected[1]}"
        yield warning("troubles", said, f"redis-cli XREVRANGE {key} + - COUNT 5   # shows them with the reason")
    if not found:
        yield fine("troubles", "nobody complains")


def _mending(about: str, message: str) -> str:
    """about: as the workers and the web process name it: `notifications`, `garbage`, `lost R:TAG`, `<queue> R`."""
    who, _, what = about.partition(" ")
    if "storage: delete: enabled: true" in message:
        return NO_DELETES
    if who == "notifications":
        return 'headers: {Authorization: ["Bearer <tokens.notify>"]}   # of the endpoint in the registry\'s config.yml'
    if who == "garbage":
        return "pushprune gc --now   # once that is mended"
    if who == "lost":
        return f"docker push REGISTRY/{what}   # by whoever has the image"
    return f"pushprune prune {what}   # tries again, once that is mended"
